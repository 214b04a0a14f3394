"""Meta's 24 hours: inside them anything may leave, outside only approved templates.

They run per client and number from the provider's time of the client's last message, in whichever
chat it stands. WPPConnect is an ordinary phone and knows no window.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, ScalarSelect, and_, func, select
from sqlalchemy.orm import aliased

from crm.db import database_now, db
from crm.models import Chat, Provider

LENGTH = timedelta(hours=24)
# A message queued in the last moment would be refused on its way.
MARGIN = timedelta(minutes=1)
# Where the composer begins to warn, and what the list's filter means by "soon".
SOON = timedelta(hours=2)


def last_word(chat: type[Chat] = Chat) -> ScalarSelect[datetime | None]:
    """When a chat's client last wrote to its number, in whichever chat: a column for a SELECT."""
    same = aliased(Chat)
    return (
        select(func.max(same.last_inbound_at))
        .where(same.client_id == chat.client_id, same.whatsapp_number_id == chat.whatsapp_number_id)
        .scalar_subquery()
    )


def closes_soon(chat: type[Chat] = Chat) -> ColumnElement[bool]:
    """Whether a chat's window is open and closes within SOON: a criterion for a list."""
    last = last_word(chat)
    ends_in = LENGTH - MARGIN
    return and_(last > func.now() - ends_in, last <= func.now() - ends_in + SOON)


def window_end(last_word_at: datetime | None, provider: Provider) -> datetime | None:
    """When the window closes (or closed), with the margin taken off; None if there is none."""
    if provider is not Provider.META or last_word_at is None:
        return None
    return last_word_at + LENGTH - MARGIN


def is_open_at(now: datetime, *, last_word_at: datetime | None, provider: Provider) -> bool:
    """May a free text leave at this moment?"""
    if provider is not Provider.META:
        return True
    ends_at = window_end(last_word_at, provider)
    return ends_at is not None and now < ends_at


def find_window_end(*, client_id: int, whatsapp_number_id: int) -> datetime | None:
    """When the window closes (or closed), with the margin taken off; None if it never opened."""
    last = db.session.scalar(
        select(func.max(Chat.last_inbound_at)).where(
            Chat.client_id == client_id, Chat.whatsapp_number_id == whatsapp_number_id
        )
    )
    return window_end(last, Provider.META)


def is_open(*, client_id: int, whatsapp_number_id: int, provider: Provider) -> bool:
    """May a free text leave now, by Postgres' clock?"""
    if provider is not Provider.META:
        return True
    ends_at = find_window_end(client_id=client_id, whatsapp_number_id=whatsapp_number_id)
    return ends_at is not None and database_now() < ends_at
