"""The steps of the delivery, each as its own transaction."""

import uuid

from sqlalchemy import text

from crm.db import atomic, db
from crm.providers.outbound import Effect, ProviderError, SendResult
from crm.services.messages import delivery, outcomes
from crm.services.messages.accepted import Accepted, record_sent
from crm.services.messages.loading import load_outgoing
from tests.factories import make_queued_message

ME, OTHER = uuid.uuid4(), uuid.uuid4()


def queue(chat, **fields):
    message = make_queued_message(chat, max_retries=6, **fields)
    db.session.commit()
    return message


def claim(number, settings, *, owner=ME, limit=10):
    with atomic():
        return delivery.claim_due({number.id: limit}, owner=owner, settings=settings)


def claim_one(number, settings, **more):
    (found,) = claim(number, settings, **more).claims
    return found


def submit(found, settings):
    with atomic():
        return delivery.mark_submitted([found], settings=settings)[0]


def fail(found, settings, effect=Effect.RETRY, code="131000", **more):
    error = ProviderError("Words.", effect=effect, code=code, **more)
    with atomic():
        return outcomes.record_error(found, error, settings=settings)


def succeed(found, wamid="wamid.OK", **more):
    with atomic():
        return record_sent([Accepted(found, SendResult(wamid, **more))], zone="America/Bogota")[0]


def fresh(row):
    db.session.refresh(row)
    return row


def age(message, **columns):
    """Move times of a queue row into the past: {column: seconds}."""
    for column, seconds in columns.items():
        db.session.execute(
            text(
                f"UPDATE message_queue SET {column} = clock_timestamp() - make_interval(secs => :s)"
                " WHERE message_id = :id"
            ),
            {"s": seconds, "id": message.id},
        )
    db.session.commit()


def ids(claimed):
    return [one.message_id for one in claimed.claims]


def load(found, settings):
    with atomic():
        (load,) = load_outgoing([found], settings=settings)
    if isinstance(load, ProviderError):
        raise load
    return load
