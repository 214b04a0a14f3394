"""A customer who writes again soon enough finds the same chat, through the whole way in."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import Campaign, Chat, ChatEvent, ChatStatus, Client
from crm.providers.meta.webhook import parse
from crm.services.messages.inbound import receive
from crm.services.messages.ledger import Post
from tests.factories import make_campaign, make_number
from tests.providers.deliveries import PHONE_NUMBER_ID, body, words

LONG_AGO = timedelta(minutes=30)


@pytest.fixture
def window(database: Flask) -> int:
    """A campaign that reopens within an hour."""
    with atomic():
        campaign = make_campaign(reopen_window_seconds=3600)
        make_number(campaign=campaign, meta_phone_number_id=PHONE_NUMBER_ID)
    return campaign.id


def take_in(*raws: bytes) -> None:
    with atomic():
        receive([Post(raw, parse(raw)) for raw in raws])
    db.session.expire_all()


def end(status: ChatStatus = ChatStatus.CLOSED, ago: timedelta = LONG_AGO, **fields: Any) -> None:
    with atomic():
        chat = db.session.scalars(select(Chat)).one()
        chat.status, chat.closed_at, chat.waiting_since = status, utcnow() - ago, None
        for name, value in fields.items():
            setattr(chat, name, value)


def statuses() -> list[str]:
    return [str(status) for status in db.session.scalars(select(Chat.status).order_by(Chat.id))]


def test_within_the_window_the_same_chat_goes_on_and_its_customer_waits(window: int) -> None:
    take_in(body(words("wamid.1")))
    end()
    take_in(body(words("wamid.2", "Todavía no llega")))
    chat = db.session.scalars(select(Chat)).one()
    assert (chat.status, chat.queue_ahead) == (ChatStatus.QUEUED, True)
    assert chat.waiting_since is not None
    assert (chat.message_count, chat.unread_count) == (2, 2)
    event = db.session.scalars(select(ChatEvent).where(ChatEvent.kind == "reopened")).one()
    assert (event.actor_kind, event.reason) == ("client", "customer_wrote")


def test_after_the_window_it_is_a_new_chat(window: int) -> None:
    take_in(body(words("wamid.1")))
    end(ago=timedelta(minutes=61))
    take_in(body(words("wamid.2", "Otra cosa")))
    assert statuses() == ["closed", "new"]


def test_without_a_window_it_is_a_new_chat(window: int) -> None:
    with atomic():
        db.session.get_one(Campaign, window).reopen_window_seconds = None
    take_in(body(words("wamid.1")))
    end()
    take_in(body(words("wamid.2", "Otra cosa")))
    assert statuses() == ["closed", "new"]


def test_an_abandoned_chat_is_reopened_for_a_day_whatever_the_window(window: int) -> None:
    take_in(body(words("wamid.1")))
    place = utcnow() - timedelta(hours=24)
    end(ChatStatus.ABANDONED, timedelta(hours=23), queued_at=place)
    take_in(body(words("wamid.2", "¿Sigue alguien ahí?")))
    chat = db.session.scalars(select(Chat)).one()
    assert (chat.status, chat.queued_at) == (ChatStatus.QUEUED, place)


@pytest.mark.parametrize("ago", [1, 9])
def test_a_courtesy_joins_in_silence_and_opens_nothing(window: int, ago: int) -> None:
    take_in(body(words("wamid.1")))
    end(ago=timedelta(minutes=ago))
    take_in(body(words("wamid.2", "Gracias", at=int(utcnow().timestamp()))))
    assert statuses() == ["closed"]


def test_a_blocked_client_reopens_nothing(window: int) -> None:
    take_in(body(words("wamid.1")))
    end()
    with atomic():
        db.session.scalars(select(Client)).one().is_blocked = True
    take_in(body(words("wamid.2", "Contesten")))
    assert statuses() == ["closed"]


def test_two_words_in_one_delivery_reopen_once(window: int) -> None:
    take_in(body(words("wamid.1")))
    end()
    take_in(body(words("wamid.2", "Hola de nuevo")), body(words("wamid.3", "¿Están?")))
    chat = db.session.scalars(select(Chat)).one()
    assert (chat.status, chat.message_count) == (ChatStatus.QUEUED, 3)
