"""Who may look after whose account, and what nobody can do to themselves or to the last admin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import select

from crm.db import atomic, db, retrying
from crm.errors import DomainError, Forbidden
from crm.models import (
    Permission,
    PermissionType,
    Role,
    RolePermission,
    User,
    UserPermission,
    UserStatus,
)
from crm.permissions import Scope, scope_of
from crm.services import roles, users
from crm.services.kit import WrongField
from tests import factories

ADMIN_RIGHTS = ("users.read", "users.create", "users.update", "users.delete", "chats.read",
                "chats.reply", "roles.read", "roles.update")  # fmt: skip


def permission(name: str) -> Permission:
    return db.session.scalars(select(Permission).where(Permission.name == name)).one()


def make_role(name: str, *rights: str, level: int) -> Role:
    role = factories.save(Role(name=name, display_name=name.title(), level=level))
    for right in rights:
        factories.save(RolePermission(role_id=role.id, permission_id=permission(right).id))
    return role


@pytest.fixture
def office(database: Flask) -> Scope:
    """Somebody who looks after people without being super_admin."""
    with atomic():
        user = factories.make_user(role=make_role("oficina", *ADMIN_RIGHTS, level=1))
    return scope_of(user)


def refused(work: Callable[[], object], error: type[DomainError] = Forbidden) -> None:
    with pytest.raises(error), atomic():
        work()


def test_nobody_gives_a_role_that_may_do_more_than_they(office: Scope) -> None:
    with atomic():
        small = make_role("lector", "chats.read", level=3)
        large = make_role("descargas", "chats.read", "chats.export", level=3)
        high = make_role("igual", "chats.read", level=1)
    person = {"first_name": "A", "last_name": "B"}
    for role in (large, high, factories.find_role("super_admin")):
        refused(
            lambda role=role: users.create_user(  # type: ignore[misc]
                office, role_id=role.id, email="a@example.com", **person
            )
        )
    with atomic():
        users.create_user(office, role_id=small.id, email="a@example.com", **person)
    assert small in users.roles_to_give(office)
    assert large not in users.roles_to_give(office)


def test_who_may_be_managed_is_the_same_for_many_and_for_one(office: Scope) -> None:
    with atomic():
        role = make_role("lector", "chats.read", "chats.export", level=3)
        more_rights = make_role("lectora", "chats.read", "chats.export", level=3)
        people = [factories.make_user(role=role) for _ in range(3)]
        people += [factories.make_user(role=more_rights) for _ in range(2)]
        people += [factories.make_user(role=make_role("igual", "chats.read", level=1))]
        people += [
            factories.make_user(role="super_admin"),
            db.session.get_one(User, office.user_id),
        ]
        for person, name, kind in (
            (people[0], "chats.export", PermissionType.REVOKE),
            (people[1], "audit.read", PermissionType.GRANT),
            (people[3], "chats.export", PermissionType.REVOKE),
        ):
            exception = UserPermission(
                user_id=person.id, permission_id=permission(name).id, type=kind
            )
            db.session.add(exception)
    db.session.expire_all()
    one_by_one = {person.id for person in people if users.may_manage(office, person)}
    assert users.find_manageable(office, [person.id for person in people]) == one_by_one
    assert one_by_one == {people[0].id, people[3].id}


def test_nobody_manages_who_may_do_something_that_they_may_not(office: Scope) -> None:
    """A reset link for such an account would hand its rights over."""
    with atomic():
        role = make_role("lector", "chats.read", level=3)
        plain, gifted = factories.make_user(role=role), factories.make_user(role=role)
        extra = permission("audit.read").id
        factories.save(
            UserPermission(user_id=gifted.id, permission_id=extra, type=PermissionType.GRANT)
        )
        boss = factories.make_user(role="super_admin")
    assert users.may_manage(office, plain)
    assert not users.may_manage(office, gifted)
    assert not users.may_manage(office, boss)
    refused(lambda: users.update_user(office, gifted, role_id=role.id, email="x@example.com"))
    refused(lambda: users.delete_user(office, boss.id))


def test_nobody_changes_their_own_account_here(office: Scope) -> None:
    me = users.load_user(office.user_id)
    refused(lambda: users.update_user(office, me, role_id=me.role_id))
    refused(
        lambda: users.end_access(office, me.id, status=UserStatus.SUSPENDED, reason="Vacaciones")
    )
    refused(lambda: roles.set_exceptions(office, me, {"chats.read": "grant"}))


def test_nobody_gives_or_takes_a_permission_that_they_lack(office: Scope) -> None:
    with atomic():
        role = make_role("lector", "chats.read", level=3)
        person = factories.make_user(role=role)
    refused(lambda: roles.set_exceptions(office, person, {"audit.read": "grant"}))
    refused(lambda: roles.set_exceptions(office, person, {"audit.read": "revoke"}))
    refused(lambda: roles.set_permissions(office, role, {"chats.read", "chats.export"}))
    with atomic():
        roles.set_exceptions(office, person, {"chats.reply": "grant"})
    assert scope_of(person).can("chats.reply")


def test_nobody_edits_the_role_they_hold_nor_the_highest(office: Scope) -> None:
    mine = users.load_user(office.user_id).role
    top = factories.find_role("super_admin")
    refused(lambda: roles.set_permissions(office, mine, ADMIN_RIGHTS[:-1]))
    with atomic():
        ana = scope_of(factories.make_user(role="super_admin"))
    refused(lambda: roles.set_permissions(ana, top, {"chats.read"}))


def test_a_role_that_people_hold_is_neither_deleted_nor_switched_off(database: Flask) -> None:
    with atomic():
        ana = scope_of(factories.make_user(role="super_admin"))
        role = make_role("lector", "chats.read", level=3)
        person = factories.make_user(role=role)
    refused(lambda: roles.delete_role(ana, role), roles.RoleInUse)
    off = roles.state_of(role) | {"is_active": False}
    refused(lambda: roles.update_role(ana, role, **off), WrongField)
    with atomic():
        users.delete_user(ana, person.id)
    with atomic():
        roles.delete_role(ana, roles.load_role(role.id))


@pytest.mark.parametrize("deed", ["suspend", "delete", "demote"])
def test_of_two_super_admins_who_end_each_other_at_once_one_stays(
    database: Flask, deed: str
) -> None:
    with atomic():
        pair = [factories.make_user(role="super_admin") for _ in range(2)]
        agent = factories.find_role("agent").id
    ids = [user.id for user in pair]

    def end(me: int, other: int) -> None:
        actor = scope_of(db.session.get_one(User, me))
        if deed == "suspend":
            users.end_access(actor, other, status=UserStatus.SUSPENDED, reason="Prueba")
        elif deed == "delete":
            users.delete_user(actor, other)
        else:
            user = users.load_user(other, lock=True)
            users.update_user(actor, user, role_id=agent)

    def work(pair: tuple[int, int]) -> str:
        def unit() -> None:
            with atomic():
                end(*pair)

        with database.app_context():
            try:
                retrying(unit)
            except DomainError as error:
                return error.code
            return "done"

    with ThreadPoolExecutor(2) as pool:
        answers = Counter(pool.map(work, [(ids[0], ids[1]), (ids[1], ids[0])]))
    assert answers["done"] == 1, answers
    db.session.rollback()
    role_id = factories.find_role("super_admin").id
    left = select(User).where(
        User.role_id == role_id, User.status == UserStatus.ACTIVE, users.people()
    )
    assert len(db.session.scalars(left).all()) == 1


def test_a_changed_address_ends_the_link_that_went_to_the_old_one(database: Flask) -> None:
    from crm.models import LinkPurpose
    from crm.services import account_links

    with atomic():
        ana = scope_of(factories.make_user(role="super_admin"))
        user = factories.make_user(email="vieja@example.com")
        token = account_links.create_link(user, LinkPurpose.RESET)
    with atomic():
        users.update_user(ana, user, role_id=user.role_id, email="Nueva@Example.com")
    assert user.email == "nueva@example.com"
    with pytest.raises(account_links.LinkIsOver):
        account_links.load_link(token)
