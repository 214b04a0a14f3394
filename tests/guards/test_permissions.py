"""The three ways to ask whether somebody sees a chat give one answer."""

import itertools

import pytest
from flask import Flask
from sqlalchemy import select

from crm.blueprints.roles import MODULES
from crm.db import db
from crm.errors import NotFound
from crm.models import Chat, ChatStatus, Permission, Role, RolePermission
from crm.permissions import ACTIONS, PERMISSIONS, ROLES, WAITING, Scope, load_chat, visible_chats
from tests import factories


def test_the_database_holds_exactly_the_permissions_of_the_code(app: Flask) -> None:
    assert set(db.session.scalars(select(Permission.name))) == set(PERMISSIONS)


def test_every_module_has_a_word_in_the_matrix() -> None:
    assert not set(ACTIONS) - set(MODULES), "add it to MODULES in crm/blueprints/roles.py"


def test_each_role_starts_with_exactly_what_the_code_says(app: Flask) -> None:
    rows = db.session.execute(
        select(Role.name, Permission.name)
        .join(RolePermission, RolePermission.role_id == Role.id)
        .join(Permission, Permission.id == RolePermission.permission_id)
    ).all()
    seeded: dict[str, set[str]] = {}
    for role, permission in rows:
        seeded.setdefault(role, set()).add(permission)
    assert seeded == {role: set(names) for role, names in ROLES.items()}


RIGHTS = ("chats.read", "chats.read_queue", "chats.read_all")


@pytest.mark.parametrize("role", ["agent", "super_admin"])
def test_lists_single_chats_and_live_events_follow_one_rule(app: Flask, role: str) -> None:
    number = factories.make_number()
    mine, other = factories.make_campaign(), factories.make_campaign()
    me, colleague = factories.make_user(), factories.make_user()
    chats = []
    for campaign, status, owner in itertools.product(
        (mine, other), ChatStatus, (None, me, colleague)
    ):
        chats.append(
            factories.make_chat(
                campaign=campaign,
                number=number,
                status=status,
                assigned_agent_id=owner and owner.id,
            )
        )
    chats.append(
        factories.make_chat(
            campaign=other,
            number=number,
            status=ChatStatus.TRANSFERRED,
            assigned_agent_id=colleague.id,
            offered_agent_id=me.id,
        )
    )
    db.session.flush()
    compared = 0
    for count in range(len(RIGHTS) + 1):
        for rights in itertools.combinations(RIGHTS, count):
            for campaigns in ((), (mine.id,)):
                scope = Scope(me.id, role, frozenset(rights), frozenset(campaigns))
                listed = set(db.session.scalars(select(Chat.id).where(visible_chats(scope))))
                for chat in chats:
                    owners = (chat.assigned_agent_id, chat.offered_agent_id)
                    waiting = chat.status in WAITING and chat.assigned_agent_id is None
                    live = scope.sees_chat(
                        campaign_id=chat.campaign_id,
                        agent_ids=tuple(owner for owner in owners if owner),
                        waiting=waiting,
                    )
                    assert live == (chat.id in listed), (rights, campaigns, chat.status, owners)
                    if live:
                        assert load_chat(scope, chat.id).id == chat.id
                    else:
                        with pytest.raises(NotFound):
                            load_chat(scope, chat.id)
                    compared += 1
    assert compared > 800


def test_a_deleted_chat_is_gone_for_everybody(app: Flask) -> None:
    chat = factories.make_chat()
    chat.deleted_at = db.func.now()
    db.session.flush()
    everything = Scope(1, "super_admin", frozenset(PERMISSIONS), frozenset())
    with pytest.raises(NotFound):
        load_chat(everything, chat.id)
