"""How messages find their client and chat, what they count, and what opens nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import redis
from flask import Flask
from sqlalchemy import func, select, text

from crm.db import atomic, db
from crm.events import CHANNEL, decode
from crm.extensions import redis_client
from crm.lib.clock import utcnow
from crm.models import (
    Chat,
    ChatEvent,
    ChatStatus,
    Client,
    ClientIdentity,
    Message,
    WebhookEvent,
    WhatsappNumber,
)
from crm.providers.meta.webhook import parse
from crm.services.messages.inbound import receive
from crm.services.messages.ledger import Post
from crm.services.messages.replay import process_waiting, replay
from tests.factories import (
    link_number,
    make_campaign,
    make_chat,
    make_client,
    make_number,
    make_user,
)
from tests.providers.deliveries import PHONE_NUMBER_ID, SENDER, body, status, typed, words

NOW = int(utcnow().timestamp())


@pytest.fixture
def number(database: Flask) -> WhatsappNumber:
    number = make_number(
        campaign=make_campaign(code="VENTAS"), meta_phone_number_id=PHONE_NUMBER_ID
    )
    db.session.commit()
    return number


def take_in(*raws: bytes) -> None:
    """One transaction with these deliveries, as the web door makes it."""
    with atomic():
        receive([Post(raw, parse(raw)) for raw in raws])
    db.session.expire_all()


def take_in_and_fail(raw: bytes) -> None:
    with atomic():
        receive([Post(raw, parse(raw))])
        raise RuntimeError("the door fails after all")


def one(model: Any, **filters: Any) -> Any:
    return db.session.scalars(select(model).filter_by(**filters)).one()


def every(model: Any) -> list[Any]:
    return list(db.session.scalars(select(model).order_by(model.id)))


def close(chat: Chat, *, minutes_ago: float = 0) -> None:
    chat.status = ChatStatus.CLOSED
    chat.closed_at = utcnow() - timedelta(minutes=minutes_ago)
    db.session.commit()


# --- chats ---------------------------------------------------------------------------------------


def test_a_first_word_opens_a_chat_with_its_event_and_case_number(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1", at=NOW)))
    chat = one(Chat)
    assert chat.case_number.startswith("VENTAS-")
    assert chat.campaign_id == number.campaign_links[0].campaign_id
    event = one(ChatEvent)
    assert (event.kind, event.from_status, event.to_status) == ("opened", None, "new")
    assert event.actor_kind == "client"
    assert event.data["terms"]["first_response_seconds"] == 60


def test_the_next_words_join_the_open_chat_and_are_counted(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1", at=NOW - 60)))
    version = one(Chat).version
    take_in(body(words("wamid.2", at=NOW - 30), words("wamid.3", at=NOW - 20)))
    chat = one(Chat)
    assert (chat.message_count, chat.unread_count) == (3, 3)
    assert chat.version == version + 1
    assert chat.waiting_since.timestamp() == NOW - 60
    assert chat.last_inbound_at.timestamp() == NOW - 20
    assert chat.last_message_id == one(Message, whatsapp_message_id="wamid.3").id
    assert one(Client).last_contact_at.timestamp() == NOW - 20


def test_new_chats_go_to_the_active_campaign_of_highest_priority(number: WhatsappNumber) -> None:
    paused = make_campaign(status="paused")
    link_number(paused, number, priority=9)
    first = make_campaign()
    link_number(first, number, priority=5)
    link_number(make_campaign(), number, priority=5)
    db.session.commit()
    take_in(body(words("wamid.1")))
    assert one(Chat).campaign_id == first.id


def test_a_paused_campaign_takes_chats_where_no_other_does(database: Flask) -> None:
    make_number(campaign=make_campaign(status="paused"), meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    take_in(body(words("wamid.1")))
    assert one(Chat).status == "new"


def test_a_word_after_closing_opens_a_new_chat(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1")))
    close(one(Chat))
    take_in(body(words("wamid.2", "¿Y el envío cuánto cuesta?")))
    assert [chat.status for chat in every(Chat)] == ["closed", "new"]


@pytest.mark.parametrize(
    "thanks", ["Gracias!", "ok", "MUCHAS GRACIAS 🙏", "👍", "Valeu", "thank you"]
)
def test_a_courtesy_just_after_closing_joins_the_closed_chat_in_silence(
    number: WhatsappNumber, thanks: str
) -> None:
    take_in(body(words("wamid.1")))
    close(one(Chat), minutes_ago=2)
    take_in(body(words("wamid.2", thanks, at=NOW)))
    chat = one(Chat)
    assert (chat.status, chat.message_count, chat.unread_count) == ("closed", 2, 1)
    assert one(Message, whatsapp_message_id="wamid.2").read_at is not None


@pytest.mark.parametrize(
    ("content", "minutes"),
    [
        ("gracias, ¿y el envío?", 2),
        ("ok pero no me llegó nada todavía", 2),
        ("gracias?", 2),
        ("gracias", 11),
    ],
)
def test_what_is_more_than_a_courtesy_opens_a_chat(
    number: WhatsappNumber, content: str, minutes: float
) -> None:
    take_in(body(words("wamid.1")))
    close(one(Chat), minutes_ago=minutes)
    take_in(body(words("wamid.2", content, at=int(utcnow().timestamp()))))
    assert len(every(Chat)) == 2


def test_a_courtesy_before_a_question_in_one_delivery_does_not_swallow_it(
    number: WhatsappNumber,
) -> None:
    take_in(body(words("wamid.1")))
    close(one(Chat), minutes_ago=2)
    take_in(body(words("wamid.2", "gracias", at=NOW), words("wamid.3", "una cosa más", at=NOW)))
    closed, opened = every(Chat)
    assert (closed.message_count, opened.message_count) == (2, 1)
    assert one(Message, whatsapp_message_id="wamid.3").chat_id == opened.id


SILENT = [
    typed("wamid.9", "reaction", {"message_id": "wamid.1", "emoji": "👍"}),
    typed("wamid.9", "system", {"body": "cambió", "type": "customer_identity_changed"}),
    typed("wamid.9", "edit", {"original_message_id": "wamid.1", "message": {"type": "text"}}),
    typed("wamid.9", "revoke", {"original_message_id": "wamid.1"}),
    typed("wamid.9", "request_welcome", {}),
    words("wamid.9", group_id="120363"),
]


@pytest.mark.parametrize("message", SILENT, ids=lambda message: message["type"])
def test_what_is_no_word_of_the_customer_opens_nothing(
    number: WhatsappNumber, message: dict[str, Any]
) -> None:
    take_in(body(message))
    chat = one(Chat)
    assert (chat.status, chat.unread_count, chat.waiting_since) == ("closed", 0, None)
    assert one(ChatEvent).kind == "kept"
    assert one(Message).chat_id == chat.id
    # And neither does it reopen, nor count as unread in an open one.
    take_in(body(words("wamid.1")))
    take_in(body({**message, "id": "wamid.10"}))
    # A group keeps a chat of its own; else what was only kept is part of the chat that opens.
    opened = every(Chat)[-1]
    apart = 2 if "group_id" in message else 1
    assert (len(every(Chat)), opened.status, opened.unread_count) == (apart, "new", 1)


def test_a_reaction_counts_as_no_message_but_renews_the_window(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1", at=NOW - 500)))
    take_in(body(typed("wamid.2", "reaction", {"message_id": "wamid.1"}, at=NOW - 10)))
    chat = one(Chat)
    assert (chat.message_count, chat.last_inbound_at.timestamp()) == (1, NOW - 10)
    assert chat.last_message_id == one(Message, whatsapp_message_id="wamid.1").id


def test_a_reaction_and_a_word_in_one_delivery_open_one_chat(number: WhatsappNumber) -> None:
    reaction = typed("wamid.1", "reaction", {"message_id": "wamid.0", "emoji": "👍"})
    take_in(body(reaction, words("wamid.2")))
    chat = one(Chat)
    assert (chat.status, chat.unread_count) == ("new", 1)


def test_a_blocked_client_joins_the_last_chat_in_silence(number: WhatsappNumber) -> None:
    client = make_client(phone_number=f"+{SENDER}", is_blocked=True)
    chat = make_chat(
        client=client, number=number, status=ChatStatus.CLOSED, closed_at=utcnow(), message_count=0
    )
    db.session.commit()
    take_in(body(words("wamid.1", "¡Contesten!")))
    assert one(Message).chat_id == chat.id
    assert (one(Chat).status, one(Chat).unread_count) == ("closed", 0)


# --- clients -------------------------------------------------------------------------------------


def test_a_client_is_found_by_any_identity_and_new_ones_are_added(number: WhatsappNumber) -> None:
    both = {"profile": {"name": "Ana"}, "wa_id": SENDER, "user_id": "CO.1"}
    hidden = {"profile": {"name": "Ana"}, "user_id": "CO.1"}
    take_in(body(words("wamid.1")))
    take_in(body(words("wamid.2"), contacts=[both]))
    take_in(body(words("wamid.3", sender=None, from_user_id="CO.1"), contacts=[hidden]))
    client = one(Client)
    assert {(i.kind, i.value) for i in client.identities} == {
        ("wa_id", SENDER),
        ("user_id", "CO.1"),
    }
    assert one(Chat).message_count == 3


def test_a_client_without_a_phone_is_a_client(number: WhatsappNumber) -> None:
    hidden = {"profile": {"name": "Ana", "username": "@ana"}, "user_id": "CO.1"}
    take_in(body(words("wamid.1", sender=None, from_user_id="CO.1"), contacts=[hidden]))
    assert (one(Client).phone_number, one(Client).first_name) == (None, "Ana")
    assert one(ClientIdentity).username == "ana"


def test_a_client_who_was_imported_is_found_by_phone(number: WhatsappNumber) -> None:
    client = make_client(phone_number=f"+{SENDER}", first_name="Doña Ana")
    db.session.execute(text("DELETE FROM client_identities"))
    db.session.commit()
    take_in(body(words("wamid.1")))
    assert one(Client).id == client.id
    assert one(Client).first_name == "Doña Ana"
    assert one(ClientIdentity).value == SENDER


def test_two_spellings_of_a_number_are_one_person(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1", sender="551187654321")))
    take_in(body(words("wamid.2", sender="5511987654321")))
    assert one(Client).phone_number == "+551187654321"
    assert len(every(ClientIdentity)) == 2


def test_two_spellings_in_one_delivery_are_one_person(number: WhatsappNumber) -> None:
    take_in(
        body(words("wamid.1", sender="551187654321")),
        body(words("wamid.2", sender="5511987654321")),
    )
    assert (len(every(Client)), one(Chat).message_count) == (1, 2)


def test_the_profile_name_fills_only_an_empty_name(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1"), contacts=[{"wa_id": SENDER}]))
    assert one(Client).first_name is None
    take_in(body(words("wamid.2")))
    assert one(Client).first_name == "Ana María"
    one(Client).first_name = "Anita"
    db.session.commit()
    take_in(body(words("wamid.3")))
    assert one(Client).first_name == "Anita"


def test_a_deleted_client_who_writes_again_is_restored(number: WhatsappNumber) -> None:
    make_client(phone_number=f"+{SENDER}", deleted_at=utcnow())
    db.session.commit()
    take_in(body(typed("wamid.1", "reaction", {"message_id": "x"})))
    assert one(Client).deleted_at is not None
    take_in(body(words("wamid.2")))
    assert one(Client).deleted_at is None


def test_nobody_is_recognised_by_a_name_alone(number: WhatsappNumber) -> None:
    nameless = {"contacts": [{"profile": {"name": "Alguien"}}]}
    first = words("wamid.1", sender=None)
    second = words("wamid.2", sender=None)
    take_in(body(first, **nameless), body(second, **nameless))
    take_in(body(first, **nameless))
    assert (len(every(Client)), len(every(Message)), len(every(Chat))) == (2, 2, 2)


# --- time ----------------------------------------------------------------------------------------


def test_a_time_to_come_is_taken_for_now(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1", at=9_999_999_999)))
    now = db.session.scalar(select(func.now()))
    assert one(Message).position <= now
    assert one(Message).whatsapp_timestamp == 9_999_999_999
    assert one(Chat).last_inbound_at <= now


def test_a_message_without_a_readable_time_is_taken_for_now(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1", at="ayer")))
    assert abs((one(Message).position - utcnow()).total_seconds()) < 60


# --- what is told afterwards ---------------------------------------------------------------------


@pytest.fixture
def channel(database: Flask) -> Any:
    listener = redis_client.pubsub()
    listener.subscribe(CHANNEL)
    listener.get_message(timeout=5)
    yield listener
    listener.close()


def heard(listener: redis.client.PubSub) -> list[Any]:
    found: list[Any] = []
    while message := listener.get_message(timeout=0.3):
        found += decode(message["data"])
    return found


def rung() -> list[str]:
    return sorted(key.decode() for key in redis_client.keys("crm:ring:*"))


def test_browsers_hear_of_each_message_once_and_of_its_chat(
    number: WhatsappNumber, channel: redis.client.PubSub
) -> None:
    raw = body(words("wamid.1"), words("wamid.2"))
    take_in(raw)
    chat = one(Chat)
    events = heard(channel)
    assert [event.name for event, _ in events] == ["message_added"] * 2 + ["chat_changed"]
    assert {event.chat_id for event, _ in events} == {chat.id}
    audience = events[0][1]
    assert (audience.campaign_id, audience.waiting) == (chat.campaign_id, True)
    take_in(raw)
    assert heard(channel) == []


def test_the_owner_hears_and_the_chat_is_not_routed_again(
    number: WhatsappNumber, channel: redis.client.PubSub
) -> None:
    agent = make_user()
    client = make_client(phone_number=f"+{SENDER}")
    make_chat(client=client, number=number, agent=agent, status=ChatStatus.ACTIVE)
    db.session.commit()
    take_in(body(words("wamid.1")))
    audience = heard(channel)[0][1]
    assert (audience.agent_ids, audience.waiting) == ((agent.id,), False)
    assert rung() == []


def test_a_new_chat_rings_for_routing_and_a_silent_one_does_not(number: WhatsappNumber) -> None:
    take_in(body(typed("wamid.1", "reaction", {"message_id": "x"})))
    assert rung() == []
    take_in(body(words("wamid.2")))
    assert rung() == [f"crm:ring:routing.route:{one(Chat).id}"]


def test_nothing_is_told_of_what_was_rolled_back(
    number: WhatsappNumber, channel: redis.client.PubSub
) -> None:
    with pytest.raises(RuntimeError, match="after all"):
        take_in_and_fail(body(words("wamid.1")))
    assert heard(channel) == []
    assert (every(Message), every(WebhookEvent), rung()) == ([], [], [])


# --- the ledger ----------------------------------------------------------------------------------


def test_what_no_campaign_takes_waits_and_is_processed_with_the_campaign(database: Flask) -> None:
    number = make_number(meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    take_in(body(words("wamid.1")), body(words("wamid.2"), words("wamid.3")))
    assert [event.status for event in every(WebhookEvent)] == ["waiting", "waiting"]
    assert every(Message) == []
    link_number(make_campaign(), number)
    db.session.commit()
    with atomic():
        assert process_waiting(number.id) == 2
        assert process_waiting(number.id) == 0
    db.session.expire_all()
    assert [event.status for event in every(WebhookEvent)] == ["processed", "processed"]
    assert (len(every(Message)), one(Chat).unread_count) == (3, 3)


def test_what_came_before_its_number_was_known_is_processed_with_the_number(
    database: Flask,
) -> None:
    take_in(body(words("wamid.1")), body(words("wamid.2"), number="999"))
    number = make_number(campaign=make_campaign(), meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    with atomic():
        assert process_waiting(number.id) == 1
    db.session.expire_all()
    assert [event.status for event in every(WebhookEvent)] == ["processed", "waiting"]
    assert one(WebhookEvent, status="processed").whatsapp_number_id == number.id
    assert one(Message).whatsapp_message_id == "wamid.1"


def test_an_open_chat_goes_on_after_its_campaign_was_unlinked(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1")))
    db.session.execute(text("DELETE FROM campaign_numbers"))
    db.session.commit()
    take_in(body(words("wamid.2")), body(words("wamid.3", sender="573009999999")))
    assert {message.whatsapp_message_id for message in every(Message)} == {"wamid.1", "wamid.2"}
    assert [event.status for event in every(WebhookEvent)] == ["processed", "processed", "waiting"]


def test_a_replay_is_harmless_however_often(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1"), statuses=[status("wamid.ours", "read")]))
    before = json.dumps([(m.id, m.content) for m in every(Message)])
    for _ in range(3):
        with atomic():
            assert replay(one(WebhookEvent).id) == "processed"
        db.session.expire_all()
    assert json.dumps([(m.id, m.content) for m in every(Message)]) == before
    assert (one(Chat).message_count, len(every(ChatEvent))) == (1, 1)
