"""What is written on the number's own phone, and what it makes of the chat."""

from __future__ import annotations

import pytest
from flask import Flask

from crm.db import db
from crm.models import Chat, ChatEvent, ChatOwner, ChatStatus, WhatsappNumber
from tests.factories import make_campaign, make_number
from tests.providers.deliveries import PHONE_NUMBER_ID, body, words
from tests.services.way_in import NOW, echo, every, message, only_chat, take_in


@pytest.fixture(autouse=True)
def number(database: Flask) -> WhatsappNumber:
    number = make_number(campaign=make_campaign(), meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    return number


def test_a_human_word_from_the_phone_makes_the_chat_active_and_counts_as_the_response() -> None:
    take_in(body(words("wamid.1", at=NOW)), echo("wamid.2", at=NOW + 60))

    chat = only_chat()
    said = message("wamid.2")
    assert (chat.status, chat.owner) == (ChatStatus.ACTIVE, ChatOwner.PHONE)
    assert chat.assigned_agent_id is None
    assert chat.first_response_at == said.position
    assert chat.waiting_since is None
    assert chat.message_count == 2
    assert chat.last_message_id == said.id
    assert (said.direction, said.status, said.meta["origin"]) == ("outbound", "sent", "phone")  # type: ignore[index]
    answered = every(ChatEvent, kind="answered")
    assert [(event.actor_kind, event.reason) for event in answered] == [("phone", "phone")]


def test_the_same_echo_again_is_one_message() -> None:
    take_in(body(words("wamid.1", at=NOW)), *[echo("wamid.2", at=NOW + 60)] * 3)
    assert only_chat().message_count == 2
    assert len(every(ChatEvent, kind="answered")) == 1


def test_an_echo_opens_no_chat_and_no_window_and_stands_in_the_one_that_opens_later() -> None:
    take_in(echo("wamid.1", "¿Sigue interesada?", at=NOW))
    chat = only_chat()
    assert (chat.status, chat.close_reason, chat.last_inbound_at) == ("closed", "silent", None)

    take_in(body(words("wamid.2", "Sí", at=NOW + 60)))
    db.session.refresh(chat)
    assert (chat.status, chat.closed_at, chat.message_count) == ("new", None, 2)


@pytest.mark.parametrize("first", ["word", "echo"])
def test_the_order_in_which_word_and_answer_come_does_not_matter(first: str) -> None:
    word, answer = body(words("wamid.1", at=NOW)), echo("wamid.2", at=NOW + 60)
    take_in(*((word, answer) if first == "word" else (answer, word)))
    chat = only_chat()
    assert (chat.status, chat.owner) == (ChatStatus.ACTIVE, ChatOwner.PHONE)
    assert chat.waiting_since is None


@pytest.mark.parametrize("first", ["word", "echo"])
def test_the_phone_s_greeting_stops_nothing(first: str) -> None:
    word, greeting = body(words("wamid.1", at=NOW)), echo("wamid.2", "¡Hola!", at=NOW + 3)
    take_in(*((word, greeting) if first == "word" else (greeting, word)))
    chat = only_chat()
    assert chat.status == ChatStatus.NEW
    assert chat.first_response_at is None
    assert chat.waiting_since is not None
    assert message("wamid.2").meta["automatic"] == "greeting"  # type: ignore[index]


def test_the_same_words_to_three_customers_in_an_hour_are_no_answer() -> None:
    people = ("573001110001", "573001110002", "573001110003")
    for n, person in enumerate(people):
        take_in(body(words(f"wamid.in{n}", sender=person, at=NOW + n)))
    for n, person in enumerate(people):
        take_in(echo(f"wamid.out{n}", "Volvemos el lunes", to=person, at=NOW + 100 + n))
    states = [chat.status for chat in every(Chat)]
    assert states == [ChatStatus.ACTIVE, ChatStatus.ACTIVE, ChatStatus.NEW]


def test_a_customer_who_writes_again_waits_for_the_next_word() -> None:
    take_in(
        body(words("wamid.1", at=NOW)),
        echo("wamid.2", at=NOW + 60),
        body(words("wamid.3", "¿Y el envío?", at=NOW + 120)),
    )
    chat = only_chat()
    assert chat.status == ChatStatus.ACTIVE
    assert chat.waiting_since == message("wamid.3").position


def test_a_word_that_comes_late_was_answered_already() -> None:
    take_in(
        body(words("wamid.1", at=NOW)),
        echo("wamid.3", at=NOW + 60),
        body(words("wamid.2", "y otra cosa", at=NOW + 20)),
    )
    assert only_chat().waiting_since is None


def test_what_was_taken_for_an_answer_and_was_a_greeting_lets_the_customer_wait() -> None:
    take_in(
        body(words("wamid.1", at=NOW)),
        echo("wamid.3", at=NOW + 63),
        body(words("wamid.2", at=NOW + 60)),
    )
    chat = only_chat()
    assert chat.status == ChatStatus.QUEUED
    assert chat.owner is None
    assert chat.first_response_at is None
    assert chat.waiting_since == message("wamid.1").position


def test_an_echo_that_says_not_to_whom_is_kept_in_the_ledger_alone() -> None:
    take_in(echo("wamid.1", to=""))
    assert every(Chat) == []
