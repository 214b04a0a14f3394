"""The dialogs of a chat over HTTP: who may, what is asked, what happens."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import AgentStatus, ChatEvent, ChatNote, ChatStatus, PendingReason, User
from crm.services import routing
from tests.blueprints.admin_desk import FRAGMENT
from tests.blueprints.chat_desk import chat_of, read
from tests.factories import (
    link_agent,
    make_campaign,
    make_queue,
    make_user,
)


def test_closing_keeps_reason_outcome_value_and_notes(cast, browse):
    chat = chat_of(cast, cast.laura)
    laura = browse(cast.laura)
    assert "Resolved" in laura.get(f"/inbox/{chat.id}/close", headers=FRAGMENT).text
    sent = {
        "reason": "resolved",
        "outcome": "sale",
        "outcome_value": "1.250.000,50",
        "notes": "Vip",
    }
    answer = laura.post(f"/inbox/{chat.id}/close", data=sent, headers=FRAGMENT)
    assert answer.status_code == 204
    chat = read(chat)
    assert (chat.status, chat.close_reason, chat.outcome) == (ChatStatus.CLOSED, "resolved", "sale")
    assert (str(chat.outcome_value), chat.close_notes) == ("1250000.50", "Vip")


@pytest.mark.parametrize(
    "sent",
    [
        {"reason": "because"},
        {"reason": "resolved", "outcome": "sale", "outcome_value": "mucho"},
        {"reason": "resolved", "notes": "x" * 2001},
        {"reason": "resolved", "outcome": "nothing"},
    ],
)
def test_what_is_wrong_comes_back_with_what_was_typed(cast, browse, sent):
    chat = chat_of(cast, cast.laura)
    answer = browse(cast.laura).post(f"/inbox/{chat.id}/close", data=sent, headers=FRAGMENT)
    assert answer.status_code == 422
    assert "<dialog" in answer.text
    assert read(chat).status is ChatStatus.ACTIVE


def test_a_campaign_may_ask_for_an_outcome(cast, browse):
    cast.sales.outcome_required = True
    chat = chat_of(cast, cast.laura)
    answer = browse(cast.laura).post(
        f"/inbox/{chat.id}/close", data={"reason": "resolved"}, headers=FRAGMENT
    )
    assert answer.status_code == 422
    assert "asks for an outcome" in answer.text


def test_snoozing_by_preset_moment_and_customer(cast, browse):
    laura = browse(cast.laura)
    for sent, reason in (
        ({"until": "1h", "note": "Llamar"}, PendingReason.SNOOZED),
        ({"until": "customer"}, PendingReason.CUSTOMER),
        (
            {"until": "custom", "at": f"{utcnow() + timedelta(days=2):%Y-%m-%dT%H:%M}"},
            PendingReason.SNOOZED,
        ),
    ):
        chat = chat_of(cast, cast.laura)
        answer = laura.post(f"/inbox/{chat.id}/snooze", data=sent, headers=FRAGMENT)
        assert answer.status_code == 204, answer.text
        chat = read(chat)
        assert (chat.status, chat.pending_reason) == (ChatStatus.PENDING, reason)
        assert (chat.snoozed_until is not None) == (reason is PendingReason.SNOOZED)
    assert db.session.scalars(select(ChatNote.content)).all() == ["Llamar"]
    assert laura.post(f"/inbox/{chat.id}/resume", headers=FRAGMENT).status_code == 204
    assert read(chat).status is ChatStatus.ACTIVE


@pytest.mark.parametrize("at", ["", "yesterday", "2020-01-01T10:00", "2999-01-01T10:00", "\x00"])
def test_no_snooze_into_the_past_nor_for_ever(cast, browse, at):
    chat = chat_of(cast, cast.laura)
    sent = {"until": "custom", "at": at}
    answer = browse(cast.laura).post(f"/inbox/{chat.id}/snooze", data=sent, headers=FRAGMENT)
    assert answer.status_code == 422


def test_an_offer_appears_at_the_receiver_and_counts_when_accepted(cast, browse):
    chat = chat_of(cast, cast.laura)
    sent = {"kind": "person", "person": cast.jhon.id, "reason": "asked_for", "note": "Es del Valle"}
    laura, jhon = browse(cast.laura), browse(cast.jhon)
    assert laura.post(f"/inbox/{chat.id}/transfer", data=sent, headers=FRAGMENT).status_code == 204
    chat = read(chat)
    assert (chat.status, chat.assigned_agent_id) == (ChatStatus.TRANSFERRED, cast.laura.id)
    page = jhon.get("/inbox/offers").text
    assert f'data-offer="{chat.id}"' in page
    assert "Es del Valle" in page
    assert f'data-offer="{chat.id}"' not in laura.get("/inbox/offers").text
    assert jhon.post(f"/inbox/{chat.id}/accept", headers=FRAGMENT).status_code == 204
    chat = read(chat)
    assert (chat.status, chat.assigned_agent_id) == (ChatStatus.ASSIGNED, cast.jhon.id)
    assert (chat.transferred_from_agent_id, chat.transfer_count) == (cast.laura.id, 1)
    assert chat.transfer_reason == "asked_for"


def test_a_declined_or_withdrawn_offer_stays_with_the_sender_and_does_not_count(cast, browse):
    chat = chat_of(cast, cast.laura)
    sent = {"kind": "person", "person": cast.jhon.id, "reason": "asked_for"}
    laura, jhon = browse(cast.laura), browse(cast.jhon)
    for who, verb in ((jhon, "decline"), (laura, "withdraw")):
        laura.post(f"/inbox/{chat.id}/transfer", data=sent, headers=FRAGMENT)
        assert who.post(f"/inbox/{chat.id}/{verb}", headers=FRAGMENT).status_code == 204
        chat = read(chat)
        assert (chat.status, chat.assigned_agent_id) == (ChatStatus.ACTIVE, cast.laura.id)
        assert chat.transfer_count == 0
    assert jhon.post(f"/inbox/{chat.id}/accept", headers=FRAGMENT).status_code in (404, 409)


def test_only_who_may_assign_can_choose_somebody_who_is_away(cast, browse):
    cast.jhon.agent_status = AgentStatus.OFFLINE
    chat = chat_of(cast, cast.laura)
    sent = {"kind": "person", "person": cast.jhon.id, "reason": "asked_for"}
    answer = browse(cast.laura).post(f"/inbox/{chat.id}/transfer", data=sent, headers=FRAGMENT)
    assert answer.status_code == 422
    assert "not available" in answer.text
    answer = browse(cast.marta).post(f"/inbox/{chat.id}/transfer", data=sent, headers=FRAGMENT)
    assert answer.status_code == 204


def test_passing_on_to_a_queue_and_to_a_campaign_starts_a_new_wait(cast, browse):
    other = make_campaign(name="Soporte")
    theirs = make_queue(other, name="Técnico")
    mine = make_queue(cast.sales, name="Mayoristas")
    for person in (cast.laura, cast.jhon):
        person.agent_status = AgentStatus.PAUSED
    chat = chat_of(cast, cast.laura, queued_at=utcnow() - timedelta(hours=3))
    laura = browse(cast.laura)
    sent = {"kind": "queue", "queue": mine.id, "reason": "other_area"}
    assert laura.post(f"/inbox/{chat.id}/transfer", data=sent, headers=FRAGMENT).status_code == 204
    chat = read(chat)
    assert (chat.status, chat.queue_id, chat.assigned_agent_id) == (
        ChatStatus.QUEUED,
        mine.id,
        None,
    )
    assert chat.queued_at > utcnow() - timedelta(minutes=5)
    sent = {"kind": "campaign", "campaign": other.id, "reason": "other_area"}
    marta = browse(cast.marta)
    assert marta.post(f"/inbox/{chat.id}/transfer", data=sent, headers=FRAGMENT).status_code == 204
    chat = read(chat)
    assert (chat.campaign_id, chat.queue_id) == (other.id, theirs.id)


def test_nobody_passes_on_to_a_queue_or_a_person_of_elsewhere(cast, browse):
    other = make_campaign()
    stranger = make_user()
    link_agent(other, stranger)
    queue = make_queue(other)
    chat = chat_of(cast, cast.laura)
    laura = browse(cast.laura)
    for kind, target in (("queue", queue.id), ("person", stranger.id), ("person", ""), ("x", 1)):
        sent = {"kind": kind, kind: target, "reason": "asked_for"}
        assert (
            laura.post(f"/inbox/{chat.id}/transfer", data=sent, headers=FRAGMENT).status_code == 422
        )
    assert read(chat).assigned_agent_id == cast.laura.id


def test_who_may_assign_gives_a_chat_to_somebody_at_once(cast, browse):
    chat = chat_of(cast, cast.laura)
    sent = {"person": cast.jhon.id, "note": "Ya conoce el caso"}
    assert browse(cast.laura).post(f"/inbox/{chat.id}/assign", data=sent).status_code == 403
    answer = browse(cast.marta).post(f"/inbox/{chat.id}/assign", data=sent, headers=FRAGMENT)
    assert answer.status_code == 204
    assert read(chat).assigned_agent_id == cast.jhon.id


def test_an_agent_moves_no_chat_of_another(cast, browse):
    chat = chat_of(cast, cast.laura)
    jhon = browse(cast.jhon)
    for verb, sent in (
        ("close", {"reason": "resolved"}),
        ("snooze", {"until": "1h"}),
        ("transfer", {}),
    ):
        assert jhon.post(f"/inbox/{chat.id}/{verb}", data=sent, headers=FRAGMENT).status_code == 404
    waiting = chat_of(cast, None)
    answer = jhon.post(f"/inbox/{waiting.id}/close", data={"reason": "spam"}, headers=FRAGMENT)
    assert answer.status_code == 409


def test_going_on_a_break_hands_over_what_was_chosen(cast, browse):
    waits = chat_of(cast, cast.laura)
    quiet = chat_of(cast, cast.laura)
    quiet.waiting_since = None
    stays = chat_of(cast, cast.laura)
    laura = browse(cast.laura)
    page = laura.get("/agents/hand-over?status=paused:Almuerzo", headers=FRAGMENT).text
    assert "Suggested: Jhon Restrepo" in page
    assert "You wait for the customer" in page
    targets = {f"chat-{waits.id}": cast.jhon.id, f"chat-{quiet.id}": "queue", "chat-x": "queue"}
    sent = {"status": "paused:Almuerzo", **targets, f"chat-{stays.id}": "keep", "note": "A las 2"}
    assert laura.post("/agents/hand-over", data=sent, headers=FRAGMENT).status_code == 204
    assert read(waits).offered_agent_id == cast.jhon.id
    assert read(quiet).status is ChatStatus.QUEUED
    assert read(stays).assigned_agent_id == cast.laura.id
    person = db.session.get_one(User, cast.laura.id)
    assert (person.agent_status, person.agent_status_reason) == (AgentStatus.PAUSED, "Almuerzo")


def test_nobody_without_open_chats_is_asked(cast, browse):
    answer = browse(cast.laura).get("/agents/hand-over?status=offline", headers=FRAGMENT)
    assert answer.status_code == 204


def test_a_waiting_chat_says_why_nobody_takes_it(cast, browse):
    cast.jhon.agent_status = AgentStatus.PAUSED
    cast.laura.max_concurrent_chats = 0
    chat = chat_of(cast, None)
    page = browse(cast.marta).get(f"/inbox/{chat.id}/why", headers=FRAGMENT).text
    for words in (
        "No agent is free",
        "Jhon Restrepo",
        "paused",
        "no place free",
        "1 of 1",
        "General",
    ):
        assert words in page, words


def test_all_names_are_computed_when_asked(cast, browse):
    for number in range(14):
        paused = make_user(first_name=f"Agente{number:02d}", agent_status="paused")
        link_agent(cast.sales, paused)
    chat = chat_of(cast, None)
    marta = browse(cast.marta)
    some = marta.get(f"/inbox/{chat.id}/why", headers=FRAGMENT).text
    everybody = marta.get(f"/inbox/{chat.id}/why?all=1", headers=FRAGMENT).text
    assert (some.count("Agente"), everybody.count("Agente")) == (10, 14)
    assert "Show everybody" in some
    assert "Show everybody" not in everybody

    # A decision of the past keeps ten; the others are read from the log of its moment.
    cast.jhon.agent_status = AgentStatus.PAUSED
    cast.laura.max_concurrent_chats = 2
    db.session.commit()
    with atomic():
        routing.route_chat(chat.id)
    event = db.session.scalars(
        select(ChatEvent).where(ChatEvent.chat_id == chat.id, ChatEvent.kind == "assigned")
    ).one()
    link = f"/inbox/{chat.id}/why?event={event.id}"
    assert link in marta.get(f"/inbox/{chat.id}").text
    then = marta.get(link, headers=FRAGMENT).text
    assert "Laura Gómez" in then
    assert (then.count("Agente"), "and also" in then) == (14, False)
    assert marta.get(f"/inbox/{chat.id}/why?event={event.id + 99}").status_code == 404


def test_without_script_each_dialog_is_a_page(cast, browse):
    chat = chat_of(cast, cast.laura)
    laura = browse(cast.laura)
    for verb in ("close", "snooze", "transfer", "why"):
        page = laura.get(f"/inbox/{chat.id}/{verb}")
        assert page.status_code == 200
        assert "<html" in page.text
    answer = laura.post(f"/inbox/{chat.id}/close", data={"reason": "resolved"})
    assert (answer.status_code, answer.location) == (302, f"/inbox/{chat.id}")
