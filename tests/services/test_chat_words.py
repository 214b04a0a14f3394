"""What a human word and a look do to a chat: who owns it, what ends, what is counted."""

from __future__ import annotations

import threading

import pytest
from flask import Flask
from sqlalchemy import select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import ChatOwner, ChatStatus, Message, PendingReason
from crm.services import chats
from crm.services.chats import (
    ChatIsOver,
    IllegalMove,
    person,
)
from tests.cast import Cast
from tests.factories import make_message
from tests.services.chat_desk import Heard, app_of, chat_in, events_of


def test_the_first_human_word_makes_it_active_and_ends_the_wait(cast: Cast):
    chat = chat_in("assigned", cast, waiting_since=utcnow())
    with atomic():
        chats.record_human_reply(chat, cast.laura)
    assert chat.status is ChatStatus.ACTIVE
    assert chat.first_response_at is not None
    assert chat.waiting_since is None
    (event,) = events_of(chat)
    assert (event.kind, event.actor_user_id) == ("answered", cast.laura.id)


@pytest.mark.parametrize("status", ["new", "bot", "queued"])
def test_whoever_answers_a_chat_that_nobody_has_gets_it(cast: Cast, status: str, heard: Heard):
    chat = chat_in(status, cast)
    with atomic():
        chats.record_human_reply(chat, cast.jhon)
    assert (chat.status, chat.assigned_agent_id) == (ChatStatus.ACTIVE, cast.jhon.id)
    assert chat.assigned_at is not None
    assert chat.owner is ChatOwner.HUMAN
    if status == "bot":
        assert chat.bot_ended_at is not None


def test_a_word_by_somebody_else_counts_as_theirs_and_leaves_the_owner(cast: Cast):
    chat = chat_in("assigned", cast)
    with atomic():
        chats.record_human_reply(chat, cast.jhon)
    assert (chat.status, chat.assigned_agent_id) == (ChatStatus.ACTIVE, cast.laura.id)
    (event,) = events_of(chat)
    assert event.actor_user_id == cast.jhon.id


def test_the_first_response_is_set_once(cast: Cast):
    chat = chat_in("assigned", cast)
    with atomic():
        chats.record_human_reply(chat, cast.laura)
    first = chat.first_response_at
    with atomic():
        chats.assign_chat(chat, cast.jhon, actor=person(cast.marta.id), reason="by_hand")
    with atomic():
        chats.record_human_reply(chat, cast.jhon)
    assert chat.first_response_at == first


def test_a_further_word_moves_nothing_but_ends_the_wait(cast: Cast, heard: Heard):
    chat = chat_in("active", cast, waiting_since=utcnow())
    with atomic():
        chats.record_human_reply(chat, cast.laura)
    assert chat.waiting_since is None
    assert events_of(chat) == []
    assert len(heard.audiences("chat_changed")) == 1


def test_a_word_takes_the_chat_back_from_the_phone(cast: Cast):
    chat = chat_in("active", cast, owner=ChatOwner.PHONE)
    with atomic():
        chats.record_human_reply(chat, cast.laura)
    assert chat.owner is ChatOwner.HUMAN


def test_a_chat_that_the_phone_answered_may_be_taken_but_not_from_a_colleague(cast: Cast):
    chat = chat_in("active", cast, owner=ChatOwner.PHONE)
    with atomic():
        chat.assigned_agent_id = None
    with atomic():
        chats.pick_chat(chat, cast.laura)
    assert (chat.status, chat.owner, chat.assigned_agent_id) == (
        ChatStatus.ASSIGNED,
        ChatOwner.HUMAN,
        cast.laura.id,
    )
    with pytest.raises(IllegalMove), atomic():
        chats.pick_chat(chat, cast.jhon)


def test_writing_into_the_silence_keeps_a_chat_pending(cast: Cast):
    chat = chat_in("pending", cast)
    with atomic():
        chats.record_human_reply(chat, cast.laura)
    assert chat.status is ChatStatus.PENDING
    assert chat.pending_reason is PendingReason.CUSTOMER


def test_the_one_to_whom_it_is_offered_accepts_by_writing(cast: Cast):
    chat = chat_in("transferred", cast)
    with atomic():
        chats.record_human_reply(chat, cast.laura)
    assert (chat.status, chat.assigned_agent_id) == (ChatStatus.TRANSFERRED, cast.laura.id)
    with atomic():
        chats.record_human_reply(chat, cast.jhon)
    assert (chat.status, chat.assigned_agent_id) == (ChatStatus.ACTIVE, cast.jhon.id)
    assert chat.offered_agent_id is None


def test_nobody_writes_into_a_closed_chat(cast: Cast):
    chat = chat_in("closed", cast)
    with pytest.raises(ChatIsOver, match="Reopen"), atomic():
        chats.record_human_reply(chat, cast.laura)


def test_reading_is_the_owner_s_and_a_peek_changes_nothing(cast: Cast, heard: Heard):
    chat = chat_in("active", cast)
    with atomic():
        first, second = make_message(chat), make_message(chat)
        ours = make_message(chat, direction="outbound")
    version = chat.version
    with atomic():
        assert chats.mark_read(chat, cast.marta) == 0
    db.session.refresh(chat)
    assert (chat.unread_count, chat.version) == (2, version)
    assert heard.events == []
    with atomic():
        assert chats.mark_read(chat, cast.laura) == 2
    for message in (first, second, ours):
        db.session.refresh(message)
    assert chat.unread_count == 0
    assert first.read_at is not None
    assert second.read_at is not None
    assert ours.read_at is None
    assert len(heard.audiences("chat_changed")) == 1


def test_reading_again_is_silent(cast: Cast, heard: Heard):
    chat = chat_in("active", cast)
    with atomic():
        make_message(chat)
    with atomic():
        chats.mark_read(chat, cast.laura)
    heard.events.clear()
    with atomic():
        assert chats.mark_read(chat, cast.laura) == 0
    assert heard.events == []


def test_a_message_that_comes_while_it_is_read_is_not_lost_from_the_count(cast: Cast):
    """The reader holds the chat; what comes in meanwhile counts after the zero."""
    chat = chat_in("active", cast)
    with atomic():
        make_message(chat)

    def receive(app: Flask) -> None:
        with app.app_context(), atomic():
            make_message(chats.lock_chat(chat.id))

    with atomic():
        chats.mark_read(chat, cast.laura)
        thread = threading.Thread(target=receive, args=(app_of(),))
        thread.start()
        thread.join(timeout=0.2)
        assert thread.is_alive(), "the second writer waits for the reader"
    thread.join(timeout=10)
    db.session.refresh(chat)
    unread = db.session.scalars(
        select(Message).where(Message.chat_id == chat.id, Message.read_at.is_(None))
    ).all()
    assert chat.unread_count == len(unread) == 1
