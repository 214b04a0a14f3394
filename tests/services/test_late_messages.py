"""A message that was long on its way gets no automatic answer; one of just now does."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import Direction, Message
from crm.services.routing.texts import answer, lock_client, say
from tests.factories import make_chat, make_message


@pytest.mark.parametrize(
    ("minutes", "is_answered"), [(0, True), (9, True), (11, False), (180, False), (4320, False)]
)
def test_a_late_message_is_not_answered_by_itself(
    app: Flask, minutes: int, is_answered: bool
) -> None:
    chat = make_chat()
    make_message(chat, sent_at=utcnow() - timedelta(minutes=minutes))
    db.session.commit()
    with atomic():
        lock_client(chat.client_id)
        assert answer(chat, "Bienvenida") is is_answered
        # What is no answer to it (a place in the line, a reminder) goes on.
        assert say(chat, "Su turno es el 2")
    told = select(Message.content).where(Message.direction == Direction.OUTBOUND)
    assert ("Bienvenida" in db.session.scalars(told).all()) is is_answered
