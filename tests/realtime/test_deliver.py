"""What is sent to whom: by the rights of now, once per variant, and nothing after they end."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from sqlalchemy import select, text

from crm.db import atomic, db
from crm.events import (
    AgentChanged,
    Audience,
    ChatChanged,
    MessageAdded,
    MessageChanged,
    publish_all,
)
from crm.models import MessageStatus, Permission, UserPermission, UserStatus
from crm.permissions import visible_chats
from crm.realtime import render
from crm.realtime.access import load_scope
from crm.realtime.counts import count_open_chats
from crm.services import chats, inbox
from tests import factories
from tests.realtime.conftest import Desk
from tests.realtime.pages import Server


def write(desk: Desk, content: str, *, chat: str = "chat") -> int:
    """A customer's message in a chat, told to the pages as the way in tells it."""
    with atomic():
        found = chats.lock_chat(getattr(desk, chat).id)
        message = factories.make_message(found, content=content)
        found.version += 1
        message_id, chat_id = message.id, found.id
        audience = Audience(
            campaign_id=found.campaign_id,
            agent_ids=(found.assigned_agent_id,) if found.assigned_agent_id else (),
            waiting=found.assigned_agent_id is None,
        )
    publish_all([(MessageAdded(chat_id, message_id), audience), (ChatChanged(chat_id), audience)])
    return message_id


def test_the_open_page_gets_the_bubble_and_the_row(server: Server, desk: Desk) -> None:
    page = server.page_of(desk.cast.laura)
    before = page.open(desk.chat.id)
    message_id = write(desk, '¿Tienen el monitor de 27"?')
    bubble = page.wait_for_kind("bubble")
    assert (bubble["chat_id"], bubble["message_id"]) == (desk.chat.id, message_id)
    assert f'id="message-{message_id}"' in bubble["html"]
    assert "monitor de 27" in bubble["html"]
    assert bubble["version"] == before["version"] + 1
    row = page.wait_for_kind("row")
    assert f'id="chat-{desk.chat.id}"' in row["html"]
    assert "monitor de 27" in row["html"]


def test_a_page_that_shows_another_chat_gets_the_row_alone(server: Server, desk: Desk) -> None:
    page = server.page_of(desk.cast.laura)
    page.open(desk.waiting.id)
    write(desk, "hola")
    page.wait_for_kind("row")
    assert not [m for m in page.seen + page.read_all() if m.get("kind") == "bubble"]


def test_each_sees_what_they_may_and_nothing_else(server: Server, desk: Desk) -> None:
    other_campaign = factories.make_campaign(name="Soporte")
    foreign = factories.make_user(role="supervisor")
    factories.link_agent(other_campaign, foreign)
    db.session.commit()
    laura, jhon = server.page_of(desk.cast.laura), server.page_of(desk.cast.jhon)
    marta, admin = server.page_of(desk.cast.marta), server.page_of(desk.cast.admin)
    stranger = server.page_of(foreign)
    for page in (laura, jhon, marta, admin, stranger):
        page.open(desk.chat.id)
    write(desk, "algo privado de Laura")
    for page in (laura, marta, admin):
        page.wait_for_kind("bubble")
        page.wait_for_kind("row")
    for page in (jhon, stranger):
        page.read_all()
        assert "privado" not in str(page.seen)
        # The numbers on their own tabs may come; nothing of the chat does.
        assert {m.get("name") for m in page.seen} <= {"gone", "counts"}
    write(desk, "para quien esté libre", chat="waiting")
    for page in (laura, jhon, marta, admin):
        page.wait_for_kind("row")
    assert "libre" not in str(stranger.read_all())


def test_phone_numbers_are_masked_for_whom_may_not_see_them(server: Server, desk: Desk) -> None:
    hidden = db.session.scalars(select(Permission).where(Permission.name == "clients.view_phone"))
    jhon = desk.cast.jhon
    factories.save(UserPermission(user_id=jhon.id, permission_id=hidden.one().id, type="revoke"))
    client = factories.make_client(phone_number="+573015550142", first_name="", last_name="")
    chat = factories.make_chat(
        campaign=desk.cast.sales, number=desk.cast.number, client=client, status="queued"
    )
    db.session.commit()
    pages = {name: server.page_of(getattr(desk.cast, name)) for name in ("laura", "jhon")}
    publish_all([(ChatChanged(chat.id), Audience(campaign_id=chat.campaign_id, waiting=True))])
    shown = {name: page.wait_for_kind("row")["html"] for name, page in pages.items()}
    assert "0142" in shown["laura"]
    assert re.search(r"301\s?555", shown["laura"])
    assert not re.search(r"301\s?555", shown["jhon"])


def test_an_event_is_rendered_once_per_variant(
    server: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[str] = []
    real = render.render_template
    monkeypatch.setattr(
        render, "render_template", lambda t, **v: (rendered.append(t), real(t, **v))[1]
    )
    pages = [server.page_of(desk.cast.laura) for _ in range(4)]
    pages += [server.page_of(desk.cast.marta) for _ in range(4)]
    for page in pages:
        page.open(desk.chat.id)
    write(desk, "hola")
    for page in pages:
        page.wait_for_kind("row")
    assert rendered.count("inbox/_bubble.html") == 1
    assert rendered.count("inbox/_row.html") == 1


def test_a_fragment_that_fails_spoils_nothing_else(
    server: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = render.render_template

    def failing(template: str, **values: object) -> str:
        if template == "inbox/_bubble.html":
            raise RuntimeError("a message that no template can show")
        return real(template, **values)

    monkeypatch.setattr(render, "render_template", failing)
    page = server.page_of(desk.cast.laura)
    page.open(desk.chat.id)
    write(desk, "hola")
    assert "hola" in page.wait_for_kind("row")["html"]


def test_a_delivery_that_fails_makes_the_pages_fetch(
    server: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(wanted: object) -> dict:
        raise OSError("the database is away")

    page = server.page_of(desk.cast.laura)
    page.open(desk.chat.id)
    with monkeypatch.context() as patch:
        patch.setattr(render, "render_rows", failing)
        write(desk, "hola")
        page.wait_for_kind("resync")
    write(desk, "otra vez")
    assert "otra vez" in page.wait_for_kind("row")["html"]


def test_a_burst_is_few_rows_and_every_bubble_in_order(server: Server, desk: Desk) -> None:
    page = server.page_of(desk.cast.laura)
    page.open(desk.chat.id)
    ids = [write(desk, f"mensaje {number}") for number in range(40)]
    page.wait_for(lambda m: m.get("message_id") == ids[-1])
    page.wait_for(lambda m: m.get("kind") == "row" and "mensaje 39" in m["html"])
    bubbles = [m["message_id"] for m in page.seen if m.get("kind") == "bubble"]
    assert bubbles == ids
    assert len([m for m in page.seen if m.get("kind") == "row"]) <= 40


def test_ticks_travel_as_the_bubble_anew(server: Server, desk: Desk) -> None:
    message = factories.make_message(desk.chat, direction="outbound", status=MessageStatus.SENT)
    db.session.commit()
    page = server.page_of(desk.cast.laura)
    page.open(desk.chat.id)
    message.status = MessageStatus.READ
    db.session.commit()
    audience = Audience(desk.cast.sales.id, (desk.cast.laura.id,))
    publish_all([(MessageChanged(desk.chat.id, message.id), audience)])
    assert 'data-status="read"' in page.wait_for_kind("ticks")["html"]


def test_who_loses_a_chat_drops_it_and_who_gets_it_sees_it(server: Server, desk: Desk) -> None:
    laura, jhon = server.page_of(desk.cast.laura), server.page_of(desk.cast.jhon)
    laura.open(desk.chat.id)
    with atomic():
        chats.assign_chat(desk.chat, desk.cast.jhon, actor=chats.SYSTEM, reason="test")
    assert laura.wait_for_kind("gone")["chat_id"] == desk.chat.id
    assert jhon.wait_for_kind("row")["chat_id"] == desk.chat.id
    write(desk, "ya no para Laura")
    jhon.wait_for(lambda m: "ya no para Laura" in m.get("html", ""))
    assert "ya no para Laura" not in str(laura.read_all())


def test_a_chat_that_is_taken_leaves_the_queue_of_the_others(server: Server, desk: Desk) -> None:
    laura, jhon = server.page_of(desk.cast.laura), server.page_of(desk.cast.jhon)
    laura.read_all(quiet=0.3)
    with atomic():
        chats.pick_chat(desk.waiting, desk.cast.laura)
    assert jhon.wait_for_kind("gone")["chat_id"] == desk.waiting.id
    row = laura.wait_for(lambda m: m.get("kind") == "row" and m["chat_id"] == desk.waiting.id)
    assert f'data-agent-id="{desk.cast.laura.id}"' in row["html"]


def test_the_counts_follow_and_are_those_of_the_page(server: Server, desk: Desk) -> None:
    jhon = server.page_of(desk.cast.jhon)
    jhon.read_all(quiet=0.3)
    with atomic():
        chats.pick_chat(desk.waiting, desk.cast.jhon)
    counts = jhon.wait_for(lambda m: m.get("name") == "counts")["counts"]
    assert counts == {"mine": 1, "unassigned": 0, "all": 1, "unread": 0}


def test_changed_rights_act_on_an_open_socket(server: Server, desk: Desk) -> None:
    page = server.page_of(desk.cast.jhon)
    page.open(desk.waiting.id)
    with atomic():
        db.session.execute(
            text("UPDATE campaign_agents SET is_active = false WHERE user_id = :id"),
            {"id": desk.cast.jhon.id},
        )
    page.wait_for_kind("resync")
    write(desk, "ya no para Jhon", chat="waiting")
    assert "ya no para Jhon" not in str(page.read_all())


def test_nothing_arrives_after_a_suspension(server: Server, desk: Desk) -> None:
    page = server.page_of(desk.cast.laura)
    page.open(desk.chat.id)
    desk.cast.laura.status = UserStatus.SUSPENDED
    db.session.commit()
    page.wait_closed()
    write(desk, "después")
    assert "después" not in str(page.seen)


def test_an_agents_status_reaches_them_and_who_steers(server: Server, desk: Desk) -> None:
    pages = {n: server.page_of(getattr(desk.cast, n)) for n in ("laura", "jhon", "marta", "admin")}
    pages["laura"].open(desk.chat.id)
    publish_all([(AgentChanged(desk.cast.laura.id), Audience(user_ids=(desk.cast.laura.id,)))])
    for name in ("laura", "marta", "admin"):
        assert pages[name].wait_for_kind("agent")["user_id"] == desk.cast.laura.id
    assert not [m for m in pages["jhon"].read_all() if m.get("name") == "agent"]


def test_a_fragment_holds_nothing_personal(app: Flask, server: Server, desk: Desk) -> None:
    laura, marta = server.page_of(desk.cast.laura), server.page_of(desk.cast.marta)
    laura.open(desk.chat.id)
    marta.open(desk.chat.id)
    write(desk, "hola")
    for kind in ("bubble", "row"):
        assert laura.wait_for_kind(kind)["html"] == marta.wait_for_kind(kind)["html"]
    assert "csrf" not in str(laura.seen)


def test_the_hubs_counts_are_those_of_the_page_for_everybody(desk: Desk) -> None:
    cast, sales = desk.cast, desk.cast.sales
    other = factories.make_campaign(name="Soporte")
    quality = factories.make_user(role="quality")
    auditor = factories.make_user(role="audit")
    factories.link_agent(sales, quality)
    factories.make_chat(campaign=other, agent=cast.laura, unread_count=3)
    factories.make_chat(campaign=other, status="queued")
    factories.make_chat(campaign=sales, status="bot")
    factories.make_chat(campaign=sales, agent=cast.laura, status="active", unread_count=2)
    factories.make_chat(campaign=sales, agent=cast.laura, status="closed", unread_count=9)
    factories.make_chat(
        campaign=sales, agent=cast.laura, status="transferred", offered_agent_id=cast.jhon.id
    )
    factories.make_chat(campaign=sales, status="queued", offered_agent_id=cast.jhon.id)
    factories.make_chat(campaign=other, status="queued", offered_agent_id=cast.jhon.id)
    db.session.commit()
    book = count_open_chats()
    for user in (cast.laura, cast.jhon, cast.marta, cast.admin, quality, auditor):
        scope = load_scope(user.id)
        page = inbox.count_chats(visible_chats(scope), user_id=user.id)
        assert book.counts_for(scope) == page, user
