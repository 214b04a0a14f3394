"""Pictures, sounds and films: what a file is, and copies of it. Knows no CRM.

`types` tells what bytes are, by their first ones. `workshop` has the rest done in a process of its
own under limits, because decoders are where hostile files do their harm.
"""
