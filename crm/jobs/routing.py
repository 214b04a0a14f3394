"""The routing jobs: each drains until nothing is due, in short transactions of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import current_app

from crm.db import atomic, db, retrying
from crm.doorbell import job, ring
from crm.jobs import shutdown
from crm.services import agents
from crm.services import routing as service
from crm.services.routing import Drained

# Under the job's time-out with room to spare; what is left is rung for again.
SECONDS = 45
# Somebody holds a chat of the line (a message is coming in): it is free in a moment.
HELD_PAUSE = 0.02


@job("routing.route")
def route(chat_id: int) -> None:
    """A new chat, or one that came back to its queue."""
    _drain_all(lambda: service.route_chat(chat_id), "routing.route", chat_id)


@job("routing.drain")
def drain(campaign_id: int) -> None:
    """Something in this campaign may have made room."""
    _drain_all(lambda: service.drain_campaign(campaign_id), "routing.drain", campaign_id)


@job("routing.serve")
def serve(user_id: int) -> None:
    """This agent has room, or has just none left."""

    def settle() -> None:
        with atomic():
            agents.settle_busy(user_id)

    retrying(settle)
    _drain_all(lambda: service.drain_agent(user_id), "routing.serve", user_id)


@job("routing.release")
def release(user_id: int) -> None:
    """This agent is gone: set them offline if nobody has yet, and give back what is unanswered."""
    seconds = current_app.config["CRM"].absent_seconds

    def unit() -> None:
        with atomic():
            agents.take_offline(user_id, seconds=seconds)
            agents.release_unanswered(user_id)

    retrying(unit)


@job("routing.tend")
def tend(chat_id: int) -> None:
    """Time has made something due in this chat."""

    def unit() -> None:
        with atomic():
            service.tend_chat(chat_id)

    retrying(unit)


def _drain_all(step: Callable[[], Drained], name: str, key: int) -> None:
    def unit() -> Drained:
        with atomic():
            return step()

    end = time.monotonic() + SECONDS
    while time.monotonic() < end and not shutdown.is_asked():
        drained = retrying(unit)
        # The next pass reads everything anew: campaigns, limits and hours may have changed.
        db.session.remove()
        if drained.held:
            time.sleep(HELD_PAUSE)
        elif not drained.more:
            return
    ring(name, key)
