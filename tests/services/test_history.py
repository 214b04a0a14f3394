"""A number's past, as its phone hands it over."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from crm.db import db
from crm.jobs.messages import import_history
from crm.models import Chat, ChatStatus, MediaFetch, Message, WebhookEvent, WhatsappNumber
from tests.factories import make_campaign, make_number
from tests.providers.deliveries import PHONE_NUMBER_ID, SENDER, body, typed, words
from tests.services.way_in import NOW, OURS, edit, every, one, past, take_in


@pytest.fixture(autouse=True)
def number(database: Flask) -> WhatsappNumber:
    number = make_number(campaign=make_campaign(), meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    return number


def old(wamid: str, content: str, at: int, **fields: Any) -> dict[str, Any]:
    return words(wamid, content, at=at, history_context={"status": "READ"}, **fields)


FIRST = past(
    old("wamid.1", "¿Tienen repuestos?", NOW),
    old("wamid.2", "Sí, claro", NOW + 60, sender=OURS, to=SENDER),
)
SECOND = past(
    old("wamid.3", "Gracias", NOW + 120),
    typed("wamid.4", "media_placeholder", {}, at=NOW + 180),
    order=2,
)
MEDIA = body(
    field="history",
    messages=[typed("wamid.4", "image", {"id": "551", "mime_type": "image/jpeg"}, at=NOW + 180)],
)


def imported(*raws: bytes) -> None:
    take_in(*raws)
    import_history("all")
    db.session.expire_all()


@pytest.mark.parametrize(
    "pieces",
    [(FIRST, SECOND, MEDIA), (MEDIA, SECOND, FIRST), (SECOND, FIRST, SECOND, MEDIA, FIRST)],
)
def test_the_past_lands_in_one_closed_chat_in_its_order(pieces: tuple[bytes, ...]) -> None:
    imported(*pieces)
    chat = one(Chat)
    assert (chat.status, chat.close_reason, chat.unread_count) == ("closed", "history", 0)
    assert (chat.message_count, chat.last_inbound_at) == (4, None)
    assert chat.closed_at.timestamp() == NOW + 180
    assert chat.created_at.timestamp() == NOW
    stored = sorted(every(Message), key=lambda row: row.position)
    assert [(row.whatsapp_message_id, row.direction) for row in stored] == [
        ("wamid.1", "inbound"), ("wamid.2", "outbound"), ("wamid.3", "inbound"),
        ("wamid.4", "inbound"),
    ]  # fmt: skip
    assert stored[1].status == "read"
    assert (stored[3].message_type, stored[3].meta["media"]["id"]) == ("image", "551")
    assert [row.message_id for row in every_fetch()] == [stored[3].id]


def every_fetch() -> list[MediaFetch]:
    return list(db.session.query(MediaFetch))


def test_it_waits_in_the_ledger_and_holds_up_nobody_s_message() -> None:
    take_in(FIRST, body(words("wamid.9", "¿Abren hoy?", at=NOW + 900)))
    assert [row.status for row in every(WebhookEvent)] == ["received", "processed"]
    assert [row.whatsapp_message_id for row in every(Message)] == ["wamid.9"]
    import_history("all")
    db.session.expire_all()
    assert [row.status for row in every(WebhookEvent)] == ["processed", "processed"]
    live, historic = sorted(every(Chat), key=lambda chat: chat.close_reason or "")
    assert (live.status, live.message_count) == (ChatStatus.NEW, 1)
    assert historic.message_count == 2


def test_a_word_after_the_past_opens_a_chat_of_its_own() -> None:
    imported(FIRST)
    take_in(body(words("wamid.9", "gracias", at=NOW + 900)))
    assert [chat.status for chat in every(Chat)] == ["closed", "new"]


def test_an_edit_of_the_past_is_seen_on_its_message() -> None:
    imported(FIRST)
    take_in(body(edit("wamid.8", "wamid.1", "¿Tienen frenos?", at=NOW + 30)))
    assert one(Message, whatsapp_message_id="wamid.1").content == "¿Tienen frenos?"


def test_a_thousand_messages_of_many_customers_are_a_handful_of_statements() -> None:
    threads = [
        {
            "id": f"5730012{n:05d}",
            "messages": [
                old(f"wamid.{n}.{m}", f"mensaje {m}", NOW + m, sender=f"5730012{n:05d}")
                for m in range(50)
            ],
        }
        for n in range(20)
    ]
    imported(body(field="history", history=[{"metadata": {}, "threads": threads}]))
    assert len(every(Message)) == 1000
    assert {chat.message_count for chat in every(Chat)} == {50}


def test_what_says_not_with_whom_is_kept_in_the_ledger_alone() -> None:
    nobody = old("wamid.1", "¿?", NOW)
    del nobody["from"]
    imported(body(field="history", history=[{"threads": [{"messages": [nobody]}]}]))
    [row] = every(WebhookEvent)
    assert [problem["reason"] for problem in row.problems] == ["history_unplaced"]
    assert every(Message) == []
