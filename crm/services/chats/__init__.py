"""The only place where a chat changes state.

Each verb locks the chat's row, checks the move against the table beside the status enum, sets the
facts that belong to the new state, and leaves a row in `chat_events` with the targets in force at
that moment: timeline, metrics and receipts are read from there. Browsers hear of it after the
commit, the agent who just lost the chat included.
"""

from crm.services.chats.moves import (
    BOT,
    CLIENT,
    PHONE,
    SYSTEM,
    Actor,
    AgentUnavailable,
    ChatIsOver,
    IllegalMove,
    OpenChatExists,
    count_load,
    lock_agent,
    lock_chat,
    move_chat,
    person,
    terms_of,
)
from crm.services.chats.verbs import (
    assign_chat,
    close_chat,
    find_open_chat,
    give_locked_chat,
    mark_read,
    open_chat,
    pick_chat,
    queue_chat,
    record_human_reply,
    reopen_chat,
    requeue_chat,
)

__all__ = [
    "BOT",
    "CLIENT",
    "PHONE",
    "SYSTEM",
    "Actor",
    "AgentUnavailable",
    "ChatIsOver",
    "IllegalMove",
    "OpenChatExists",
    "assign_chat",
    "close_chat",
    "count_load",
    "find_open_chat",
    "give_locked_chat",
    "lock_agent",
    "lock_chat",
    "mark_read",
    "move_chat",
    "open_chat",
    "person",
    "pick_chat",
    "queue_chat",
    "record_human_reply",
    "reopen_chat",
    "requeue_chat",
    "terms_of",
]
