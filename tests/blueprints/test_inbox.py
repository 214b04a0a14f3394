"""The desk over HTTP: pages, fragments, sending, taking, closing, and who may."""

from __future__ import annotations

import gzip
import re
import uuid
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, func, select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    Chat,
    ChatStatus,
    Client,
    Message,
    MessageType,
    QueuedMessage,
    Template,
    TemplateStatus,
)
from crm.services import chats
from tests.blueprints.admin_desk import FRAGMENT
from tests.cast import Cast
from tests.factories import make_chat, make_client, make_message, save


def chat_of(cast: Cast, agent=None, *, name: str = "Carolina", **fields) -> Chat:
    chat = make_chat(
        campaign=cast.sales,
        number=cast.number,
        client=make_client(first_name=name, last_name="Restrepo", phone_number=None),
        agent=agent,
        **fields,
    )
    make_message(chat, content=f"Hola, soy {name}")
    db.session.commit()
    return chat


def post_message(client: FlaskClient, chat: Chat, text: str, key: str | None = None, **options):
    data = {"text": text, "client_key": key or str(uuid.uuid4())}
    return client.post(f"/inbox/{chat.id}/messages", data=data, headers=FRAGMENT, **options)


def count_of(model) -> int:
    return db.session.scalar(select(func.count()).select_from(model))


def test_the_page_and_its_fragments_say_the_same(cast, browse):
    chat = chat_of(cast, cast.laura)
    laura = browse(cast.laura)
    page = laura.get(f"/inbox/{chat.id}").text
    fragment = laura.get(f"/inbox/{chat.id}", headers=FRAGMENT).text
    assert "<html" in page
    assert "<html" not in fragment
    log = re.compile(r'<div class="log".*?</div>\s*<button', re.DOTALL)
    assert log.search(page)[0] == log.search(fragment)[0]
    assert f'id="chat-{chat.id}"' in page
    assert "Hola, soy Carolina" in fragment


def test_a_history_walk_of_htmx_gets_the_whole_page(cast, browse):
    chat = chat_of(cast, cast.laura)
    headers = {"HX-Request": "true", "HX-Request-Type": "full"}
    assert "<html" in browse(cast.laura).get(f"/inbox/{chat.id}", headers=headers).text


@pytest.mark.parametrize(
    "path",
    ["/inbox/{id}", "/inbox/{id}/client", "/inbox/{id}/messages", "/inbox/999999"],
)
def test_what_one_may_not_see_does_not_exist(cast, browse, path):
    theirs = chat_of(cast, cast.jhon)
    answer = browse(cast.laura).get(path.format(id=theirs.id))
    assert answer.status_code == 404
    assert "Carolina" not in answer.text


@pytest.mark.parametrize("deed", ["messages", "read", "assign-to-me", "close"])
def test_nobody_acts_on_a_chat_that_they_may_not_see(cast, browse, deed):
    theirs = chat_of(cast, cast.jhon)
    data = {"text": "hola", "client_key": str(uuid.uuid4())}
    answer = browse(cast.laura).post(f"/inbox/{theirs.id}/{deed}", data=data, headers=FRAGMENT)
    assert answer.status_code == 404
    db.session.refresh(theirs)
    assert (theirs.assigned_agent_id, theirs.status) == (cast.jhon.id, ChatStatus.ASSIGNED)
    assert count_of(QueuedMessage) == 0


def test_an_answer_comes_back_as_a_bubble_with_a_clock_and_a_fresh_key(cast, browse):
    chat = chat_of(cast, cast.laura)
    key = str(uuid.uuid4())
    answer = post_message(browse(cast.laura), chat, "  ¡Con *gusto*!\r\nLe cuento  ", key)
    assert answer.status_code == 200
    assert f'data-client-key="{key}"' in answer.text
    assert 'data-status="pending"' in answer.text
    assert "<strong>gusto</strong>" in answer.text
    fresh = re.search(r'name="client_key" value="([^"]+)"', answer.text)[1]
    assert uuid.UUID(fresh) != uuid.UUID(key)
    message = db.session.scalars(select(Message).where(Message.client_key == key)).one()
    assert (message.content, message.user_id) == ("¡Con *gusto*!\nLe cuento", cast.laura.id)
    assert count_of(QueuedMessage) == 1


def test_the_same_key_twice_is_one_message(cast, browse):
    chat = chat_of(cast, cast.laura)
    laura, key = browse(cast.laura), str(uuid.uuid4())
    first, second = (post_message(laura, chat, "Una vez", key) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    bubble = re.compile(r'id="(message-\d+)"')
    assert bubble.search(first.text)[1] == bubble.search(second.text)[1]
    assert count_of(QueuedMessage) == 1


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("   ", None, "Write something first."),
        ("x" * 4097, None, "at most 4,096 characters"),
        ("Hola", "nonsense", "Reload the page"),
    ],
)
def test_a_refused_text_stays_in_the_box_with_the_reason_beside_it(cast, browse, text, key, words):
    chat = chat_of(cast, cast.laura)
    answer = post_message(browse(cast.laura), chat, text, key)
    assert answer.status_code == 422
    assert words in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert 'aria-describedby="text-error"' in answer.text
    assert re.search(r"<textarea[^>]*>([^<]*)<", answer.text)[1] == text.strip()
    assert count_of(QueuedMessage) == 0


def test_a_closed_window_refuses_and_says_why_in_place_of_the_box(cast, browse):
    chat = chat_of(cast, cast.laura)
    late = utcnow() - timedelta(hours=25)
    chat.last_inbound_at = late
    db.session.query(Message).update({"position": late, "created_at": late})
    db.session.commit()
    answer = post_message(browse(cast.laura), chat, "¿Sigue ahí?")
    assert answer.status_code == 422
    assert "The 24 h window is closed" in answer.text
    assert 'data-mode="reply"' not in answer.text
    assert count_of(QueuedMessage) == 0


def test_a_blocked_contact_has_no_box(cast, browse):
    chat = chat_of(cast, cast.laura)
    db.session.get_one(Client, chat.client_id).is_blocked = True
    db.session.commit()
    page = browse(cast.laura).get(f"/inbox/{chat.id}", headers=FRAGMENT).text
    assert "This contact is blocked" in page
    assert 'data-mode="reply"' not in page
    assert "data-note-only" in page


def test_advertising_cannot_be_chosen_for_who_has_not_agreed_to_it(cast, browse):
    chat = chat_of(cast, cast.laura)
    word = db.session.scalars(select(Message).where(Message.chat_id == chat.id)).one()
    for category in ("MARKETING", "UTILITY"):
        save(
            Template(
                whatsapp_number_id=cast.number.id,
                template_name=category.lower(),
                language="es_CO",
                category=category,
                body_content="Hola",
                status=TemplateStatus.APPROVED,
            )
        )

    def choices() -> list[bool]:
        db.session.commit()
        page = browse(cast.laura).get(f"/inbox/{chat.id}/templates", headers=FRAGMENT).text
        assert "Spanish (Colombia)" in page
        return [
            "disabled" in tag for tag in re.findall(r"<button[^>]*data-open-dialog[^>]*>", page)
        ]

    assert choices() == [True, False]
    client = db.session.get_one(Client, chat.client_id)
    client.opt_in, client.opt_in_date = True, utcnow()
    assert choices() == [False, False]

    # It answers the message that is quoted.
    chosen = db.session.scalars(select(Template).where(Template.category == "MARKETING")).one()
    data = {"client_key": str(uuid.uuid4()), "reply_to": word.id}
    path = f"/inbox/{chat.id}/templates/{chosen.id}"
    assert browse(cast.laura).post(path, data=data, headers=FRAGMENT).status_code == 200
    sent = db.session.scalars(select(Message).where(Message.client_key == data["client_key"])).one()
    assert sent.meta["quote"]["message_id"] == word.whatsapp_message_id


def test_words_for_a_chat_that_went_to_somebody_else_are_refused(cast, browse):
    chat = chat_of(cast, cast.jhon)
    answer = post_message(browse(cast.admin), chat, "Yo también")
    assert answer.status_code == 422
    assert "Jhon Restrepo attends this chat" in answer.text
    assert count_of(QueuedMessage) == 0


def test_without_script_a_form_leads_back_to_the_page(cast, browse):
    chat = chat_of(cast, cast.laura)
    laura = browse(cast.laura)
    data = {"text": "Hola", "client_key": str(uuid.uuid4())}
    answer = laura.post(f"/inbox/{chat.id}/messages", data=data)
    assert (answer.status_code, answer.location) == (302, f"/inbox/{chat.id}")
    wrong = laura.post(f"/inbox/{chat.id}/messages", data={"text": "", "client_key": "x"})
    assert wrong.status_code == 422
    assert "<html" in wrong.text


def test_a_message_without_the_token_of_the_page_is_refused(cast, browse, app, monkeypatch):
    chat = chat_of(cast, cast.laura)
    laura = browse(cast.laura)
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    assert post_message(laura, chat, "Hola").status_code == 400
    assert count_of(QueuedMessage) == 0


def test_taking_a_waiting_chat_opens_its_box(cast, browse):
    chat = chat_of(cast, status=ChatStatus.QUEUED)
    laura = browse(cast.laura)
    before = laura.get(f"/inbox/{chat.id}", headers=FRAGMENT).text
    assert "Take the chat" in before
    assert 'data-mode="reply"' not in before
    after = laura.post(f"/inbox/{chat.id}/assign-to-me", headers=FRAGMENT)
    assert after.status_code == 200
    assert "<textarea" in after.text
    db.session.refresh(chat)
    assert chat.assigned_agent_id == cast.laura.id
    late = browse(cast.jhon).post(f"/inbox/{chat.id}/assign-to-me", headers=FRAGMENT)
    assert late.status_code == 404


def test_a_chat_that_somebody_has_is_not_picked_without_the_right_to_assign(cast, browse):
    chat = chat_of(cast, cast.jhon)
    chat.offered_agent_id = cast.laura.id
    db.session.commit()
    answer = browse(cast.laura).post(f"/inbox/{chat.id}/assign-to-me", headers=FRAGMENT)
    assert answer.status_code == 409
    db.session.refresh(chat)
    assert chat.assigned_agent_id == cast.jhon.id


def test_who_assigns_and_answers_may_take_over(cast, browse):
    chat = chat_of(cast, cast.jhon)
    ana = browse(cast.admin)
    assert "Take it over" in ana.get(f"/inbox/{chat.id}", headers=FRAGMENT).text
    assert "<textarea" in ana.post(f"/inbox/{chat.id}/assign-to-me", headers=FRAGMENT).text


def test_a_closed_chat_is_reopened_not_taken_over(cast, browse):
    chat = chat_of(cast, cast.jhon)
    with atomic():
        chats.close_chat(chat, actor=chats.person(cast.jhon.id), reason="resolved")
        make_chat(campaign=cast.sales, number=cast.number, client=chat.client)
    ana = browse(cast.admin)
    assert "Take it over" not in ana.get(f"/inbox/{chat.id}", headers=FRAGMENT).text
    answer = ana.post(f"/inbox/{chat.id}/assign-to-me", headers=FRAGMENT)
    assert (answer.status_code, "Reopen it" in answer.text) == (409, True)


def test_closing_takes_the_box_away(cast, browse):
    chat = chat_of(cast, cast.laura)
    laura = browse(cast.laura)
    answer = laura.post(f"/inbox/{chat.id}/close", data={"reason": "resolved"}, headers=FRAGMENT)
    assert answer.status_code == 204
    answer = laura.get(f"/inbox/{chat.id}", headers=FRAGMENT)
    assert "This chat is closed" in answer.text
    assert 'data-mode="reply"' not in answer.text
    db.session.refresh(chat)
    assert chat.status is ChatStatus.CLOSED


def test_only_the_owners_look_counts_as_reading(cast, browse):
    chat = chat_of(cast, cast.laura)
    browse(cast.marta).post(f"/inbox/{chat.id}/read", headers=FRAGMENT)
    db.session.refresh(chat)
    assert chat.unread_count == 1
    assert browse(cast.laura).post(f"/inbox/{chat.id}/read", headers=FRAGMENT).status_code == 204
    db.session.refresh(chat)
    assert chat.unread_count == 0


def test_opening_alone_reads_nothing(cast, browse):
    """A look through a link, or a page that the browser fetched ahead, is no reading."""
    chat = chat_of(cast, cast.laura)
    browse(cast.laura).get(f"/inbox/{chat.id}")
    db.session.refresh(chat)
    assert chat.unread_count == 1


def test_a_failed_message_is_sent_again_and_a_waiting_one_taken_back(cast, browse):
    chat = chat_of(cast, cast.laura)
    laura = browse(cast.laura)
    post_message(laura, chat, "Uno")
    message = db.session.scalars(select(Message).where(Message.content == "Uno")).one()
    base = f"/inbox/{chat.id}/messages/{message.id}"
    taken_back = laura.post(f"{base}/cancel", headers=FRAGMENT)
    assert 'data-status="failed"' in taken_back.text
    assert "Cancelled before it was sent." in taken_back.text
    again = laura.post(f"{base}/retry", headers=FRAGMENT)
    assert 'data-status="pending"' in again.text
    assert laura.post(f"{base}/retry", headers=FRAGMENT).status_code == 409
    elsewhere = chat_of(cast, cast.laura, name="Otra")
    foreign = f"/inbox/{elsewhere.id}/messages/{message.id}/cancel"
    assert laura.post(foreign, headers=FRAGMENT).status_code == 404


def test_pages_of_the_list_and_the_thread_lead_to_the_next(cast, browse):
    for number in range(52):
        chat_of(cast, cast.laura, name=f"Cliente{number}")
    laura = browse(cast.laura)
    first = laura.get("/inbox/list?tab=mine", headers=FRAGMENT).text
    more = re.search(r'data-more="([^"]+)"', first)[1].replace("&amp;", "&")
    second = laura.get(more, headers=FRAGMENT).text
    ids = re.findall(r'<li id="(chat-\d+)"', first + second)
    assert len(ids) == len(set(ids)) == 52
    assert "data-more" not in second


@pytest.mark.parametrize(
    "query",
    ["tab=nonsense", "status=nope", "campaign=x", "agent=99999999999", "cursor=%00", "q=%00%25"],
)
def test_an_address_with_nonsense_shows_the_list_all_the_same(cast, browse, query):
    laura = browse(cast.laura)
    for path in ("/inbox", "/inbox/list", "/inbox/counts"):
        assert laura.get(f"{path}?{query}", headers=FRAGMENT).status_code == 200


def test_live_fragments_hold_nothing_personal(cast, app):
    """Who looks must not matter: the same text goes to everybody."""
    chat = chat_of(cast, cast.laura)
    make_message(chat, direction="outbound", user_id=cast.laura.id, status="failed")
    db.session.commit()
    from crm.realtime import render
    from crm.realtime.connection import Variant

    variant = Variant("en", True)
    rows = render.render_rows([(chat.id, variant)])
    bubbles = render.render_bubbles([(chat.last_message_id, variant)])
    for html in (*rows.values(), *bubbles.values()):
        assert not re.search(r"csrf|\bYou\b|draft|aria-current|hx-", html), html
        assert 'data-author="' in html


@pytest.mark.parametrize("kind", list(MessageType))
@pytest.mark.parametrize("meta", [None, {}, {"media": None, "location": None, "contacts": None}])
def test_every_kind_of_message_is_shown_as_something(cast, browse, kind, meta):
    chat = chat_of(cast, cast.laura)
    make_message(chat, message_type=kind, content=None, meta=meta)
    db.session.commit()
    answer = browse(cast.laura).get(f"/inbox/{chat.id}", headers=FRAGMENT)
    assert answer.status_code == 200
    if kind not in (MessageType.REACTION, MessageType.TEXT):
        last = answer.text[answer.text.index(f'id="message-{chat.last_message_id}"') :]
        words = re.sub(r"<[^>]+>|\s+", " ", last[: last.index("data-style")])
        assert len(re.findall(r"[A-Za-z]{3,}", words)) >= 1


def test_fragments_stay_small(cast, browse):
    """The budgets of the screens, compressed: rows and a thread of fifty."""
    chat = chat_of(cast, cast.laura)
    for number in range(60):
        make_message(chat, content=f"{uuid.uuid4()} {number}", direction="outbound",
                     user_id=cast.laura.id, status="read")  # fmt: skip
        chat_of(cast, cast.laura, name=uuid.uuid4().hex)
    db.session.commit()
    laura = browse(cast.laura)
    sizes = {
        path: len(gzip.compress(laura.get(path, headers=FRAGMENT).data))
        for path in ("/inbox/list", f"/inbox/{chat.id}", "/inbox/counts")
    }
    assert sizes["/inbox/list"] < 15_000
    assert sizes[f"/inbox/{chat.id}"] < 20_000
    assert sizes["/inbox/counts"] < 1_000


def test_a_fragment_costs_few_queries_however_long_it_is(cast, browse, request):
    chat = chat_of(cast, cast.laura)
    for _number in range(30):
        make_message(chat, direction="outbound", user_id=cast.laura.id)
        chat_of(cast, cast.laura)
    laura = browse(cast.laura)
    seen: list[str] = []

    def note(connection, cursor, statement, *rest):
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    request.addfinalizer(lambda: event.remove(db.engine, "before_cursor_execute", note))
    costs = {}
    for path in ("/inbox/list", f"/inbox/{chat.id}", f"/inbox/{chat.id}/messages"):
        db.session.remove()
        seen.clear()
        laura.get(path, headers=FRAGMENT)
        costs[path] = len([sql for sql in seen if sql.startswith(("SELECT", "WITH"))])
    assert max(costs.values()) <= 8, (costs, seen)
