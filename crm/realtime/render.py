"""Fragments for the live screen, from the templates that the pages themselves include.

One view object per thing and phone visibility, one text per variant. A fragment knows nobody: what
is mine, selected or drafted is the page's business.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from flask import render_template
from flask_babel import force_locale

from crm.models.messages import MessageType
from crm.realtime.connection import Variant
from crm.services import inbox

log = structlog.get_logger(__name__)

Wanted = Iterable[tuple[int, Variant]]
Fragments = dict[tuple[int, Variant], str]

# Shown on the message that they speak of: the page fetches the thread when it sees the version.
NO_BUBBLE_OF_ITS_OWN = {MessageType.REACTION}


def render_rows(wanted: Wanted) -> Fragments:
    """List rows by (chat id, variant); deleted chats are left out."""
    rows: dict[tuple[int, bool], inbox.ChatRow | None] = {}
    fragments: Fragments = {}
    for chat_id, variant in wanted:
        key = (chat_id, variant.phones_visible)
        if key not in rows:
            rows[key] = inbox.find_row(chat_id, phones_visible=variant.phones_visible)
        row = rows[key]
        if row is not None:
            render(fragments, (chat_id, variant), "inbox/_row.html", row=row)
    return fragments


def render_bubbles(wanted: Wanted) -> Fragments:
    """Message bubbles by (message id, variant); ticks travel as their whole bubble."""
    bubbles: dict[int, inbox.Bubble | None] = {}
    fragments: Fragments = {}
    for message_id, variant in wanted:
        if message_id not in bubbles:
            bubbles[message_id] = inbox.find_bubble(message_id)
        bubble = bubbles[message_id]
        if bubble is not None and bubble.kind not in NO_BUBBLE_OF_ITS_OWN:
            render(fragments, (message_id, variant), "inbox/_bubble.html", bubble=bubble)
    return fragments


def render(fragments: Fragments, key: tuple[int, Variant], template: str, **values: object) -> None:
    """Add one fragment; one that cannot be rendered is left out and must not stop the others."""
    try:
        with force_locale(key[1].locale):
            fragments[key] = render_template(template, **values).strip()
    except Exception:
        log.exception("fragment_failed", template=template, id=key[0])
