"""The trail of what people do: written with the deed, sealed each minute, never changed.

Messages are not in it, nor moves of chats: those have rows of their own.
"""

from crm.services.audit.recording import (
    HIDDEN,
    Origin,
    Snapshot,
    bind,
    difference,
    keyed_hash,
    record,
    snapshot,
)

__all__ = [
    "HIDDEN",
    "Origin",
    "Snapshot",
    "bind",
    "difference",
    "keyed_hash",
    "record",
    "snapshot",
]
