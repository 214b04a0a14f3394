"""A draft of a campaign's rules: nothing of it is in force until all of it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from crm.db import atomic, db
from crm.errors import Conflict, NotFound
from crm.lib.clock import utcnow
from crm.models import AuditLog, Campaign, RoutingRule, RuleAction, RuleDraft, User
from crm.services import rule_drafts, rules
from crm.services.kit import WrongField
from crm.services.routing import preview
from crm.services.routing.rules import read_book
from crm.services.rule_drafts import Draft
from tests.factories import (
    make_campaign,
    make_chat,
    make_message,
    make_number,
    make_queue,
    make_rule,
    make_user,
)


class House:
    """A campaign with three rules into one queue, another queue, and the person who drafts."""

    def __init__(self) -> None:
        with atomic():
            self.number = make_number()
            self.campaign: Campaign = make_campaign(number=self.number)
            self.first = make_queue(self.campaign, name="Primera", priority=5)
            self.second = make_queue(self.campaign, name="Segunda")
            self.admin: User = make_user(role="super_admin")
            self.ids = [
                make_rule(
                    self.campaign,
                    name=word.title(),
                    action=RuleAction.ASSIGN_QUEUE,
                    target_queue_id=self.second.id,
                    conditions={"keyword": word},
                    priority=priority,
                ).id
                for word, priority in (("pago", 30), ("precio", 20), ("envio", 10))
            ]

    def draft(self, user: User | None = None) -> Draft:
        user_id = (user or self.admin).id
        return rule_drafts.load_draft(user_id, self.campaign, lock=True)

    def edit(self, draft: Draft, key: str, **values: Any) -> str:
        return draft.keep(key, {**draft.find(key).state, **values})

    def add(self, draft: Draft, **values: Any) -> str:
        blank: dict[str, Any] = dict.fromkeys(draft.entries[0].state)
        blank |= {"priority": 0, "is_active": True, "action": "assign_queue",
                  "variable_operator": "=", "target_queue_id": self.second.id}  # fmt: skip
        return draft.keep(None, {**blank, **values})

    def names(self) -> list[tuple[str, bool]]:
        rows = db.session.scalars(
            select(RoutingRule).order_by(RoutingRule.priority.desc(), RoutingRule.id)
        )
        return [(row.name, row.is_active) for row in rows]


@pytest.fixture
def house(database: Flask) -> House:
    return House()


def test_many_changes_are_tried_together_and_put_in_force_in_one_step(house: House):
    """Two edited, one new, one removed, one switched off, another order."""
    yesterday = utcnow() - timedelta(days=1)
    with atomic():
        for text in ("un pago", "el precio", "mi envio", "hola", "el recibo"):
            chat = make_chat(campaign=house.campaign, number=house.number, status="closed",
                             created_at=yesterday)  # fmt: skip
            make_message(chat, content=text, created_at=yesterday)
    pago, precio, envio = (str(rule_id) for rule_id in house.ids)
    stood = house.names()
    book = read_book({house.campaign.id})
    with atomic():
        draft = house.draft()
        draft.store(house.admin.id)
        house.edit(draft, pago, name="Pagos", keyword="recibo")
        house.edit(draft, precio, target_queue_id=house.first.id)
        new = house.add(draft, name="Saludos", keyword="hola", target_queue_id=house.second.id)
        draft.remove(envio)
        draft.arrange([new, precio, pago, envio], {new, precio, pago})
        draft.store(house.admin.id)
    assert draft.changes == 5, "the order is the fifth"
    assert house.names() == stood
    assert read_book({house.campaign.id}) == book, "routing reads nothing of it"

    found = preview.replay_day(house.campaign, yesterday, house.draft().rules())
    moves = {
        (before.split(" · ")[-1], after.split(" · ")[-1], n) for before, after, n in found.moves
    }
    assert moves == {("Segunda", "Primera", 3), ("Primera", "Segunda", 2)}
    assert (found.total, found.changed) == (5, 5)
    assert set(found.matched) == {
        ("Pagos", 1, 1), ("Precio", 1, 1), ("Envio", 1, 0), ("Saludos", 0, 1), ("", 2, 2),
    }  # fmt: skip
    by_words = {one.words: (one.rule_before, one.rule_after) for one in found.differences}
    assert by_words["el recibo"] == (None, "Pagos")
    assert by_words["mi envio"] == ("Envio", None)

    with atomic():
        assert rule_drafts.save_draft(house.draft(), house.campaign) == 5
    assert house.names() == [("Saludos", True), ("Precio", True), ("Pagos", True)]
    assert db.session.get_one(RoutingRule, int(precio)).target_queue_id == house.first.id
    assert db.session.scalar(select(RuleDraft)) is None
    deeds = sorted(db.session.scalars(select(AuditLog.action)))
    assert deeds == ["rules.create", "rules.delete", "rules.order", "rules.update", "rules.update"]
    order = db.session.scalar(select(AuditLog.changes).where(AuditLog.action == "rules.order"))
    # As it was before the first of these changes, the one that is gone included.
    assert order["order"]["before"] == [name if on else f"({name})" for name, on in stood]
    assert order["order"]["after"] == ["Saludos", "Precio", "Pagos"]


def test_a_draft_is_one_person_s_and_is_dropped_without_a_trace(house: House):
    pago = str(house.ids[0])
    with atomic():
        other = make_user(role="super_admin")
        draft = house.draft()
        house.edit(draft, pago, name="Mío")
        draft.arrange([pago], set())
        draft.store(house.admin.id)
    assert house.draft().find(pago).on is False
    assert house.draft(other).changes == 0
    with pytest.raises(NotFound):
        house.draft(other).find("n1")
    with atomic():
        rule_drafts.drop_draft(house.draft())
    assert house.draft().changes == 0
    assert house.names()[0] == ("Pago", True)


def test_what_is_changed_back_is_no_change(house: House):
    pago, precio, _envio = (str(rule_id) for rule_id in house.ids)
    draft = house.draft()
    draft.store(house.admin.id)
    house.edit(draft, pago, name="Otro")
    house.edit(draft, pago, name="Pago")
    draft.arrange(list(draft.live), set(draft.live) - {precio})
    assert [entry.switched for entry in draft.entries] == [False, True, False]
    draft.arrange(list(draft.live), set(draft.live))
    draft.remove(precio)
    draft.restore(precio)
    draft.remove(house.add(draft, name="Nueva"))
    assert draft.changes == 0
    with pytest.raises(WrongField):
        house.edit(draft, pago, target_queue_id=999_999)


def test_a_rule_that_somebody_else_changed_is_seen_before_anything_is_saved(house: House):
    pago, precio, envio = (str(rule_id) for rule_id in house.ids)
    with atomic():
        draft = house.draft()
        house.edit(draft, pago, keyword="recibo")
        house.edit(draft, envio, name="Envíos")
        house.add(draft, name="Nueva", keyword="hola")
        draft.store(house.admin.id)
    with atomic():
        one, two, three = (db.session.get_one(RoutingRule, rule_id) for rule_id in house.ids)
        rules.update_rule(one, {**rules.state_of(one), "name": "Pago ajeno"})
        rules.update_rule(two, {**rules.state_of(two), "name": "Precio ajeno"})
        rules.delete_rule(three)
        make_rule(house.campaign, name="De otro", action=RuleAction.ASSIGN_QUEUE,
                  target_queue_id=house.first.id, priority=25)  # fmt: skip
    seen = {(each.what, each.name, each.mine) for each in house.draft().meanwhile()}
    assert seen == {
        ("changed", "Pago ajeno", True), ("changed", "Precio ajeno", False),
        ("added", "De otro", False), ("deleted", "Envíos", True),
    }  # fmt: skip
    stood = house.names()
    with pytest.raises(Conflict), atomic():
        rule_drafts.save_draft(house.draft(), house.campaign)
    assert house.names() == stood

    with atomic():
        draft = house.draft()
        draft.go_on()
        draft.store(house.admin.id)
    draft = house.draft()
    assert draft.meanwhile() == []
    assert [(entry.name, entry.rule is None) for entry in draft.entries] == [
        ("Pago", False), ("De otro", False), ("Precio ajeno", False),
        ("Envíos", True), ("Nueva", True),
    ]  # fmt: skip
    with atomic():
        rule_drafts.save_draft(draft, house.campaign)
    names = [name for name, _on in house.names()]
    assert set(names) == {"Pago", "De otro", "Precio ajeno", "Envíos", "Nueva"}
    assert names.index("De otro") < names.index("Precio ajeno"), "theirs keeps its place"
    assert db.session.get_one(RoutingRule, int(pago)).conditions == {"keyword": "recibo"}
    assert db.session.get_one(RoutingRule, int(precio)).name == "Precio ajeno"
