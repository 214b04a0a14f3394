"""A customer's own word ends advertising, with proof; within a sentence it is a word."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import func, select

from crm.db import db
from crm.lib.clock import utcnow
from crm.models import Client, ClientConsent, WhatsappNumber
from tests.factories import make_campaign, make_number
from tests.providers.deliveries import PHONE_NUMBER_ID, body, words
from tests.services.test_inbound import take_in


@pytest.fixture
def number(database: Flask) -> WhatsappNumber:
    number = make_number(campaign=make_campaign(), meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    return number


def test_a_word_alone_is_recorded_once_with_its_message(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1", "Hola")))
    client = db.session.scalars(select(Client)).one()
    client.opt_in_date = utcnow()
    db.session.commit()

    take_in(body(words("wamid.2", "  Baja. ")))
    take_in(body(words("wamid.2", "  Baja. ")))

    client = db.session.scalars(select(Client)).one()
    assert (client.opt_in, client.opt_in_date) == (False, None)
    proof = db.session.scalars(select(ClientConsent)).one()
    assert (proof.value, proof.source, proof.category) == ("stop", "word", "marketing_messages")
    assert proof.detail == "Baja. (wamid.2)"


def test_within_a_sentence_nothing_happens(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1", "¿Puedo cancelar la cita?")))
    assert db.session.scalar(select(func.count(ClientConsent.id))) == 0
    assert db.session.scalars(select(Client)).one().opt_in is True
