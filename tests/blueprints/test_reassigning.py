"""Many chats moved at once, and taken back: exactly as they stood, where nobody went on."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import AgentStatus, Chat, ChatEvent, ChatStatus, PendingReason, UserStatus
from crm.services import chats
from crm.services.chats.undo import place_of
from tests.blueprints.admin_desk import FRAGMENT
from tests.blueprints.chat_desk import chat_of, read
from tests.cast import Cast

Browse = Callable[..., FlaskClient]


def move(who: FlaskClient, moved: list[Chat], target: str) -> str:
    """The answer's Undo token."""
    sent = {"chats": [chat.id for chat in moved], "target": target}
    answer = who.post("/inbox/reassign", data=sent, headers=FRAGMENT)
    assert answer.status_code == 200, answer.text
    found = re.search(r'name="token" value="([^"]+)"', answer.text)
    return found[1] if found else ""


def undo(who: FlaskClient, token: str) -> str:
    answer = who.post("/inbox/reassign/undo", data={"token": token}, headers=FRAGMENT)
    assert answer.status_code == 200, answer.text
    return answer.text


def places(of: list[Chat]) -> list[dict]:
    return [place_of(read(chat)) for chat in of]


def test_many_chats_are_reassigned_and_one_that_is_gone_stops_none(cast: Cast, browse: Browse):
    mine = [chat_of(cast, cast.laura) for _ in range(3)]
    closed = chat_of(cast, cast.laura, status=ChatStatus.CLOSED)
    marta = browse(cast.marta)
    assert cast.laura.full_name in marta.get("/inbox/reassign?tab=all", headers=FRAGMENT).text
    sent = {"chats": [chat.id for chat in [*mine, closed]], "target": f"person:{cast.jhon.id}"}
    page = marta.post("/inbox/reassign", data=sent, headers=FRAGMENT).text
    assert "3 chats reassigned" in page
    assert closed.case_number in page, "the one that stayed is named"
    assert {read(chat).assigned_agent_id for chat in mine} == {cast.jhon.id}
    assert read(closed).assigned_agent_id == cast.laura.id
    move(marta, mine, "spread")
    assert {read(chat).status for chat in mine} == {ChatStatus.QUEUED}


@pytest.mark.parametrize("target", ["spread", "person", "queue"])
def test_undo_gives_back_exactly_what_was(cast: Cast, browse: Browse, target: str):
    """Whoever had it, since when, in which state and place, however it was moved."""
    for agent in (cast.laura, cast.jhon):
        agent.agent_status = AgentStatus.PAUSED  # so that the one that waits goes on waiting
    long_ago = utcnow() - timedelta(hours=2)
    stood = [
        chat_of(cast, cast.laura, assigned_at=long_ago),
        chat_of(cast, cast.laura, status=ChatStatus.ASSIGNED, assigned_at=long_ago),
        chat_of(cast, None, queued_at=long_ago, queue_ahead=True),
        chat_of(cast, cast.laura, status=ChatStatus.PENDING, assigned_at=long_ago,
                pending_reason=PendingReason.SNOOZED, snoozed_until=utcnow() + timedelta(days=1)),
    ]  # fmt: skip
    before = places(stood)
    to = {"spread": "spread", "person": f"person:{cast.jhon.id}", "queue": f"queue:{cast.queue.id}"}
    marta = browse(cast.marta)
    token = move(marta, stood, to[target])
    assert all(now != then for now, then in zip(places(stood), before, strict=True))
    assert "4 chats are back" in undo(marta, token)
    assert places(stood) == before
    told = select(ChatEvent.kind).where(ChatEvent.chat_id == stood[0].id).order_by(ChatEvent.id)
    assert list(db.session.scalars(told))[-1] == "put_back", "the timeline tells it"


def test_what_routing_did_meanwhile_is_taken_back_too(cast: Cast, browse: Browse):
    chat = chat_of(cast, cast.laura)
    before = places([chat])
    marta = browse(cast.marta)
    token = move(marta, [chat], "spread")
    with atomic():
        chats.give_locked_chat(
            chats.lock_chat(chat.id), cast.jhon.id, actor=chats.SYSTEM, reason="turn", at=utcnow()
        )
    undo(marta, token)
    assert places([chat]) == before


def test_undo_names_what_it_cannot_give_back_and_why(cast: Cast, browse: Browse):
    answered, closed, theirs, free, bot = (
        chat_of(cast, cast.laura),
        chat_of(cast, cast.laura),
        chat_of(cast, cast.laura),
        chat_of(cast, None),
        chat_of(cast, None, status=ChatStatus.BOT),
    )
    marta = browse(cast.marta)
    token = move(marta, [answered, closed, theirs, free, bot], f"person:{cast.jhon.id}")
    with atomic():
        chats.record_human_reply(read(answered), cast.jhon)
        chats.close_chat(read(closed), actor=chats.SYSTEM, reason="resolved")
    page = undo(marta, token)
    assert "2 chats are back" in page
    for chat, why in (
        (answered, "Somebody has gone on with it since."),
        (closed, "It is closed."),
        (bot, "It was with a bot"),
    ):
        assert re.search(f"{chat.case_number}</b>.{{0,3}}{why}", page), (why, page)
    assert [read(chat).assigned_agent_id for chat in (answered, theirs, free)] == [
        cast.jhon.id,
        cast.laura.id,
        None,
    ]
    # Twice is once: what is back is not moved again.
    assert "0 chats are back" in undo(marta, token)


def test_a_chat_that_is_theirs_already_stays_and_is_named(cast: Cast, browse: Browse):
    theirs, other = chat_of(cast, cast.jhon), chat_of(cast, cast.laura)
    sent = {"chats": [theirs.id, other.id], "target": f"person:{cast.jhon.id}"}
    page = browse(cast.marta).post("/inbox/reassign", data=sent, headers=FRAGMENT).text
    assert "1 chat reassigned" in page
    assert f"{theirs.case_number}</b> They have this chat already." in page


def test_nothing_goes_back_to_somebody_who_has_left(cast: Cast, browse: Browse):
    chat = chat_of(cast, cast.laura)
    marta = browse(cast.marta)
    token = move(marta, [chat], f"person:{cast.jhon.id}")
    cast.laura.status = UserStatus.SUSPENDED
    db.session.commit()
    assert "their account is not active" in undo(marta, token)
    assert read(chat).assigned_agent_id == cast.jhon.id


def test_an_undo_is_the_mover_s_own_and_cannot_be_made_up(cast: Cast, browse: Browse):
    chat = chat_of(cast, cast.laura)
    token = move(browse(cast.marta), [chat], f"person:{cast.jhon.id}")
    for who, sent in ((cast.admin, token), (cast.marta, "x"), (cast.marta, token[:-2])):
        answer = browse(who).post("/inbox/reassign/undo", data={"token": sent}, headers=FRAGMENT)
        assert answer.status_code == 409
    laura = browse(cast.laura)
    assert laura.post("/inbox/reassign/undo", data={"token": token}).status_code == 403
    assert read(chat).assigned_agent_id == cast.jhon.id


def test_without_script_the_undo_is_a_page(cast: Cast, browse: Browse):
    sent = {"chats": [chat_of(cast, cast.laura).id], "target": f"person:{cast.jhon.id}"}
    page = browse(cast.marta).post("/inbox/reassign", data=sent).text
    assert "<html" in page
    assert 'action="/inbox/reassign/undo"' in page


@pytest.mark.parametrize(
    "sent",
    [
        {"target": "spread"},
        {"chats": ["x"], "target": "spread"},
        {"chats": ["1"], "target": "person:0"},
    ],
)
def test_a_reassignment_of_nothing_or_to_nobody_is_refused(cast: Cast, browse: Browse, sent: dict):
    assert (
        browse(cast.marta).post("/inbox/reassign", data=sent, headers=FRAGMENT).status_code == 422
    )
