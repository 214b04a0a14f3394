"""Meta's 24 hours: inside them anything may leave, outside only approved templates.

They run per client and number from the provider's time of the client's last message, in whichever
chat it stands. WPPConnect is an ordinary phone and knows no window.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select

from crm.db import database_now, db
from crm.models import Chat, Provider

LENGTH = timedelta(hours=24)
# A message queued in the last moment would be refused on its way.
MARGIN = timedelta(minutes=1)


def find_window_end(*, client_id: int, whatsapp_number_id: int) -> datetime | None:
    """When the window closes (or closed), with the margin taken off; None if it never opened."""
    last = db.session.scalar(
        select(func.max(Chat.last_inbound_at)).where(
            Chat.client_id == client_id, Chat.whatsapp_number_id == whatsapp_number_id
        )
    )
    return last + LENGTH - MARGIN if last else None


def is_open(*, client_id: int, whatsapp_number_id: int, provider: Provider) -> bool:
    """May a free text leave now, by Postgres' clock?"""
    if provider is not Provider.META:
        return True
    ends_at = find_window_end(client_id=client_id, whatsapp_number_id=whatsapp_number_id)
    return ends_at is not None and database_now() < ends_at
