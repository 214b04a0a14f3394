"""Tells the customer that we have read or are writing."""

from __future__ import annotations

import structlog
from flask import current_app

from crm.db import atomic, db
from crm.doorbell import job
from crm.jobs.messages import client_for, settings_of
from crm.services.messages import presence
from crm.services.messages.presence import Gesture

log = structlog.get_logger(__name__)

# A courtesy that takes longer than this is none any more.
PATIENCE_SECONDS = 6.0


@job("presence.read")
def read(chat_id: int) -> None:
    """The blue ticks, up to the last message that the owner has read."""
    tell(int(chat_id), Gesture.READ)


@job("presence.typing")
def typing(chat_id: int) -> None:
    """ "Typing...", which at Meta marks as read too."""
    tell(int(chat_id), Gesture.TYPING)


@job("presence.pause")
def pause(chat_id: int) -> None:
    """Takes "typing..." back where it would stay."""
    if presence.take_pause(int(chat_id)):
        tell(int(chat_id), Gesture.PAUSED)


def tell(chat_id: int, gesture: Gesture) -> None:
    config = current_app.config["CRM"]
    try:
        with atomic():
            leaving = presence.load_sign(chat_id, gesture, settings=settings_of(config))
        db.session.remove()
        if leaving is not None:
            seconds = min(config.provider_seconds, PATIENCE_SECONDS)
            client_for(seconds, config.trusted_hosts).tell(leaving.channel, leaving.sign)
    except presence.ProviderError as error:
        log.info("presence_not_told", chat_id=chat_id, code=error.code)
