"""The read side of the desk: rows, counts, threads, cards, and how many queries they cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from crm.db import db
from crm.lib.clock import utcnow
from crm.models import ChatNote, ChatStatus, Client, ClientTag, Direction, MessageType
from crm.models.chats import ChatEvent
from crm.models.numbers import Provider
from crm.permissions import Scope, scope_of, visible_chats
from crm.services import inbox
from crm.services.inbox.thread import NotKept, TooFarBack
from tests.cast import Cast, make_cast
from tests.factories import (
    make_campaign,
    make_chat,
    make_client,
    make_identity,
    make_message,
    make_number,
)


@pytest.fixture
def cast(database) -> Cast:
    made = make_cast()
    db.session.commit()
    return made


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(connection, cursor, statement, *rest):
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def scope(user) -> Scope:
    return scope_of(user)


def chat_of(cast: Cast, name: str = "Carolina Restrepo", *, minutes: float = 0, **fields: Any):
    """A chat whose last word is `minutes` old."""
    first, _, last = name.partition(" ")
    client = make_client(
        first_name=first or None, last_name=last or None, **fields.pop("client", {})
    )
    text = fields.pop("text", "Hola")
    chat = make_chat(campaign=cast.sales, number=cast.number, client=client, **fields)
    make_message(chat, content=text, position=utcnow() - timedelta(minutes=minutes))
    db.session.commit()
    return chat


def rows_of(user, **options: Any) -> list[str]:
    seen = visible_chats(scope(user))
    page = inbox.list_chats(seen, user_id=user.id, **options)
    return [row.client.shown for row in page.rows]


def test_the_last_written_chat_comes_first(cast):
    chat_of(cast, "Vieja", agent=cast.laura, minutes=30)
    chat_of(cast, "Nueva", agent=cast.laura, minutes=1)
    chat_of(cast, "Media", agent=cast.laura, minutes=10)
    assert rows_of(cast.laura) == ["Nueva", "Media", "Vieja"]


def test_each_tab_shows_its_own(cast):
    chat_of(cast, "Mía", agent=cast.laura, minutes=1)
    chat_of(cast, "Ajena", agent=cast.jhon, minutes=2)
    chat_of(cast, "Espera", status=ChatStatus.QUEUED, minutes=3)
    chat_of(cast, "Bot", status=ChatStatus.BOT, minutes=4)
    chat_of(cast, "Cerrada", agent=cast.laura, status=ChatStatus.CLOSED, minutes=5)
    chat_of(cast, "Ofrecida", agent=cast.jhon, status=ChatStatus.TRANSFERRED,
            offered_agent_id=cast.laura.id, minutes=6)  # fmt: skip
    assert rows_of(cast.laura, tab="mine") == ["Mía", "Ofrecida"]
    assert rows_of(cast.laura, tab="unassigned") == ["Espera"]
    assert rows_of(cast.laura, tab="all") == ["Mía", "Espera", "Bot", "Ofrecida"]
    assert rows_of(cast.marta, tab="all") == ["Mía", "Ajena", "Espera", "Bot", "Ofrecida"]


def test_the_counts_are_those_of_the_tabs(cast):
    chat_of(cast, agent=cast.laura)
    chat_of(cast, agent=cast.jhon)
    chat_of(cast, status=ChatStatus.QUEUED)
    chat_of(cast, agent=cast.laura, status=ChatStatus.CLOSED)
    for user, expected in ((cast.laura, (1, 1, 2, 1)), (cast.marta, (0, 1, 3, 0))):
        counts = inbox.count_chats(visible_chats(scope(user)), user_id=user.id)
        assert (counts.mine, counts.unassigned, counts.all, counts.unread) == expected


def test_pages_follow_one_another_without_gap_or_double(cast):
    moment = utcnow()
    for number in range(7):
        chat = chat_of(cast, f"Cliente {number}", agent=cast.laura)
        # Three at the same moment: the id decides, or a page would lose one.
        chat.last_message_at = moment - timedelta(minutes=number // 3)
    db.session.commit()
    seen, cursor = [], None
    while True:
        page = inbox.list_chats(
            visible_chats(scope(cast.laura)), user_id=cast.laura.id, cursor=cursor, limit=2
        )
        seen += [row.id for row in page.rows]
        cursor = page.cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7


@pytest.mark.parametrize(
    "cursor", ["", "x", "2026-01-01~1", "9999~9", "2026-01-01T00:00:00+00:00~x"]
)
def test_a_cursor_that_is_not_ours_leads_to_the_first_page(cast, cursor):
    chat_of(cast, "Una", agent=cast.laura)
    assert rows_of(cast.laura, cursor=cursor) == ["Una"]


@pytest.mark.parametrize(
    "text",
    ["nañez", "ÑÁÑEZ maría", "301 555 0144", "+57 (301) 555-0144", "envio manana", "VENTAS-2026",
     "@mari.na", "marita"],
)  # fmt: skip
def test_a_search_finds_by_name_phone_case_and_text_whatever_the_accents(cast, text):
    chat = chat_of(
        cast,
        "María Ñáñez",
        agent=cast.laura,
        client={"phone_number": "+573015550144"},
        text="¿Me llega el Envío mañana?",
    )
    at_whatsapp = {"username": "mari.nanez", "profile_name": "La Marita 🌺"}
    make_identity(db.session.get_one(Client, chat.client_id), value="CO.1", **at_whatsapp)
    db.session.commit()
    found = rows_of(cast.laura, filters=inbox.Filters(text=text))
    assert found == ["María Ñáñez"]


@pytest.mark.parametrize("text", ["%", "_", "\\", "zzz", "555 9999", "' OR 1=1 --"])
def test_a_search_takes_signs_as_signs(cast, text):
    chat_of(cast, "María Ñáñez", agent=cast.laura)
    assert rows_of(cast.laura, filters=inbox.Filters(text=text)) == []


def test_a_search_shows_the_newest_message_that_says_it_around_the_words(cast):
    said = "Buenas tardes, ¿ustedes por casualidad manejan el Envío a Leticia?"
    chat = chat_of(cast, "Ana", agent=cast.laura, text="Hola")
    said_by = make_message(chat, content=said, whatsapp_message_id="wamid.SAID")
    # The row of an edit is not shown where its message is; the message itself says the new words.
    make_message(
        chat, content=said, message_type=MessageType.SYSTEM, target_whatsapp_id="wamid.SAID"
    )
    make_message(chat, content="Gracias")
    chat_of(cast, "Envío Rápido", agent=cast.laura, text="Hola")
    page = inbox.list_chats(
        visible_chats(scope(cast.laura)),
        user_id=cast.laura.id,
        filters=inbox.Filters(text="ENVIO"),
    )
    hits = {row.client.shown: row.hit for row in page.rows}
    assert hits["Envío Rápido"] is None
    hit = hits["Ana"]
    assert (hit.message_id, hit.at) == (said_by.id, said_by.position)
    assert (hit.before, hit.found, hit.after) == ("…manejan el ", "Envío", " a Leticia?")


def test_a_search_looks_into_closed_chats_but_only_of_those_who_may_see_them(cast):
    chat_of(cast, "Cerrada Mía", agent=cast.laura, status=ChatStatus.CLOSED)
    chat_of(cast, "Cerrada Ajena", agent=cast.jhon, status=ChatStatus.CLOSED)
    assert rows_of(cast.laura, filters=inbox.Filters(text="cerrada")) == ["Cerrada Mía"]


def test_hidden_phones_are_masked_wherever_they_would_stand(cast):
    chat = chat_of(cast, "", agent=cast.laura, client={"phone_number": "+573015554471"})
    row = inbox.find_row(chat.id, phones_visible=False)
    head = inbox.load_head(chat, phones_visible=False)
    seen = visible_chats(scope(cast.laura))
    _, card = inbox.load_head_and_card(chat, seen, phones_visible=False)
    for name in (row.client, head.client, card.name):
        assert (name.shown, name.phone) == ("+57 *** 4471", "+57 *** 4471")
    assert "5554471" not in repr((row, head, card))


def test_the_window_is_metas_and_ends_a_day_after_the_last_word(cast):
    chat = chat_of(cast, agent=cast.laura, minutes=23 * 60)
    assert inbox.load_head(chat).window_open
    chat.last_inbound_at = utcnow() - timedelta(hours=24, seconds=1)
    assert not inbox.load_head(chat).window_open
    assert not inbox.find_row(chat.id).window_open
    cast.number.provider = Provider.WPPCONNECT
    db.session.flush()
    assert inbox.load_head(chat).window_open
    assert not inbox.load_head(chat).has_window


def test_a_thread_comes_a_page_at_a_time_in_its_order(cast):
    chat = chat_of(cast, agent=cast.laura, minutes=100)
    start = utcnow() - timedelta(minutes=90)
    for number in range(9):
        make_message(chat, content=str(number), position=start + timedelta(minutes=number // 2))
    db.session.commit()
    last = inbox.load_thread(chat, limit=4)
    assert [item.text for item in last.items] == ["5", "6", "7", "8"]
    before = inbox.load_thread(chat, before=last.older, limit=4)
    assert [item.text for item in before.items] == ["1", "2", "3", "4"]
    first = inbox.load_thread(chat, before=before.older, limit=4)
    assert [item.text for item in first.items] == ["Hola", "0"]
    assert first.older is None


def test_a_page_reaches_back_to_the_message_that_is_asked_for(cast, monkeypatch):
    chat = chat_of(cast, agent=cast.laura, minutes=400)
    other = chat_of(cast, agent=cast.laura, minutes=300)
    start = utcnow() - timedelta(minutes=350)
    rows = [
        make_message(chat, content=str(number), position=start + timedelta(minutes=number))
        for number in range(120)
    ]
    foreign = make_message(other)
    db.session.commit()
    last = inbox.load_thread(chat)
    page = inbox.load_thread(chat, before=last.older, reach=rows[40].id)
    assert [item.text for item in page.items] == [str(number) for number in range(25, 70)]
    assert page.older
    for wanted in (foreign.id, 0, -1, 2**70):
        with pytest.raises(NotKept):
            inbox.load_thread(chat, reach=wanted)
    monkeypatch.setattr("crm.services.inbox.thread.FURTHEST", 100)
    with pytest.raises(TooFarBack):
        inbox.load_thread(chat, reach=rows[0].id)

    # Then it is shown with what stands beside it, from where one reads on in both directions.
    amid = inbox.load_thread_around(chat, rows[20].id)
    assert [item.text for item in amid.items] == [str(number) for number in range(5, 55)]
    earlier = inbox.load_thread(chat, before=amid.older)
    assert [item.text for item in earlier.items] == ["Hola", *map(str, range(5))]
    after = inbox.load_thread_after(chat, amid.newer)
    assert [item.text for item in after.items] == [str(number) for number in range(55, 105)]
    assert after.older is None
    end = inbox.load_thread_after(chat, after.newer)
    assert [item.text for item in end.items] == [str(number) for number in range(105, 120)]
    assert end.newer is None
    with pytest.raises(NotKept):
        inbox.load_thread_around(chat, foreign.id)


def test_notes_and_events_stand_at_their_time_and_on_one_page_only(cast):
    chat = chat_of(cast, agent=cast.laura, minutes=60)
    make_message(chat, content="dos", position=utcnow() - timedelta(minutes=30))
    make_message(chat, content="tres", position=utcnow() - timedelta(minutes=10))
    db.session.add(ChatNote(chat_id=chat.id, user_id=cast.marta.id, content="nota",
                            created_at=utcnow() - timedelta(minutes=40)))  # fmt: skip
    db.session.add(ChatEvent(chat_id=chat.id, kind="assigned", actor_kind="system", reason="turn",
                             data={"agent": cast.laura.id},
                             created_at=utcnow() - timedelta(minutes=20)))  # fmt: skip
    db.session.commit()
    kinds = [type(item).__name__ for item in inbox.load_thread(chat).items]
    assert kinds == ["Bubble", "NoteBubble", "Bubble", "EventLine", "Bubble"]
    last = inbox.load_thread(chat, limit=2)
    assert [type(item).__name__ for item in last.items] == ["Bubble", "EventLine", "Bubble"]
    assert last.items[1].agent_name == "Laura Gómez"
    first = inbox.load_thread(chat, before=last.older, limit=2)
    assert [type(item).__name__ for item in first.items] == ["Bubble", "NoteBubble"]


def test_the_line_of_the_unread_stands_before_the_first_of_them(cast):
    chat = chat_of(cast, agent=cast.laura, minutes=50)
    make_message(chat, content="respuesta", direction=Direction.OUTBOUND, user_id=cast.laura.id)
    unread = make_message(chat, content="¿y?")
    make_message(chat, content="¿hola?")
    chat.unread_count = 2
    assert inbox.load_thread(chat).unread_from == unread.id
    chat.unread_count = 0
    assert inbox.load_thread(chat).unread_from is None


def test_forms_and_calls_have_words_of_their_own_in_a_row_and_a_quote(cast):
    chat = chat_of(cast, agent=cast.laura)
    for number, (meta, reply) in enumerate((
        ({"flow": {"response": {"ciudad": "Cali"}}}, "form"),
        ({"call_permission": {"response": "accept"}}, "calls_allowed"),
        ({"call_permission": {"response": "reject"}}, "calls_refused"),
        ({}, None),
    )):  # fmt: skip
        quoted = {"quote": {"message_id": f"wamid.I{number}"}}
        quoting = make_message(chat, meta=quoted, position=utcnow() - timedelta(minutes=1))
        make_message(chat, content=None, message_type=MessageType.INTERACTIVE, meta=meta,
                     whatsapp_message_id=f"wamid.I{number}")  # fmt: skip
        db.session.commit()
        assert inbox.find_row(chat.id).preview.reply == reply
        assert inbox.find_bubble(quoting.id).quote.reply == reply


def test_quotes_and_reactions_are_shown_on_the_messages_that_they_speak_of(cast):
    chat = chat_of(cast, agent=cast.laura, minutes=50)
    ours = make_message(
        chat, content="Le queda en 10", direction=Direction.OUTBOUND, user_id=cast.laura.id,
        status="read", whatsapp_message_id="wamid.OURS",
    )  # fmt: skip
    make_message(
        chat, content="Listo", meta={"quote": {"message_id": "wamid.OURS"}, "raw": {"a": 1}}
    )
    make_message(chat, content="¿Y?", meta={"quote": {"message_id": "wamid.GONE"}})
    for emoji in ("👍", "❤️"):
        make_message(chat, content=emoji, message_type=MessageType.REACTION,
                     target_whatsapp_id="wamid.OURS",
                     meta={"reaction": {"message_id": "wamid.OURS", "emoji": emoji}})  # fmt: skip
    db.session.commit()
    bubbles = inbox.load_thread(chat).items
    assert [bubble.text for bubble in bubbles] == ["Hola", "Le queda en 10", "Listo", "¿Y?"]
    assert bubbles[1].reactions == ("❤️",)
    assert bubbles[2].quote.message_id == ours.id
    assert (bubbles[2].quote.text, bubbles[2].quote.author_name) == ("Le queda en 10", "Laura")
    assert bubbles[3].quote.message_id is None
    assert "raw" not in bubbles[2].meta
    assert inbox.find_bubble(ours.id) == bubbles[1]


def test_the_card_shows_earlier_chats_only_to_those_who_may_see_them(cast):
    client = make_client(first_name="Ana")
    db.session.add(ClientTag(client_id=client.id, tag="vip"))
    mine = make_chat(campaign=cast.sales, number=cast.number, client=client, agent=cast.laura,
                     status=ChatStatus.CLOSED)  # fmt: skip
    elsewhere = make_campaign(name="Cobranza")
    make_chat(campaign=elsewhere, number=make_number(campaign=elsewhere), client=client)
    now = make_chat(campaign=cast.sales, number=cast.number, client=client, agent=cast.laura,
                    bot_context={"Ciudad": "Cali", "n": 3, "lista": [1], "vacío": " "})  # fmt: skip
    db.session.commit()
    _, card = inbox.load_head_and_card(now, visible_chats(scope(cast.laura)))
    assert [chat.id for chat in card.earlier] == [mine.id]
    assert card.tags == ("vip",)
    assert card.bot_answers == (("Ciudad", "Cali"), ("n", "3"))
    _, everything = inbox.load_head_and_card(now, visible_chats(scope(cast.admin)))
    assert len(everything.earlier) == 2


def test_more_rows_do_not_cost_more_queries(cast):
    """Doubling what is shown leaves the number of queries where it was."""
    costs = []
    chat = None
    for _round in range(2):
        for _number in range(8):
            chat = chat_of(cast, agent=cast.laura)
            for _more in range(4):
                make_message(chat, direction=Direction.OUTBOUND, user_id=cast.laura.id)
            make_message(chat, meta={"quote": {"message_id": "wamid.X"}})
            db.session.add(ChatNote(chat_id=chat.id, user_id=cast.marta.id, content="n"))
        db.session.commit()
        db.session.expire_all()
        rights = scope(cast.laura)
        chat = db.session.get_one(type(chat), chat.id)
        with counted_statements() as statements:
            page = inbox.list_chats(visible_chats(rights), user_id=rights.user_id)
            inbox.count_chats(visible_chats(rights), user_id=rights.user_id)
            listed = len(statements)
            thread = inbox.load_thread(chat)
            inbox.load_head_and_card(chat, visible_chats(rights))
        costs.append((listed, len(statements) - listed))
        repr((page, thread))  # nothing is loaded late
    assert costs[0] == costs[1]
    assert costs[0] == (3, 5)
