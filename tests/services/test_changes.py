"""Reactions, edits and deletions: shown on their message, whatever comes first."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import Chat, Message, WhatsappNumber
from crm.providers.meta.webhook import parse
from crm.services import inbox
from crm.services.messages.inbound import receive
from crm.services.messages.ledger import Post
from tests.factories import make_campaign, make_message, make_number
from tests.providers.deliveries import PHONE_NUMBER_ID, body, typed, words

NOW = int(utcnow().timestamp()) - 600


@pytest.fixture
def number(database: Flask) -> WhatsappNumber:
    number = make_number(campaign=make_campaign(), meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    return number


def take_in(*messages: Any) -> None:
    with atomic():
        receive([Post(raw, parse(raw)) for raw in (body(message) for message in messages)])
    db.session.expire_all()


def bubbles() -> list[Any]:
    chat = db.session.scalars(select(Chat).order_by(Chat.id)).first()
    assert chat is not None
    return [item for item in inbox.load_thread(chat).items if isinstance(item, inbox.Bubble)]


def react(message_id: str, target: str, emoji: str, at: int) -> Any:
    return typed(message_id, "reaction", {"message_id": target, "emoji": emoji}, at=at)


def edit(message_id: str, target: str, new: str, at: int) -> Any:
    inner = {"type": "text", "text": {"body": new}}
    return typed(message_id, "edit", {"original_message_id": target, "message": inner}, at=at)


def revoke(message_id: str, target: str, at: int) -> Any:
    return typed(message_id, "revoke", {"original_message_id": target}, at=at)


def test_a_reaction_stands_on_its_message_and_the_last_one_counts(number: WhatsappNumber) -> None:
    take_in(
        words("wamid.1", at=NOW),
        react("wamid.2", "wamid.1", "👍", NOW + 1),
        react("wamid.3", "wamid.1", "❤️", NOW + 2),
    )
    [bubble] = bubbles()
    assert bubble.reactions == ("❤️",)

    take_in(react("wamid.4", "wamid.1", "", NOW + 3))
    [bubble] = bubbles()
    assert bubble.reactions == ()


def test_a_reaction_is_seen_on_a_message_of_an_earlier_chat(number: WhatsappNumber) -> None:
    take_in(words("wamid.1", at=NOW))
    chat = db.session.scalars(select(Chat)).one()
    ours = make_message(chat, content="¿Algo más?", direction="outbound", status="sent")
    ours.whatsapp_message_id = "wamid.ours"
    chat.status = "closed"
    chat.closed_at = utcnow()
    db.session.commit()
    take_in(words("wamid.2", "Otra pregunta", at=NOW + 10))
    take_in(react("wamid.3", "wamid.ours", "👍", NOW + 11))

    assert [(bubble.text, bubble.reactions) for bubble in bubbles()] == [
        ("Hola", ()),
        ("¿Algo más?", ("👍",)),
    ]


def test_what_speaks_of_an_unknown_message_is_a_line_until_that_message_is_here(
    number: WhatsappNumber,
) -> None:
    take_in(react("wamid.2", "wamid.1", "👍", NOW + 1))
    assert [bubble.kind for bubble in bubbles()] == ["reaction"]
    take_in(words("wamid.1", at=NOW))
    assert [(bubble.kind, bubble.reactions) for bubble in bubbles()] == [("text", ("👍",))]


EVENTS = (
    words("wamid.1", "uno", at=NOW),
    edit("wamid.2", "wamid.1", "dos", NOW + 1),
    edit("wamid.3", "wamid.1", "tres", NOW + 2),
    revoke("wamid.4", "wamid.1", NOW + 3),
)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_edits_and_deletions_end_the_same_in_any_order(
    number: WhatsappNumber, order: tuple[int, ...]
) -> None:
    for at in order:
        take_in(EVENTS[at])
    message = db.session.scalars(select(Message).filter_by(whatsapp_message_id="wamid.1")).one()
    assert message.content == "tres"
    assert message.meta is not None
    assert message.meta["edited"]["original"] == "uno"
    assert message.meta["edited"]["times"] == 2
    assert message.deleted_at is not None
    assert int(message.deleted_at.timestamp()) == NOW + 3
    [bubble] = bubbles()
    assert bubble.is_revoked
    assert db.session.scalars(select(Chat)).one().message_count == 1


def test_one_side_cannot_change_the_words_of_the_other(number: WhatsappNumber) -> None:
    take_in(words("wamid.1", at=NOW))
    chat = db.session.scalars(select(Chat)).one()
    ours = make_message(chat, content="Son $100", direction="outbound", status="sent")
    ours.whatsapp_message_id = "wamid.ours"
    db.session.commit()
    take_in(edit("wamid.2", "wamid.ours", "Es gratis", NOW + 1))
    db.session.refresh(ours)
    assert ours.content == "Son $100"
