"""The trail of what people do: written with the deed, sealed each minute, never changed.

Messages are not in it, nor moves of chats: those have rows of their own.
"""

from crm.services.audit.reading import (
    AuditFilter,
    export_audit,
    find_names,
    list_actions,
    list_audit,
    list_authors,
    load_audit,
    safe_cell,
)
from crm.services.audit.recording import (
    HIDDEN,
    Origin,
    Secret,
    Snapshot,
    bind,
    difference,
    keyed_hash,
    record,
    snapshot,
)
from crm.services.audit.sealing import (
    AT_ONCE,
    Head,
    Verdict,
    append_head,
    find_head,
    heads_path,
    read_heads,
    seal_rows,
    verify_chain,
)

__all__ = [
    "AT_ONCE",
    "HIDDEN",
    "AuditFilter",
    "Head",
    "Origin",
    "Secret",
    "Snapshot",
    "Verdict",
    "append_head",
    "bind",
    "difference",
    "export_audit",
    "find_head",
    "find_names",
    "heads_path",
    "keyed_hash",
    "list_actions",
    "list_audit",
    "list_authors",
    "load_audit",
    "read_heads",
    "record",
    "safe_cell",
    "seal_rows",
    "snapshot",
    "verify_chain",
]
