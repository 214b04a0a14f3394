"""Routing in the settings over HTTP: settings, order, dry run, replay."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from crm.db import db
from crm.lib.clock import utcnow
from crm.models import (
    AgentStatus,
    AuditLog,
    Chat,
    ChatEvent,
    Message,
    RoutingRule,
    RuleAction,
    Setting,
)
from crm.services.settings import read_setting
from tests.cast import Cast
from tests.factories import (
    make_campaign,
    make_chat,
    make_client,
    make_message,
    make_number,
    make_queue,
    make_rule,
)

Browse = Callable[..., FlaskClient]


def test_the_admin_keeps_the_reasons_for_a_pause(cast: Cast, browse: Browse):
    sent = {"offer_seconds": "90", "lapse_minutes": "20", "lapses_to_pause": "3",
            "busy_when_full": "y", "vip_segments": "Oro",
            "pause_reasons": "Café, Reunión"}  # fmt: skip
    admin = browse(cast.admin)
    page = admin.get("/settings/routing").text
    version = page.split('name="version"')[1].split('value="')[1].split('"')[0]
    assert admin.post("/settings/routing", data={**sent, "version": version}).status_code == 302
    assert read_setting("agents.pause_reasons") == ["Café", "Reunión"]
    assert read_setting("routing.offer_seconds") == 90
    laura = browse(cast.laura)
    assert "Café" in laura.get("/inbox").text
    assert laura.post("/agents/status", data={"status": "paused:Café"}).status_code == 302
    db.session.refresh(cast.laura)
    assert (cast.laura.agent_status, cast.laura.agent_status_reason) == (AgentStatus.PAUSED, "Café")
    db.session.query(Setting).delete()
    db.session.commit()


def count_all() -> list[int | None]:
    tables = (Chat, Message, ChatEvent)
    return [db.session.scalar(select(func.count()).select_from(each)) for each in tables]


def rules_in(cast: Cast) -> list[RoutingRule]:
    vip = make_queue(cast.sales, name="Mayoristas")
    rules = [
        make_rule(cast.sales, name=name, action=RuleAction.ASSIGN_QUEUE, priority=priority,
                  conditions={"keyword": word}, target_queue_id=vip.id)
        for name, word, priority in (("Uno", "precio", 30), ("Dos", "mayor", 20), ("Tres", "x", 10))
    ]  # fmt: skip
    db.session.commit()
    return rules


def test_the_order_is_saved_and_no_rule_is_lost(cast: Cast, browse: Browse):
    one, _two, three = rules_in(cast)
    sent = {"rule": [three.id, one.id], "on": [three.id]}
    answer = browse(cast.admin).post(f"/settings/routing/order/{cast.sales.id}", data=sent)
    assert answer.status_code == 302
    db.session.expire_all()
    rows = db.session.scalars(select(RoutingRule).order_by(RoutingRule.priority.desc())).all()
    assert [row.name for row in rows] == ["Tres", "Uno", "Dos"]
    assert [row.is_active for row in rows] == [True, False, True]
    noted = db.session.scalar(select(AuditLog.changes).where(AuditLog.action == "rules.order"))
    assert noted["order"]["before"] == ["Uno", "Dos", "Tres"]
    assert noted["order"]["after"] == ["Tres", "(Uno)", "Dos"]


def test_a_dry_run_says_rule_and_agent_and_touches_nothing(cast: Cast, browse: Browse):
    rules_in(cast)
    before = [
        db.session.scalar(select(func.count()).select_from(each))
        for each in (Chat, Message, ChatEvent)
    ]
    sent = {"campaign_id": cast.sales.id, "text": "Compro al por mayor", "kind": "text"}
    page = browse(cast.admin).post("/settings/routing/try", data=sent).text
    for words in ("Ventas · Mayoristas", "Dos", "Laura Gómez", "does not hold: the word"):
        assert words in page, words
    after = [
        db.session.scalar(select(func.count()).select_from(each))
        for each in (Chat, Message, ChatEvent)
    ]
    assert after == before


@pytest.mark.parametrize("at", ["nonsense", "0001-01-01T00:00", "9999-12-31T23:59", "\x00"])
def test_a_dry_run_takes_any_moment(cast: Cast, browse: Browse, at: str):
    sent = {"campaign_id": cast.sales.id, "text": "Hola", "kind": "text", "at": at}
    assert browse(cast.admin).post("/settings/routing/try", data=sent).status_code == 200


def ask(who: FlaskClient, **sent: object) -> str:
    answer = who.post("/settings/routing/try", data=sent)
    assert answer.status_code == 200, answer.text[-600:]
    return answer.text


def test_a_message_that_came_in_can_be_tried_again(cast: Cast, browse: Browse):
    """It brings its words, kind, number and customer; a client's are found by the phone."""
    rules_in(cast)
    known = make_client(phone_number="+573004445566")
    message = make_message(
        make_chat(campaign=cast.sales, number=cast.number, status="closed", client=known),
        content="Compro al por mayor",
    )
    make_message(make_chat(campaign=cast.sales, number=cast.number), content="Precio, por favor")
    db.session.commit()
    admin, about = browse(cast.admin), {"campaign_id": cast.sales.id, "kind": "text"}
    listed = ask(admin, **about, show="1")
    assert "Compro al por mayor" in listed
    assert "Precio, por favor" in listed
    assert 'id="trial"' not in listed, "showing tries nothing"
    listed = ask(admin, **about, show="1", client="+57 300 4445566")
    assert "Precio, por favor" not in listed, "only this customer's"
    tried = ask(admin, **about, text="Precio", message_id=message.id)
    assert "Rule: <b>Dos</b>" in tried, "the chosen message counts, not what is written"
    assert f'value="{message.id}" checked' in tried


def test_only_messages_that_the_person_may_read_are_offered(cast: Cast, browse: Browse):
    support = make_campaign(name="Soporte")
    number = make_number(campaign=support)
    foreign = make_message(make_chat(campaign=support, number=number), content="Ajeno")
    db.session.commit()
    marta, about = browse(cast.marta), {"campaign_id": cast.sales.id, "kind": "text"}
    phone = foreign.chat.client.phone_number
    assert "Ajeno" not in ask(marta, **about, show="1", client=phone)
    answer = marta.post("/settings/routing/try", data={**about, "message_id": foreign.id})
    assert answer.status_code == 422
    assert "Ajeno" not in answer.text


def test_a_dry_run_says_what_it_assumes_of_the_moment(cast: Cast, browse: Browse):
    admin, about = (
        browse(cast.admin),
        {"campaign_id": cast.sales.id, "kind": "text", "text": "Hola"},
    )
    assert "those of this moment" in ask(admin, **about)
    assert "as they were recorded" in ask(admin, **about, at="2026-01-05T10:00")
    assert "assumed to be as they are now" in ask(admin, **about, at="2099-01-05T10:00")


def test_a_rule_that_is_being_written_is_tried_on_a_day(cast: Cast, browse: Browse):
    """New or changed, as it stands in the form; it is not saved."""
    _one, two, _three = rules_in(cast)
    yesterday = utcnow() - timedelta(days=1)
    for text in ("Compro al por mayor", "Quiero pagar", "Hola"):
        chat = make_chat(campaign=cast.sales, number=cast.number, status="closed",
                         created_at=yesterday)  # fmt: skip
        make_message(chat, content=text, created_at=yesterday)
    db.session.commit()
    admin = browse(cast.admin)
    written = {"campaign_id": cast.sales.id, "name": "Pagos", "priority": "99", "is_active": "y",
               "action": "reject", "message": "Por la web", "keyword": "pagar"}  # fmt: skip
    new = admin.post("/settings/rules/replay", data=written).text
    assert "1 of the day" in new
    assert "Quiero pagar" in new
    assert "Compro al por mayor" not in new
    changed = admin.post("/settings/rules/replay", data={**written, "rule_id": two.id}).text
    assert "2 of the day" in changed, "it gives up what it took, and takes what it names now"
    wrong = admin.post("/settings/rules/replay", data={**written, "message": "", "name": ""})
    assert wrong.status_code == 200
    assert "It cannot be tried yet." in wrong.text
    db.session.expire_all()
    assert db.session.scalar(select(func.count()).select_from(RoutingRule)) == 3
    assert db.session.get_one(RoutingRule, two.id).name == "Dos"


def test_a_draft_is_kept_tried_refused_while_stale_and_saved(cast: Cast, browse: Browse):
    one, two, three = rules_in(cast)
    gone = make_queue(cast.sales, name="Pasajera")
    db.session.commit()
    admin, here = browse(cast.admin), f"/settings/routing/draft/{cast.sales.id}"
    written = {"name": "Pagos", "campaign_id": cast.sales.id, "is_active": "y", "keyword": "pagar",
               "action": "assign_queue", "target_queue_id": gone.id}  # fmt: skip
    wrong = admin.post(f"{here}/rule", data={**written, "name": ""})
    assert (wrong.status_code, "pagar" in wrong.text) == (422, True)
    assert admin.post(f"{here}/rule", data=written).status_code == 302
    order = {"rule": ["n1", three.id, two.id, one.id, "n7", "\x00"], "on": ["n1", one.id, two.id]}
    page = admin.post(here, data={**order, "do": f"remove:{two.id}"}, follow_redirects=True).text
    for words in ("will be deleted", "will be switched off", "4 changes, not in force yet"):
        assert words in page, words
    assert admin.get(f"{here}/rule?key={two.id}").status_code == 404, "it is to be deleted"
    assert "Draft: 4 changes" in admin.get(f"/settings/routing/order/{cast.sales.id}").text
    tried = admin.post(here, data={**order, "do": "try", "day": "2026-01-05"})
    assert 'id="replay"' in tried.text

    db.session.delete(gone)
    db.session.commit()
    for do in ("try", "save"):
        refused = admin.post(here, data={**order, "do": do})
        assert refused.status_code == 422
        assert "These rules need another look first." in refused.text
    kept = {**written, "target_queue_id": one.target_queue_id}
    assert admin.post(f"{here}/rule?key=n1", data=kept).status_code == 302

    db.session.get_one(RoutingRule, one.id).name = "Uno ajeno"
    db.session.commit()
    stale = admin.post(here, data={**order, "do": "save"})
    assert stale.status_code == 409
    assert "Changed: Uno ajeno" in stale.text
    assert admin.post(here, data={"do": "go_on"}).status_code == 302
    assert admin.post(here, data={**order, "do": "save"}).status_code == 302
    db.session.expire_all()
    rows = db.session.scalars(select(RoutingRule).order_by(RoutingRule.priority.desc())).all()
    assert [(row.name, row.is_active) for row in rows] == [
        ("Pagos", True), ("Tres", False), ("Uno ajeno", True),
    ]  # fmt: skip
    assert admin.post(here, data={"do": "edit:n1"}, follow_redirects=True).status_code == 404
    assert admin.post(here, data={"do": "drop"}).status_code == 302


def test_a_dry_run_for_nobody_known_says_so(cast: Cast, browse: Browse):
    sent = {"campaign_id": cast.sales.id, "text": "Hola", "kind": "text", "client": "3009999999"}
    answer = browse(cast.admin).post("/settings/routing/try", data=sent)
    assert (answer.status_code, "Nobody has this number" in answer.text) == (422, True)


def test_a_replay_shows_what_of_yesterday_would_go_elsewhere(cast: Cast, browse: Browse):
    _one, two, _three = rules_in(cast)
    yesterday = utcnow() - timedelta(days=1)
    for text in ("Compro al por mayor", "Hola", "precio del mayor"):
        chat = make_chat(campaign=cast.sales, number=cast.number, status="closed",
                         client=make_client(), created_at=yesterday)  # fmt: skip
        make_message(chat, content=text, created_at=yesterday)
    db.session.commit()
    sent = {"rule": [rule.id for rule in (_one, two, _three)], "on": [_one.id, _three.id]}
    answer = browse(cast.admin).post(f"/settings/routing/replay/{cast.sales.id}", data=sent)
    page = answer.text
    assert answer.status_code == 200, page[-600:]
    assert "Compro al por mayor" in page
    assert "precio del mayor" not in page
    db.session.expire_all()
    assert db.session.get_one(RoutingRule, two.id).is_active, "nothing was changed by trying"


@pytest.mark.parametrize("pattern", ["(a)\\1", "(?=a)", "a{9999}", "("])
def test_a_pattern_that_cannot_be_bounded_is_refused(cast: Cast, browse: Browse, pattern: str):
    sent = {"campaign_id": cast.sales.id, "name": "R", "priority": "0", "regex": pattern,
            "action": "assign_queue", "target_queue_id": cast.queue.id}  # fmt: skip
    assert browse(cast.admin).post("/settings/rules/new", data=sent).status_code == 422
