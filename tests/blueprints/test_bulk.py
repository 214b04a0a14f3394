"""Many rows at once in the lists of the settings, and taking it back."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from crm.db import atomic, db
from crm.models import (
    AuditLog,
    CampaignAgent,
    CampaignNumber,
    CampaignStatus,
    Chat,
    ChatStatus,
    Queue,
    QuickReply,
    Tag,
    Template,
    TemplateStatus,
    User,
    UserSession,
    UserStatus,
    WhatsappNumber,
)
from crm.services import templates
from tests import factories
from tests.blueprints.admin_desk import browser_of
from tests.people import csrf_of

TAGS = "/settings/tags"


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    client = browser_of(app, factories.make_user(role="super_admin"))
    client.environ_base["HTTP_X_CSRFTOKEN"] = csrf_of(client, "/profile")
    return client


def make_tags(*labels: str, **fields: object) -> list[int]:
    with atomic():
        return [factories.save(Tag(name=label, label=label, **fields)).id for label in labels]


def active_tags() -> set[str]:
    db.session.rollback()
    return set(db.session.scalars(select(Tag.name).where(Tag.is_active)))


def undo_in(page: TestResponse) -> str:
    found = re.search(r'name="undo" value="([^"]+)"', page.text)
    assert found, "no way back is offered"
    return found.group(1)


def do(client: FlaskClient, path: str, **form: object) -> TestResponse:
    """Press the button over the list, and follow to the list again."""
    return client.post(f"{path}/bulk", data=form, follow_redirects=True)


def test_many_are_switched_off_and_back_again(admin: FlaskClient) -> None:
    ids = make_tags("vip", "moroso", "nuevo")
    make_tags("viejo", is_active=False)
    page = do(admin, TAGS, do="off", ids=ids[:2])
    assert "Changed: 2 tags." in page.text
    assert active_tags() == {"nuevo"}
    back = do(admin, TAGS, undo=undo_in(page))
    assert "Taken back." in back.text
    assert active_tags() == {"vip", "moroso", "nuevo"}
    rows = db.session.scalars(select(AuditLog).where(AuditLog.action == "tags.update")).all()
    assert [row.changes["is_active"]["after"] for row in rows] == [False, False, True, True]
    assert [row.meta.get("bulk") for row in rows] == [2, 2, None, None]


def test_undo_spares_what_somebody_has_changed_since(admin: FlaskClient) -> None:
    first, second = make_tags("vip", "moroso")
    token = undo_in(do(admin, TAGS, do="off", ids=[first, second]))
    with atomic():
        db.session.get_one(Tag, first).is_active = True
    with atomic():
        db.session.delete(db.session.get_one(Tag, second))
    page = do(admin, TAGS, undo=token)
    assert "2 were changed by somebody in the meantime and stay." in page.text


def test_the_way_back_is_this_persons_alone(app: Flask, admin: FlaskClient) -> None:
    token = undo_in(do(admin, TAGS, do="off", ids=make_tags("vip")))
    other = browser_of(app, factories.make_user(role="super_admin"))
    other.environ_base["HTTP_X_CSRFTOKEN"] = csrf_of(other, "/profile")
    assert do(other, TAGS, undo=token).status_code == 409
    assert do(admin, "/settings/rules", undo=token).status_code == 409
    assert do(admin, TAGS, undo=token[:-2]).status_code == 409
    assert active_tags() == set()


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"do": "off"}, 422),
        ({"do": "off", "ids": ["1; DROP"]}, 422),
        ({"do": "off", "ids": [str(n) for n in range(101)]}, 422),
        ({"do": "explode", "ids": ["1"]}, 422),
        ({"do": "off", "ids": ["999999"]}, 404),
    ],
)
def test_nonsense_changes_nothing(admin: FlaskClient, form: dict, status: int) -> None:
    make_tags("vip")
    assert do(admin, TAGS, **form).status_code == status
    assert active_tags() == {"vip"}


def test_the_list_comes_back_as_it_was_filtered_and_nowhere_else(admin: FlaskClient) -> None:
    ids = make_tags("vip")
    answer = admin.post(f"{TAGS}/bulk", data={"do": "off", "ids": ids, "back": f"{TAGS}?q=v"})
    assert answer.location == f"{TAGS}?q=v"
    for evil in ("//evil.example", "https://evil.example", f"{TAGS}.evil.example", "/logout"):
        answer = admin.post(f"{TAGS}/bulk", data={"do": "on", "ids": ids, "back": evil})
        assert answer.location == TAGS


def test_a_queue_with_people_waiting_stays_on_and_says_why(admin: FlaskClient) -> None:
    with atomic():
        campaign = factories.make_campaign()
        full, empty = factories.make_queue(campaign), factories.make_queue(campaign)
        factories.make_chat(campaign=campaign, queue_id=full.id, status=ChatStatus.QUEUED)
    page = do(admin, "/settings/queues", do="off", ids=[full.id, empty.id])
    assert "Changed: 1 queue." in page.text
    assert f"{full.name}: Waiting here: 1." in page.text
    db.session.rollback()
    assert set(db.session.scalars(select(Queue.id).where(Queue.is_active))) == {full.id}
    assert db.session.scalars(select(Chat.queue_id)).one() == full.id


def test_campaigns_pause_and_go_on_with_their_people_and_numbers(admin: FlaskClient) -> None:
    with atomic():
        campaign = factories.make_campaign(number=factories.make_number())
        factories.link_agent(campaign, factories.make_user(), priority=7)
    page = do(admin, "/settings/campaigns", do="pause", ids=[campaign.id])
    db.session.refresh(campaign)
    assert campaign.status == CampaignStatus.PAUSED
    do(admin, "/settings/campaigns", undo=undo_in(page))
    db.session.refresh(campaign)
    assert campaign.status == CampaignStatus.ACTIVE
    links = select(CampaignAgent.priority, CampaignNumber.is_primary).join(
        CampaignNumber, CampaignNumber.campaign_id == CampaignAgent.campaign_id
    )
    assert db.session.execute(links).all() == [(7, True)]


def test_an_agent_switches_off_own_quick_replies_and_not_shared_ones(app: Flask) -> None:
    agent = factories.make_user()
    client = browser_of(app, agent)
    client.environ_base["HTTP_X_CSRFTOKEN"] = csrf_of(client, "/profile")
    with atomic():
        own = factories.save(QuickReply(user_id=agent.id, shortcut="a", title="A", content="A"))
        shared = factories.save(QuickReply(shortcut="b", title="B", content="B"))
    both = do(client, "/settings/quick-replies", do="off", ids=[own.id, shared.id])
    assert both.status_code == 403
    do(client, "/settings/quick-replies", do="off", ids=[own.id])
    db.session.rollback()
    off = select(QuickReply.shortcut).where(QuickReply.is_active.is_(False))
    assert db.session.scalars(off).all() == ["a"]


PEOPLE = "/settings/users"


def access(*people: User) -> list[tuple[str, str | None]]:
    db.session.expire_all()
    return [(str(person.status), person.status_reason) for person in people]


def test_people_are_suspended_with_a_reason_and_let_in_again(app, admin):
    with atomic():
        ana, leo, gone = (factories.make_user() for _ in range(3))
        gone.status, gone.status_reason = UserStatus.INACTIVE, "Licencia"
        campaign = factories.make_campaign()
        chat = factories.make_chat(campaign=campaign, agent=ana)
    browser_of(app, ana)
    ids = [ana.id, leo.id, gone.id]
    assert do(admin, PEOPLE, do="suspend", ids=ids).status_code == 422  # without a reason
    page = do(admin, PEOPLE, do="suspend", ids=ids, status_reason="Fin de contrato")
    assert "Changed: 3 people." in page.text
    assert access(ana, leo, gone) == [("suspended", "Fin de contrato")] * 3
    assert db.session.get_one(Chat, chat.id).assigned_agent_id is None
    live = select(UserSession.id).where(
        UserSession.user_id == ana.id, UserSession.revoked_at.is_(None)
    )
    assert db.session.scalars(live).all() == []
    do(admin, PEOPLE, undo=undo_in(page))
    assert access(ana, leo, gone) == [
        ("active", None), ("active", None), ("inactive", "Licencia"),
    ]  # fmt: skip
    told = db.session.execute(
        select(AuditLog.action, AuditLog.entity_id).where(AuditLog.action.like("users.%"))
    ).all()
    assert sorted(told) == sorted(
        [("users.suspend", user_id) for user_id in ids]
        + [("users.reactivate", ana.id), ("users.reactivate", leo.id)]
        + [("users.deactivate", gone.id)]
    )


def test_letting_people_in_again_is_taken_back_with_the_old_reason(admin):
    with atomic():
        ana = factories.make_user()
        ana.status, ana.status_reason = UserStatus.SUSPENDED, "Claves compartidas"
    page = do(admin, PEOPLE, do="reactivate", ids=[ana.id])
    assert access(ana) == [("active", None)]
    do(admin, PEOPLE, undo=undo_in(page))
    assert access(ana) == [("suspended", "Claves compartidas")]


def test_nobody_suspends_themselves_so_that_a_super_admin_always_stays(app):
    with atomic():
        me, other = (factories.make_user(role="super_admin") for _ in range(2))
        agent = factories.make_user()
    client = browser_of(app, me)
    client.environ_base["HTTP_X_CSRFTOKEN"] = csrf_of(client, "/profile")
    listed = client.get(PEOPLE).text
    assert f'name="ids" value="{agent.id}"' in listed
    assert f'name="ids" value="{me.id}"' not in listed
    ids = [me.id, other.id, agent.id]
    assert do(client, PEOPLE, do="suspend", ids=ids, status_reason="x").status_code == 403
    assert access(me, other, agent) == [("active", None)] * 3
    do(client, PEOPLE, do="suspend", ids=ids[1:], status_reason="x")
    assert access(me, other, agent) == [("active", None), ("suspended", "x"), ("suspended", "x")]


def test_numbers_pause_and_undo_brings_back_who_paused_them_and_when(admin):
    with atomic():
        first, second = factories.make_number(), factories.make_number()
        somebody = factories.make_user()
        second.sending_paused_at = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
        second.sending_paused_by = somebody.id
    ids = [first.id, second.id]
    page = do(admin, "/settings/numbers", do="pause", ids=ids)
    assert "Changed: 1 number." in page.text  # the other was paused already, by somebody else
    do(admin, "/settings/numbers", undo=undo_in(page))
    db.session.refresh(first)
    assert first.sending_paused_at is None
    page = do(admin, "/settings/numbers", do="resume", ids=ids)
    do(admin, "/settings/numbers", undo=undo_in(page))
    db.session.rollback()
    number = db.session.get_one(WhatsappNumber, second.id)
    assert number.sending_paused_at == datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    assert number.sending_paused_by == somebody.id
    told = db.session.scalars(
        select(AuditLog.action).where(AuditLog.action.like("numbers.%")).order_by(AuditLog.id)
    ).all()
    assert told == ["numbers.pause", "numbers.resume", "numbers.resume", "numbers.pause"]


def test_a_template_that_is_switched_off_is_not_offered_nor_sent(admin):
    with atomic():
        chat = factories.make_chat(campaign=factories.make_campaign(number=factories.make_number()))
        kept, off = (
            factories.save(
                Template(
                    whatsapp_number_id=chat.whatsapp_number_id, template_name=name, language="es",
                    body_content="Hola", status=TemplateStatus.APPROVED, template_id=name,
                )
            )
            for name in ("aviso", "promo")
        )  # fmt: skip
    page = do(admin, "/settings/templates", do="off", ids=[off.id])
    db.session.expire_all()
    assert [each.id for each in templates.find_sendable(chat.whatsapp_number_id)] == [kept.id]
    with pytest.raises(templates.SwitchedOff):
        templates.load_sendable(chat, off.id)
    listed = admin.get("/settings/templates?offered=off").text
    assert "promo" in listed
    assert "aviso" not in listed
    do(admin, "/settings/templates", undo=undo_in(page))
    db.session.rollback()
    assert db.session.get_one(Template, off.id).is_active
    one = f"/settings/templates/{off.id}"
    answer = admin.post("/settings/templates/bulk", data={"do": "off", "ids": off.id, "back": one})
    assert answer.location == one
