"""Writing, draining and looking at what became of it, for the tests of the delivery job."""

import time
from collections import Counter, defaultdict

from flask import current_app
from sqlalchemy import select

from crm.db import atomic, db
from crm.jobs import messages as job
from crm.lib.crypto import encrypt
from crm.models import Message, QueuedMessage, QueueStatus
from crm.services.messages.contents import Text
from crm.services.messages.outbound import queue_outbound
from tests.factories import make_campaign, make_chat, make_client, make_number


def number_at(product, whatsapp, phone_number_id):
    keys = product.config["CRM"].encryption_keys
    number = make_number(
        campaign=make_campaign(),
        meta_phone_number_id=phone_number_id,
        meta_access_token=encrypt(whatsapp.token, keys),
        rate_limit_per_minute=0,
    )
    db.session.commit()
    return number


def open_chat(whatsapp, number):
    """A chat with a customer who has just written, on both sides of the wire."""
    client = make_client()
    wa_id = client.phone_number.lstrip("+")
    whatsapp.say(wa_id=wa_id, number_id=number.meta_phone_number_id, name="Ana", text="Hola")
    chat = make_chat(number=number, client=client)
    db.session.commit()
    return chat


def write(chat, words):
    with atomic():
        return queue_outbound(chat, Text(words))


def drain(number):
    """The job, as the worker runs it: it ends with a session of its own."""
    number_id = number.id
    with current_app.app_context():
        job.deliver(number_id)


def drain_until_quiet(number, *, seconds=20):
    """What the clock does: ring again for what is due, until nothing waits."""
    deadline = time.monotonic() + seconds
    while True:
        drain(number)
        db.session.rollback()
        waiting = select(QueuedMessage.id).where(
            QueuedMessage.status.in_([QueueStatus.PENDING, QueueStatus.PROCESSING])
        )
        if not db.session.scalars(waiting).all():
            return
        assert time.monotonic() < deadline, "something waits for ever"
        time.sleep(0.05)


def statuses():
    db.session.expire_all()
    return Counter(db.session.scalars(select(Message.status)))


def accepted_texts(whatsapp):
    """What the provider took, in its order, per recipient."""
    per_person = defaultdict(list)
    for row in whatsapp.accepted():
        per_person[row["wa_id"]].append(row["text"])
    return per_person
