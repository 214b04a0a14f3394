"""Fragments for the live screen, from the templates that the pages themselves include.

One view object per thing and phone visibility, one text per variant. A fragment knows nobody: what
is mine, selected or drafted is the page's business.
"""

from __future__ import annotations

from collections.abc import Collection

import structlog
from flask import render_template
from flask_babel import force_locale

from crm.realtime.connection import Variant
from crm.services import inbox

log = structlog.get_logger(__name__)

Wanted = Collection[tuple[int, Variant]]
Fragments = dict[tuple[int, Variant], str]


def render_rows(wanted: Wanted) -> Fragments:
    """List rows by (chat id, variant); deleted chats are left out."""
    fragments: Fragments = {}
    for phones_visible in (True, False):
        keys = [key for key in wanted if key[1].phones_visible is phones_visible]
        if keys:
            ids = {chat_id for chat_id, _ in keys}
            rows = inbox.find_rows(ids, phones_visible=phones_visible)
            for key in keys:
                if key[0] in rows:
                    render(fragments, key, "inbox/_row.html", row=rows[key[0]])
    return fragments


def render_bubbles(wanted: Wanted) -> Fragments:
    """Message bubbles by (message id, variant); ticks travel as their whole bubble."""
    fragments: Fragments = {}
    if not wanted:
        return fragments
    bubbles = inbox.find_bubbles({message_id for message_id, _ in wanted})
    for key in wanted:
        bubble = bubbles.get(key[0])
        if bubble is not None:
            render(fragments, key, "inbox/_bubble.html", bubble=bubble)
    return fragments


def render_notes(wanted: Wanted) -> Fragments:
    """Internal notes by (note id, variant)."""
    fragments: Fragments = {}
    if not wanted:
        return fragments
    notes = inbox.find_notes({note_id for note_id, _ in wanted})
    for key in wanted:
        if note := notes.get(key[0]):
            render(fragments, key, "inbox/_note.html", note=note)
    return fragments


def render(fragments: Fragments, key: tuple[int, Variant], template: str, **values: object) -> None:
    """Add one fragment; one that cannot be rendered is left out and must not stop the others."""
    try:
        with force_locale(key[1].locale):
            fragments[key] = render_template(template, **values).strip()
    except Exception:
        log.exception("fragment_failed", template=template, id=key[0])
