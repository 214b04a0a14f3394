"""Who may not see customers' phone numbers finds them in no page, fragment, search or event."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from crm.db import atomic, db
from crm.models import Campaign, Client, Permission, PermissionType, UserPermission
from crm.permissions import scope_of
from crm.services import audit
from tests import factories
from tests.guards.test_matrix import doors, path_of
from tests.guards.world import RELATIONS, World, make_world
from tests.people import csrf_of, enter

PHONE = "+573015550142"
SHOWN_MASKED = "+57 *** 0142"
# However it is written: with blanks, with the country's code or without, with dots or dashes.
SPOKEN = re.compile(r"301[\s.\-)]*555[\s.\-]*01\s?42")


@pytest.fixture
def world(app: Flask) -> World:
    """A super_admin who is denied that one permission; a chat of each kind has the same customer's
    look, and the customer has written and been renamed.
    """
    with atomic():
        world = make_world("super_admin")
        permission = select(Permission.id).where(Permission.name == "clients.view_phone")
        extra = UserPermission(
            user_id=world.person.id,
            permission_id=db.session.scalars(permission).one(),
            type=PermissionType.REVOKE,
        )
        factories.save(extra)
        nameless = {"first_name": None, "last_name": None}
        for number, client in enumerate(db.session.scalars(select(Client)).all()):
            # The same digits for all but what the column's uniqueness asks for.
            before = audit.snapshot(client)
            client.phone_number = PHONE if number == 0 else f"+{number}573015550142"
            for name, value in nameless.items():
                setattr(client, name, value)
            audit.record("clients.update", client, before=before)
    return world


@pytest.fixture
def client(app: Flask, world: World) -> FlaskClient:
    client = enter(app, world.person)
    client.environ_base["HTTP_X_CSRFTOKEN"] = csrf_of(client, "/profile")
    return client


def test_no_page_and_no_fragment_shows_one(app: Flask, client: FlaskClient, world: World) -> None:
    shown, masked = 0, 0
    for rule in doors(app):
        if "GET" not in (rule.methods or ()):
            continue
        for relation in RELATIONS if rule.arguments else ("own",):
            arguments = world.arguments(relation, set(rule.arguments))
            if arguments is None:
                continue
            for headers in ({}, {"HX-Request": "true", "HX-Request-Type": "partial"}):
                path = path_of(rule, arguments)
                text = client.get(path, headers=headers).get_data(as_text=True)
                found = SPOKEN.search(text)
                assert not found, f"{path}: {text[max(0, found.start() - 200) : found.end()]}"
                shown += 1
                masked += SHOWN_MASKED in text
    assert shown > 60
    assert masked > 3, "the customers were on these pages"


def test_a_search_finds_by_what_is_shown_and_does_not_tell_the_rest(
    app: Flask, client: FlaskClient, world: World
) -> None:
    def hits(words: str) -> int:
        page = client.get("/inbox/list", query_string={"tab": "all", "q": words})
        return page.get_data(as_text=True).count("data-chat-id=")

    assert hits("0142"), "the four digits that are shown"
    assert hits(PHONE), "who knows the whole number knows it"
    assert hits("573015550142")
    for part in ("3015", "301 555", "55501", "5730155501", "3015550142"[:9]):
        assert hits(part) == 0, part


def test_beginning_a_chat_shows_none_either(client: FlaskClient, world: World) -> None:
    stranger = factories.make_client(first_name=None, last_name=None, phone_number=f"+8{PHONE[1:]}")
    db.session.commit()
    campaigns = db.session.scalars(select(Campaign.id)).all()
    pages = [
        client.post("/inbox/new/who", data={"client_id": stranger.id, "campaign_id": campaign})
        for campaign in campaigns
    ]
    shown = [page.get_data(as_text=True) for page in pages if page.status_code == 200]
    assert any("0142" in text for text in shown), "the customer was there"
    assert not any(SPOKEN.search(text) for text in shown)


def test_with_the_permission_the_same_pages_show_it(app: Flask, world: World) -> None:
    with atomic():
        boss = factories.make_user(role="super_admin")
    assert scope_of(boss).can("clients.view_phone")
    page = enter(app, boss).get(f"/inbox/{world.ids['own']['chat_id']}/client")
    assert SPOKEN.search(page.get_data(as_text=True))
