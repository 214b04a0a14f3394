"""A WhatsApp that runs here: Meta's Graph API look-alike and a page that looks like a phone.

It is the other side of the wire: its own process (`python -m crm.simulator`), its own files, and
not one import from the rest of the product, so that it can judge the product from outside.
"""
