"""The read side of the desk: rows, counts, threads and the client's card, as plain view objects.

Everything here only reads. The view objects are frozen, hold nothing personal (no "mine", no
draft) and no lazy attribute, so that the page and the live hub render the same templates from them
with no query behind.
"""

from crm.services.inbox.bubbles import Bubble, find_bubble, find_bubbles, find_original
from crm.services.inbox.choices import Choices, list_choices
from crm.services.inbox.files import ChatFile, ChatFiles, list_files
from crm.services.inbox.head import ChatHead, ClientCard, load_head, load_head_and_card
from crm.services.inbox.passing import (
    Target,
    find_forward_targets,
    find_recent_contents,
)
from crm.services.inbox.rows import (
    ChatRow,
    Counts,
    Filters,
    Preview,
    RowPage,
    count_chats,
    find_row,
    find_rows,
    list_chats,
)
from crm.services.inbox.thread import (
    ThreadPage,
    load_thread,
    load_thread_after,
    load_thread_around,
)
from crm.services.inbox.timeline import EventLine, NoteBubble, find_note, find_notes

__all__ = [
    "Bubble",
    "ChatFile",
    "ChatFiles",
    "ChatHead",
    "ChatRow",
    "Choices",
    "ClientCard",
    "Counts",
    "EventLine",
    "Filters",
    "NoteBubble",
    "Preview",
    "RowPage",
    "Target",
    "ThreadPage",
    "count_chats",
    "find_bubble",
    "find_bubbles",
    "find_forward_targets",
    "find_note",
    "find_notes",
    "find_original",
    "find_recent_contents",
    "find_row",
    "find_rows",
    "list_chats",
    "list_choices",
    "list_files",
    "load_head",
    "load_head_and_card",
    "load_thread",
    "load_thread_after",
    "load_thread_around",
]
