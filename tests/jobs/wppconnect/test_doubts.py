"""Sends through WPPConnect of which nobody saw the end."""

import pytest
from sqlalchemy import text

from crm.db import db
from crm.models import (
    Message,
)
from tests.gateway import Line

# The simulated server says of such a number that it has no WhatsApp, and means it.
NOBODY = "573000000000"


@pytest.mark.parametrize("fault", ["cut_reply", "error_after_accept", "malformed_reply"])
def test_a_send_in_doubt_is_found_in_the_history(line: Line, fault: str) -> None:
    line.start_talking()
    line.whatsapp.set_fault(fault, count=1)
    line.whatsapp.set_fault("wpp_webhook")
    message = line.answer("¿Llegó esto?")
    line.deliver()
    assert line.status_of(message) == "uncertain"
    line.whatsapp.clear_faults()
    line.reconcile()
    assert line.status_of(message) in {"sent", "delivered"}
    assert [row["text"] for row in line.whatsapp.accepted()] == ["¿Llegó esto?"]


def test_a_refused_number_that_was_written_to_all_the_same_is_sent(line: Line) -> None:
    line.start_talking()
    line.whatsapp.set_fault("wpp_refuse", count=1)
    message = line.answer("No existe, dice")
    line.deliver()
    assert line.status_of(message) == "uncertain"
    line.reconcile()
    assert line.status_of(message) in {"sent", "delivered"}


def test_a_refused_number_that_was_not_written_to_has_failed(line: Line) -> None:
    line.link()
    line.say("Hola", wa_id=NOBODY)
    line.wait(lambda: line.texts() == ["Hola"])
    message = line.answer("A nadie")
    line.deliver()
    assert line.status_of(message) == "uncertain"
    line.reconcile()
    assert line.status_of(message) == "uncertain"  # it may still be on its way
    earlier = "UPDATE message_queue SET submitted_at = submitted_at - interval '1 minute'"
    db.session.execute(text(earlier))
    db.session.commit()
    line.reconcile()
    assert line.status_of(message) == "failed"
    assert line.whatsapp.accepted() == []


def test_silence_before_the_call_was_taken_stays_in_doubt_and_is_never_sent_again(
    line: Line,
) -> None:
    line.start_talking()
    line.whatsapp.set_fault("cut_before", count=1)
    message = line.answer("¿Quién sabe?")
    line.deliver()
    line.reconcile()
    line.deliver()
    assert line.status_of(message) == "uncertain"
    assert line.whatsapp.accepted() == []


def test_an_answer_with_nothing_in_it_is_a_failure(line: Line) -> None:
    line.start_talking()
    line.whatsapp.set_fault("wpp_empty", count=1)
    message = line.answer("Al vacío")
    line.deliver()
    assert line.status_of(message) == "failed"
    assert db.session.get_one(Message, message).error_code == "wpp_empty"


def test_a_lost_session_holds_the_answers_until_it_is_back(line: Line) -> None:
    line.start_talking()
    line.order("lose")
    message = line.answer("Espere un momento")
    line.deliver()
    assert line.status_of(message) == "pending"
    line.until("connected")
    line.deliver()
    line.wait(lambda: line.status_of(message) in {"sent", "delivered"})
    assert len(line.whatsapp.accepted()) == 1
