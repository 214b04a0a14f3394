"""A customer's own word ends advertising, with proof; within a sentence it is a word."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import ColumnElement, false, func, select, true

from crm.db import db
from crm.lib.clock import utcnow
from crm.models import Client, ClientConsent, ConsentValue, Message, WhatsappNumber
from crm.services.inbox.consents import Consent, read_consent, recent_choices
from crm.services.messages.preferences import record_consent
from tests.factories import make_campaign, make_number
from tests.providers.deliveries import PHONE_NUMBER_ID, body, words
from tests.services.test_inbound import take_in


@pytest.fixture
def number(database: Flask) -> WhatsappNumber:
    number = make_number(campaign=make_campaign(), meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    return number


def consent_of(client: Client, visible: ColumnElement[bool]) -> Consent:
    recent = select(recent_choices()).select_from(Client).where(Client.id == client.id)
    return read_consent(client, db.session.scalar(recent), visible)


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

    said = db.session.scalars(select(Message).where(Message.whatsapp_message_id == "wamid.2")).one()
    shown = consent_of(client, true())
    assert shown.state == "no"
    (choice,) = shown.choices
    assert (choice.words, choice.chat_id, choice.message_id) == ("Baja.", said.chat_id, said.id)
    (unseen,) = consent_of(client, false()).choices
    assert (unseen.words, unseen.message_id) == ("", None), "their chat is not this person's to see"


def test_the_newest_choice_says_where_a_customer_stands(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1", "Hola")))
    client = db.session.scalars(select(Client)).one()
    assert consent_of(client, true()) == Consent("unasked", None, ())
    yesterday = utcnow() - timedelta(days=1)
    record_consent(client.id, value=ConsentValue.STOP, at=yesterday, source="refusal")
    assert consent_of(client, true()).state == "no"
    record_consent(client.id, value=ConsentValue.SIGNUP, at=utcnow(), source="whatsapp")
    shown = consent_of(client, true())
    assert (shown.state, shown.at) == ("yes", client.opt_in_date)
    assert [choice.source for choice in shown.choices] == ["whatsapp", "refusal"]


def test_within_a_sentence_nothing_happens(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1", "¿Puedo cancelar la cita?")))
    assert db.session.scalar(select(func.count(ClientConsent.id))) == 0
    assert db.session.scalars(select(Client)).one().opt_in is True
