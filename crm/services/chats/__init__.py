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
    change_campaign,
    count_load,
    lock_agent,
    lock_chat,
    move_chat,
    person,
    places_of,
    terms_of,
)
from crm.services.chats.notes import add_note
from crm.services.chats.offers import (
    AT_DESK,
    OfferIsOver,
    ReceiverAway,
    accept_offer,
    decline_offer,
    offer_chat,
    return_offer,
    withdraw_offer,
)
from crm.services.chats.pending import resume_chat, set_pending
from crm.services.chats.undo import find_last_move, put_back
from crm.services.chats.verbs import (
    abandon_chat,
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
    "AT_DESK",
    "BOT",
    "CLIENT",
    "PHONE",
    "SYSTEM",
    "Actor",
    "AgentUnavailable",
    "ChatIsOver",
    "IllegalMove",
    "OfferIsOver",
    "OpenChatExists",
    "ReceiverAway",
    "abandon_chat",
    "accept_offer",
    "add_note",
    "assign_chat",
    "change_campaign",
    "close_chat",
    "count_load",
    "decline_offer",
    "find_last_move",
    "find_open_chat",
    "give_locked_chat",
    "lock_agent",
    "lock_chat",
    "mark_read",
    "move_chat",
    "offer_chat",
    "open_chat",
    "person",
    "pick_chat",
    "places_of",
    "put_back",
    "queue_chat",
    "record_human_reply",
    "reopen_chat",
    "requeue_chat",
    "resume_chat",
    "return_offer",
    "set_pending",
    "terms_of",
    "withdraw_offer",
]
