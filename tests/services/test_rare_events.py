"""Calls, preferences, names, groups, changed numbers: what comes beside messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    Chat,
    ChatStatus,
    Client,
    ClientConsent,
    ClientIdentity,
    Message,
    WebhookEvent,
    WhatsappNumber,
)
from crm.services import inbox
from crm.services.clients import merge_clients
from crm.services.messages.replay import replay
from tests.factories import make_campaign, make_client, make_message, make_number
from tests.providers.deliveries import PHONE_NUMBER_ID, SENDER, body, status, typed, words
from tests.services.way_in import NOW, call, every, message, one, only_chat, take_in


@pytest.fixture(autouse=True)
def number(database: Flask) -> WhatsappNumber:
    number = make_number(campaign=make_campaign(), meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    return number


# --- calls ---------------------------------------------------------------------------------------

STEPS = (
    call("wacid.1", "connect"),
    call("wacid.1", "terminate", at=NOW + 90, status="COMPLETED", duration=75),
)


@pytest.mark.parametrize("steps", [STEPS, STEPS[::-1], (*STEPS, *STEPS)])
def test_a_customer_s_call_is_one_event_that_opens_a_chat(steps: tuple[bytes, ...]) -> None:
    take_in(*steps)
    chat, told = only_chat(), one(Message)
    assert (chat.status, chat.unread_count) == (ChatStatus.NEW, 1)
    assert chat.last_inbound_at is not None
    assert (told.message_type, told.direction) == ("call", "inbound")
    assert told.meta["call"] == {
        "direction": "inbound",
        "state": "completed",
        "duration": 75,
        "steps": ["connect", "terminate"],
    }
    [bubble] = inbox.load_thread(chat).items
    assert bubble.is_event  # type: ignore[union-attr]


def test_a_call_of_ours_opens_nothing_and_starts_no_window() -> None:
    ours = {"direction": "BUSINESS_INITIATED", "from": "576015550101", "to": SENDER}
    take_in(call("wacid.1", "connect", **ours))
    status = {"id": "wacid.1", "type": "call", "status": "RINGING", "recipient_id": SENDER}
    take_in(body(field="calls", statuses=[{**status, "timestamp": str(NOW)}]))
    chat = only_chat()
    assert (chat.status, chat.last_inbound_at) == (ChatStatus.CLOSED, None)
    assert one(Message).direction == "outbound"


# --- preferences ---------------------------------------------------------------------------------


def preference(value: str, at: int) -> bytes:
    item = {"wa_id": SENDER, "category": "marketing_messages", "value": value, "timestamp": at}
    return body(field="user_preferences", user_preferences=[item])


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0, 1)])
def test_the_newest_choice_about_advertising_counts(order: tuple[int, ...]) -> None:
    choices = (preference("stop", NOW), preference("resume", NOW + 50))
    take_in(*(choices[at] for at in order))
    client = one(Client)
    assert client.opt_in_date == datetime.fromtimestamp(NOW + 50, UTC)
    assert [(row.value, row.source) for row in every(ClientConsent)] in (
        [("stop", "whatsapp"), ("resume", "whatsapp")],
        [("resume", "whatsapp"), ("stop", "whatsapp")],
    )
    take_in(preference("stop", NOW + 60))
    db.session.refresh(client)
    # Service replies go on.
    assert (client.opt_in, client.opt_in_date) == (True, None)
    assert every(Chat) == []


def test_a_choice_that_is_new_to_us_stays_in_the_ledger() -> None:
    take_in(preference("perhaps", NOW))
    [row] = every(WebhookEvent)
    assert [problem["reason"] for problem in row.problems] == ["unknown_preference"]


# --- names and groups ----------------------------------------------------------------------------


def contact(name: str | None, at: int) -> bytes:
    item: dict[str, Any] = {"type": "contact", "action": "add" if name else "remove"}
    item["contact"] = {"phone_number": SENDER, **({"full_name": name} if name else {})}
    item["metadata"] = {"timestamp": str(at)}
    return body(field="smb_app_state_sync", state_sync=[item])


def test_the_phone_s_address_book_names_who_writes_later_and_who_wrote_before() -> None:
    take_in(contact("Ana del taller", NOW), body(words("wamid.1")))
    assert one(Client).first_name == "Ana del taller"
    take_in(contact("Ana Gómez", NOW - 5))
    assert one(Client).first_name == "Ana del taller"


def test_a_profile_s_name_gives_way_to_the_address_book_and_a_typed_one_does_not() -> None:
    take_in(body(words("wamid.1")), contact("Ana del taller", NOW))
    client = one(Client)
    assert client.first_name == "Ana del taller"
    client.first_name = "Doña Ana"
    db.session.commit()
    take_in(contact("Otra", NOW + 5))
    db.session.refresh(client)
    assert client.first_name == "Doña Ana"


def test_a_group_is_kept_apart_from_its_members() -> None:
    group = {"group_id": "120363000000000009"}
    take_in(body(words("wamid.1", "a solas", at=NOW)))
    take_in(body(words("wamid.2", "a todos", at=NOW + 1, **group)))
    take_in(body(words("wamid.3", "yo también", sender="573009998877", at=NOW + 2, **group)))
    subject = {"group_id": group["group_id"], "type": "group_create", "subject": "Vecinos"}
    take_in(body(field="group_lifecycle_update", groups=[{**subject, "timestamp": str(NOW)}]))

    alone, together = every(Chat)
    assert (alone.message_count, alone.unread_count) == (1, 1)
    assert (together.status, together.message_count, together.unread_count) == ("closed", 2, 0)
    assert together.last_inbound_at is None
    client = one(Client, is_group=True)
    assert (client.id, client.first_name, client.phone_number) == (
        together.client_id, "Vecinos", None,
    )  # fmt: skip
    names = [bubble.participant for bubble in inbox.load_thread(together).items]  # type: ignore[union-attr]
    assert names == ["Ana María", "Ana María"]
    # Nobody is a member by having written in a group.
    assert len(every(Client)) == 2


# --- who is who ----------------------------------------------------------------------------------


def moved(new: str, at: int = NOW, wamid: str = "wamid.moved", **told: Any) -> bytes:
    part = {"type": "user_changed_number", "body": "cambió", "wa_id": new, **told}
    notice = typed(wamid, "system", part, at=at)
    return body(notice, contacts=[])


NEW = "573205550199"


@pytest.mark.parametrize("first", ["notice", "word"])
def test_a_changed_number_moves_the_identity_and_the_person_stays(first: str) -> None:
    take_in(body(words("wamid.1", at=NOW - 100)))
    notice, word = moved(NEW), body(words("wamid.2", "soy yo", sender=NEW, at=NOW + 60))
    take_in(*((notice, word) if first == "notice" else (word, notice)))
    client = one(Client, deleted_at=None)
    assert client.phone_number == f"+{NEW}"
    assert {identity.value for identity in every(ClientIdentity)} == {NEW}
    assert {chat.client_id for chat in every(Chat)} == {client.id}
    assert len([chat for chat in every(Chat) if chat.status.is_open]) == 1
    # The old number may be somebody else's by now.
    take_in(body(words("wamid.3", "¿quién es?", at=NOW + 500)))
    assert message("wamid.3").client_id != client.id


def test_an_older_owner_of_the_new_number_loses_it_and_is_not_merged() -> None:
    older = make_client(phone_number=f"+{NEW}", first_name="Pedro")
    older.created_at = utcnow() - timedelta(days=400)
    db.session.commit()
    take_in(body(words("wamid.1", at=NOW - 100)), moved(NEW), moved(NEW))
    db.session.refresh(older)
    assert (older.deleted_at, older.phone_number) == (None, None)
    assert one(Client, phone_number=f"+{NEW}").id != older.id


def with_id(wamid: str, user_id: str, *, sender: str | None = None, at: int = NOW) -> bytes:
    contact = {"profile": {"name": "Ana"}, "user_id": user_id}
    fields: dict[str, Any] = {"from_user_id": user_id, "sender": sender, "at": at}
    if sender:
        contact["wa_id"] = sender
    item = words(wamid, **fields)
    if not sender:
        del item["from"]
    return body(item, contacts=[contact])


def merge_whoever_is_one() -> None:
    """What the job does that is rung when two clients turn out to be one."""
    first, second = every(Client)
    with atomic():
        merge_clients(second.id, first.id)
    db.session.expire_all()


def test_a_person_known_by_id_and_one_known_by_number_become_one() -> None:
    take_in(with_id("wamid.1", "CO.77"), body(words("wamid.2")))
    assert len(every(Client)) == 2
    take_in(with_id("wamid.3", "CO.77", sender=SENDER, at=NOW + 5))
    merge_whoever_is_one()
    merge_whoever_is_one()

    client = one(Client, deleted_at=None)
    assert client.phone_number == f"+{SENDER}"
    assert {identity.client_id for identity in every(ClientIdentity)} == {client.id}
    open_chats = [chat for chat in every(Chat) if chat.status.is_open]
    assert [(chat.client_id, chat.message_count) for chat in open_chats] == [(client.id, 3)]
    assert {row.chat_id for row in every(Message)} == {open_chats[0].id}


def test_two_people_with_ids_of_their_own_are_never_merged() -> None:
    take_in(with_id("wamid.1", "CO.1", sender=SENDER), with_id("wamid.2", "CO.2", sender=NEW))
    merge_whoever_is_one()
    assert [client.deleted_at for client in every(Client)] == [None, None]


# --- all of it again -----------------------------------------------------------------------------


def test_reading_the_ledger_again_changes_nothing() -> None:
    take_in(
        body(words("wamid.1", at=NOW - 100)),
        moved(NEW),
        call("wacid.1", "connect", **{"from": NEW}),
        preference("stop", NOW),
        contact("Ana del taller", NOW),
    )
    before = snapshot()
    for row in every(WebhookEvent):
        with atomic():
            replay(row.id)
    assert snapshot() == before


def snapshot() -> dict[str, list[Any]]:
    db.session.expire_all()
    return {
        "clients": [
            (row.first_name, row.phone_number, row.opt_in_date, row.deleted_at)
            for row in every(Client)
        ],
        "chats": [
            (row.status, row.message_count, row.unread_count, row.last_inbound_at)
            for row in every(Chat)
        ],
        "messages": [(row.whatsapp_message_id, row.chat_id, row.meta) for row in every(Message)],
        "consents": [(row.value, row.occurred_at) for row in every(ClientConsent)],
    }


# --- receipts ------------------------------------------------------------------------------------


def ours(wamid: str) -> Message:
    take_in(body(words("wamid.in", at=NOW)))
    sent = make_message(
        only_chat(), content="Listo", direction="outbound", status="sent", whatsapp_message_id=wamid
    )
    db.session.commit()
    return sent  # type: ignore[no-any-return]


def told(word: str, at: int, **fields: Any) -> bytes:
    return body(statuses=[status("wamid.ours", word, timestamp=str(at), **fields)])


@pytest.mark.parametrize("backwards", [False, True])
def test_price_playing_and_recipient_are_kept_with_the_message(backwards: bool) -> None:
    sent = ours("wamid.ours")
    price = {"category": "service", "billable": False, "type": "free_customer_service"}
    steps = [
        told("sent", NOW + 1, pricing={**price, "category": "utility"}),
        told("delivered", NOW + 2, pricing=price, recipient_user_id="CO.55"),
        told("played", NOW + 3),
    ]
    take_in(*(steps[::-1] if backwards else steps))
    db.session.refresh(sent)
    assert sent.status == "read"
    receipt = (sent.meta or {})["receipt"]
    assert receipt["pricing"] == {**price, "of": "delivered"}
    assert datetime.fromisoformat(receipt["played_at"]).timestamp() == NOW + 3
    assert one(ClientIdentity, kind="user_id").client_id == sent.client_id


def test_a_refusal_for_want_of_consent_is_an_opt_out() -> None:
    sent = ours("wamid.ours")
    take_in(told("failed", NOW + 1, errors=[{"code": 131050, "title": "opted out"}]))
    db.session.refresh(sent)
    assert sent.status == "failed"
    assert (sent.meta or {})["receipt"]["errors"][0]["code"] == "131050"
    assert [(row.value, row.source) for row in every(ClientConsent)] == [("stop", "refusal")]
