"""What Meta's deliveries become, through HTTP, on a real database."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text

from crm.db import db
from crm.models import (
    Chat,
    Client,
    ClientIdentity,
    EarlyReceipt,
    Message,
    WebhookEvent,
    WhatsappNumber,
)
from tests.blueprints.meta_desk import count, in_parallel, ledger, other_app
from tests.factories import make_campaign, make_number
from tests.providers.deliveries import body, post, status, typed, words

pytestmark = pytest.mark.usefixtures("fresh_secrets")


# --- a message -----------------------------------------------------------------------------------


def test_it_stores_a_message_with_its_client_and_chat(
    client: FlaskClient, number: WhatsappNumber
) -> None:
    raw = body(words("wamid.1"))
    assert post(client, raw) == 200
    message = db.session.scalars(select(Message)).one()
    assert (message.content, message.direction, message.status) == ("Hola", "inbound", "delivered")
    assert message.position.timestamp() == 1780000000
    person = db.session.scalars(select(Client)).one()
    assert person.phone_number == "+573001234567"
    assert (person.first_name, person.country) == ("Ana María", "CO")
    chat = db.session.scalars(select(Chat)).one()
    assert (chat.status, chat.message_count, chat.unread_count) == ("new", 1, 1)
    assert chat.last_message_id == message.id
    [event] = ledger()
    assert (event.body, event.status, event.whatsapp_number_id) == (raw, "processed", number.id)


# --- what is no delivery -------------------------------------------------------------------------


def test_nul_surrogates_and_a_hundred_kilobytes_of_emoji_are_stored_clean(
    client: FlaskClient, number: WhatsappNumber
) -> None:
    odd = body(words("wamid.1", "hay")).replace(b'"hay"', rb'"a\u0000b\ud800"')
    assert post(client, odd) == 200
    image = {"id": "1", "caption": "x"}
    odd = body(typed("wamid.2", "image", image)).replace(b'"x"', rb'"\u0000\udfff"')
    assert post(client, odd) == 200
    assert post(client, body(words("wamid.3", "😀" * 25_000))) == 200
    contents = db.session.scalars(select(Message.content).order_by(Message.id)).all()
    assert contents == ["ab\ufffd", "\ufffd", "😀" * 25_000]
    assert ledger()[0].body.count(b"u0000") == 1


def test_an_unknown_number_field_or_type_is_kept(
    client: FlaskClient, number: WhatsappNumber
) -> None:
    assert post(client, body(words("wamid.1"), number="999")) == 200
    assert post(client, body(field="quantum_update", event="QUANTUM")) == 200
    assert post(client, body(typed("wamid.2", "hologram", {"depth": 3}))) == 200
    assert post(client, b'{"object": "page", "entry": []}') == 200
    unknown, field, kind, product = ledger()
    assert (unknown.status, unknown.problems[0]["reason"]) == ("waiting", "unknown_number")
    assert (field.status, field.unknown_count) == ("processed", 1)
    assert (kind.status, kind.unknown_count) == ("processed", 1)
    assert (product.status, product.unknown_count) == ("processed", 1)
    message = db.session.scalars(select(Message)).one()
    assert (message.message_type, message.meta["raw"]["hologram"]) == ("unsupported", {"depth": 3})


# --- again, together, out of order ---------------------------------------------------------------


def test_the_same_delivery_fifty_times_at_once_is_one_message(
    app: Flask, number: WhatsappNumber
) -> None:
    assert in_parallel(app, [body(words("wamid.1"))] * 50) == [200] * 50
    assert (count(Message), count(Client), count(Chat), count(WebhookEvent)) == (1, 1, 1, 50)
    chat = db.session.scalars(select(Chat)).one()
    assert (chat.message_count, chat.unread_count) == (1, 1)


def test_fifty_messages_of_one_newcomer_at_once_are_one_client_and_one_chat(
    app: Flask, number: WhatsappNumber
) -> None:
    raws = [body(words(f"wamid.{n}", at=1780000000 + n)) for n in range(50)]
    assert in_parallel(app, raws) == [200] * 50
    assert (count(Message), count(Client), count(Chat)) == (50, 1, 1)
    chat = db.session.scalars(select(Chat)).one()
    assert (chat.message_count, chat.unread_count) == (50, 50)
    last = db.session.scalars(select(Message).where(Message.id == chat.last_message_id)).one()
    assert last.whatsapp_message_id == "wamid.49"


def test_many_newcomers_at_once_never_wait_in_a_circle(app: Flask, number: WhatsappNumber) -> None:
    people = [str(573000000000 + n) for n in range(6)]
    raws = [
        body(*(words(f"wamid.{n}.{p}", sender=p) for p in (people if n % 2 else people[::-1])))
        for n in range(16)
    ]
    assert in_parallel(app, raws) == [200] * 16
    assert (count(Message), count(Client), count(Chat)) == (96, 6, 6)


def test_a_replay_after_closing_opens_nothing(client: FlaskClient, number: WhatsappNumber) -> None:
    raw = body(words("wamid.1"))
    assert post(client, raw) == 200
    db.session.execute(text("UPDATE chats SET status = 'closed', closed_at = now()"))
    db.session.commit()
    assert post(client, raw) == 200
    assert (count(Message), count(Chat)) == (1, 1)


def test_a_status_before_its_message_is_kept_once(
    client: FlaskClient, number: WhatsappNumber
) -> None:
    raw = body(statuses=[status("wamid.ours", "read"), status("wamid.ours", "delivered")])
    assert post(client, raw) == 200
    assert post(client, raw) == 200
    assert count(EarlyReceipt) == 2


def test_of_a_thousand_events_with_a_broken_one_the_others_are_stored(
    client: FlaskClient, number: WhatsappNumber
) -> None:
    messages: list[Any] = [
        words(f"wamid.{n}", sender=str(573000000000 + n % 40)) for n in range(999)
    ]
    messages.insert(500, {"type": "text", "text": {"body": "no id"}})
    assert post(client, body(*messages)) == 200
    assert count(Message) == 999
    [event] = ledger()
    assert (event.status, event.event_count, len(event.problems)) == ("partly", 1000, 1)
    assert event.problems[0]["raw"] == {"type": "text", "text": {"body": "no id"}}


@pytest.fixture
def refusing(app: Flask) -> Any:
    """A database that refuses one word, as it would anything that we did not foresee."""
    with db.engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE messages ADD CONSTRAINT ck_word CHECK (content <> 'prohibida')")
        )
    yield
    db.session.rollback()
    with db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE messages DROP CONSTRAINT ck_word"))


def test_what_the_database_refuses_harms_no_other_event(
    client: FlaskClient, number: WhatsappNumber, refusing: None
) -> None:
    messages = [words(f"wamid.{n}", "prohibida" if n == 5 else "bien") for n in range(10)]
    receipts = [status("wamid.ours", "delivered")]
    assert post(client, body(*messages, statuses=receipts)) == 200
    assert (count(Message), count(EarlyReceipt)) == (9, 1)
    [event] = ledger()
    assert event.status == "partly"
    assert event.problems[0]["whatsapp_message_id"] == "wamid.5"
    chat = db.session.scalars(select(Chat)).one()
    assert chat.message_count == 9


def test_a_bad_post_does_not_fail_its_neighbours(
    app: Flask, number: WhatsappNumber, refusing: None
) -> None:
    raws = [
        body(words(f"wamid.{n}", "prohibida" if n == 3 else "bien", sender=str(573000000000 + n)))
        for n in range(12)
    ]
    assert in_parallel(app, raws) == [200] * 12
    assert count(Message) == 11
    statuses = sorted(event.status for event in ledger())
    assert statuses == ["failed"] + ["processed"] * 11


def test_late_messages_keep_the_provider_s_time(
    client: FlaskClient, number: WhatsappNumber
) -> None:
    newest, week = 1780600000, 7 * 86400
    assert post(client, body(words("wamid.1", at=newest))) == 200
    assert post(client, body(words("wamid.2", at=newest - week))) == 200
    chat = db.session.scalars(select(Chat)).one()
    assert chat.last_inbound_at.timestamp() == newest
    assert chat.last_message_at.timestamp() == newest
    thread = db.session.scalars(select(Message).order_by(Message.position, Message.id))
    assert [m.whatsapp_message_id for m in thread] == ["wamid.2", "wamid.1"]


# --- when something is away ----------------------------------------------------------------------


def test_a_database_that_is_away_is_503(app: Flask, environment: dict[str, str]) -> None:
    dead = other_app(environment, DATABASE_URL="postgresql://charla@127.0.0.1:9/charla")
    assert post(dead.test_client(), body(words("wamid.1"))) == 503


def test_a_connection_that_breaks_is_503_or_healed_and_the_next_delivery_is_stored(
    app: Flask, number: WhatsappNumber
) -> None:
    client = app.test_client()
    assert post(client, body(words("wamid.1"))) == 200
    others = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'charla' AND pid <> pg_backend_pid()"
    )
    engine = sqlalchemy.create_engine(app.config["SQLALCHEMY_DATABASE_URI"])
    db.session.remove()
    with engine.connect() as connection:
        connection.execute(others)
    engine.dispose()
    assert post(client, body(words("wamid.2"))) in {200, 503}
    assert post(client, body(words("wamid.2"))) == 200
    assert count(Message) == 2


def test_redis_away_delays_nobody_and_loses_nothing(
    app: Flask, environment: dict[str, str], number: WhatsappNumber
) -> None:
    lonely = other_app(environment, REDIS_URL="redis://127.0.0.1:9/0")
    try:
        assert post(lonely.test_client(), body(words("wamid.1"))) == 200
    finally:
        other_app(environment)  # binds the shared client to the real one again
    assert count(Message) == 1


def test_a_chat_that_stays_locked_sends_only_its_own_delivery_back(
    app: Flask, number: WhatsappNumber
) -> None:
    client = app.test_client()
    assert post(client, body(words("wamid.1", sender="573000000001"))) == 200
    assert post(client, body(words("wamid.2", sender="573000000002"))) == 200
    engine = sqlalchemy.create_engine(app.config["SQLALCHEMY_DATABASE_URI"])
    with engine.begin() as holder:
        holder.execute(text("SELECT FROM chats ORDER BY id LIMIT 1 FOR UPDATE"))
        answers = in_parallel(
            app,
            [
                body(words("wamid.3", sender="573000000001")),
                body(words("wamid.4", sender="573000000002")),
            ],
        )
    engine.dispose()
    assert sorted(answers) == [200, 503]
    stored = set(db.session.scalars(select(Message.whatsapp_message_id)))
    assert stored == {"wamid.1", "wamid.2", "wamid.4"}


def test_two_numbers_of_one_client_are_two_chats(
    client: FlaskClient, number: WhatsappNumber
) -> None:
    make_number(campaign=make_campaign(), meta_phone_number_id="222")
    db.session.commit()
    assert post(client, body(words("wamid.1"))) == 200
    assert post(client, body(words("wamid.2"), number="222")) == 200
    assert (count(Client), count(Chat), count(ClientIdentity)) == (1, 2, 1)


Shape = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data["entry"].append(None),
        lambda data: data.update(entry="x"),
        lambda data: data["entry"][0].update(changes={"field": "messages"}),
        lambda data: data["entry"][0]["changes"][0].update(value=[1]),
        lambda data: data["entry"][0]["changes"][0]["value"].update(metadata=None),
        lambda data: data["entry"][0]["changes"][0]["value"].update(contacts="x"),
        lambda data: data["entry"][0]["changes"][0]["value"].update(messages={"id": 1}),
    ],
)
def test_an_odd_shape_never_is_a_server_error_and_is_kept(
    client: FlaskClient, number: WhatsappNumber, spoil: Shape
) -> None:
    data = json.loads(body(words("wamid.1")))
    spoil(data)
    assert post(client, json.dumps(data).encode()) == 200
    assert count(WebhookEvent) == 1
