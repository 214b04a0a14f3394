"""Many rows at once in the lists of the settings, and taking it back."""

from __future__ import annotations

import re

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
)
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
    assert "2 rows changed." in page.text
    assert active_tags() == {"nuevo"}
    back = do(admin, TAGS, undo=undo_in(page))
    assert "Taken back." in back.text
    assert active_tags() == {"vip", "moroso", "nuevo"}
    rows = db.session.scalars(select(AuditLog).where(AuditLog.action == "tags.update")).all()
    assert [row.changes["is_active"]["after"] for row in rows] == [False, False, True, True]
    assert rows[0].meta["bulk"] == sorted(ids[:2])


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
    assert "1 row changed." in page.text
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
