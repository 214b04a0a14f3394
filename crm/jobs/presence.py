"""Tells the customer that we have read or are writing."""

from __future__ import annotations

import structlog
from flask import current_app

from crm.db import atomic, db
from crm.doorbell import job
from crm.jobs.messages import client_for, settings_of
from crm.services.messages import presence

log = structlog.get_logger(__name__)


@job("presence.read")
def read(chat_id: int) -> None:
    """The blue ticks, up to the last message that the owner has read."""
    tell(int(chat_id), typing=False)


@job("presence.typing")
def typing(chat_id: int) -> None:
    """ "Typing...", which at Meta marks as read too."""
    tell(int(chat_id), typing=True)


def tell(chat_id: int, *, typing: bool) -> None:
    config = current_app.config["CRM"]
    try:
        with atomic():
            sign = presence.load_sign(chat_id, typing=typing, settings=settings_of(config))
        db.session.remove()
        if sign is not None:
            client_for(config.provider_seconds, config.trusted_hosts).meta.mark_read(
                sign.channel, sign.message_id, typing=sign.typing
            )
    except presence.ProviderError as error:
        log.info("presence_not_told", chat_id=chat_id, code=error.code)
