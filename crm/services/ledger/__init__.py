"""The ledger as people read it: lists, counts by hour, bodies, replays, and what alarms.

Its rows are written by `crm/services/messages/ledger.py`, with the events that they hold.
"""
