"""Changes to a campaign's rules that one person prepares, tries on a day, and saves in one step.

A draft lies in a table that routing never reads. It holds the rules as they would be, in order:

    {"key": "12", "values": {...} or None, "on": True, "removed": True}

`key` is the rule's id, or "n1" for a new one; `values` what a form of the rule would send, None
where it is as it stands; `on` only where nothing but the switch was turned; `removed` only where
the rule is to go. `base` remembers what stood when the person began: whoever changes a rule
meanwhile makes the draft stale, and it is then not saved before its person has seen that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select

from crm.db import db
from crm.errors import Conflict, Invalid, NotFound
from crm.models import Campaign, RoutingRule, RuleDraft
from crm.services import audit, rules
from crm.services.kit import fields_changed, find_last_changes, version_of
from crm.services.routing.rules import Rule, rule_of

MOST_ENTRIES = 500


@dataclass(frozen=True)
class Entry:
    """One rule of the draft. `rule` is the stored one, None for a new one."""

    key: str
    rule: RoutingRule | None
    state: Mapping[str, Any]
    edited: bool
    switched: bool
    removed: bool

    @property
    def name(self) -> str:
        return str(self.state["name"])

    @property
    def on(self) -> bool:
        return bool(self.state["is_active"])


@dataclass(frozen=True)
class Meanwhile:
    """What somebody else did to a rule since. `what`: changed, deleted, added.

    `mine`: the person has changed it as well.
    """

    what: str
    name: str
    by: str | None
    at: datetime | None
    mine: bool


class Draft:
    """A person's draft over the rules as they stand now; `row` None until something is kept."""

    def __init__(
        self, campaign_id: int, row: RuleDraft | None, live: Sequence[RoutingRule]
    ) -> None:
        self.campaign_id = campaign_id
        self.row = row
        self.live = {str(rule.id): rule for rule in live}
        held = row.entries if row else [{"key": key} for key in self.live]
        self._entries = [
            dict(each)
            for each in held
            if each["key"] in self.live or (each.get("values") and "removed" not in each)
        ]

    @property
    def entries(self) -> list[Entry]:
        return [self._entry(each) for each in self._entries]

    def find(self, key: str) -> Entry:
        for entry in self.entries:
            if entry.key == key and not entry.removed:
                return entry
        raise NotFound

    @property
    def moved(self) -> bool:
        """The rules that stood at the beginning are in another order."""
        if self.row is None:
            return False
        now = [each["key"] for each in self._entries]
        began = [str(rule_id) for rule_id, _version in self.row.base if str(rule_id) in now]
        return [key for key in now if key in began] != began

    @property
    def changes(self) -> int:
        """How many rules would be new, other or gone; another order counts as one more."""
        touched = sum(
            entry.edited or entry.switched or entry.removed or entry.rule is None
            for entry in self.entries
        )
        return touched + self.moved

    def rules(self) -> list[Rule]:
        """Those that would be in force, for a replay; a new one gets an id below 0.

        WrongField for one that cannot be saved any more.
        """
        found = []
        kept = [entry for entry in self.entries if not entry.removed]
        for place, entry in enumerate(reversed(kept), start=1):
            if entry.on:
                row = rules.draft_rule(entry.state, entry.rule)
                rule_id = entry.rule.id if entry.rule else -place
                found.append(replace(rule_of(row), id=rule_id, priority=place))
        return found

    def meanwhile(self) -> list[Meanwhile]:
        """What others have changed since this was begun; empty: it can be saved as it is."""
        if self.row is None:
            return []
        base = {str(rule_id): version for rule_id, version in self.row.base}
        other = {
            key
            for key, rule in self.live.items()
            if key in base and fields_changed(base[key], rules.state_of(rule))
        }
        added = self.live.keys() - base.keys()
        gone = base.keys() - self.live.keys()
        changes = find_last_changes("routing_rules", [int(key) for key in other | added | gone])
        names = {each["key"]: (each.get("values") or {}).get("name") for each in self.row.entries}
        mine = {each["key"] for each in self.row.entries if len(each) > 1}

        def one(what: str, key: str) -> Meanwhile:
            last = changes.get(int(key))
            name = self.live[key].name if key in self.live else names.get(key) or f"#{key}"
            return Meanwhile(
                what, name, last.name if last else None, last.at if last else None, key in mine
            )

        return [
            *(one("changed", key) for key in sorted(other, key=int)),
            *(one("added", key) for key in sorted(added, key=int)),
            *(one("deleted", key) for key in sorted(gone, key=int)),
        ]

    # What a person does to it

    def arrange(self, order: Sequence[str], on: set[str]) -> None:
        """The order and the switches as the page has sent them; what it did not name stays last."""
        known = {each["key"]: each for each in self._entries}
        sent = [key for key in dict.fromkeys(order) if key in known]
        shown = {entry.key: entry for entry in self.entries}
        for key in sent:
            if not shown[key].removed:
                self._switch(known[key], key in on)
        self._entries = [known[key] for key in sent] + [
            each for key, each in known.items() if key not in sent
        ]

    def keep(self, key: str | None, values: Mapping[str, Any]) -> str:
        """A rule as its form has it, new (`key` None) or changed; WrongField as for saving it."""
        stored = self.find(key).rule if key else None
        values = {**values, "campaign_id": self.campaign_id}
        rules.draft_rule(values, stored)
        if key is None:
            if len(self._entries) >= MOST_ENTRIES:
                raise Invalid("A campaign has at most %(most)s rules.", most=MOST_ENTRIES)
            key = self._next_key()
            self._entries = [*self._entries, {"key": key, "values": dict(values)}]
            return key
        entry = next(each for each in self._entries if each["key"] == key)
        entry.pop("on", None)
        entry["values"] = dict(values)
        if stored is not None and not fields_changed(version_of(rules.state_of(stored)), values):
            del entry["values"]
        return key

    def remove(self, key: str) -> None:
        entry = self.find(key)
        self._entries = [
            {**each, "removed": True} if each["key"] == key else each
            for each in self._entries
            if each["key"] != key or entry.rule is not None
        ]

    def restore(self, key: str) -> None:
        """The rule as it stands, whatever was changed of it here."""
        self._entries = [
            {"key": key} if each["key"] == key and key in self.live else each
            for each in self._entries
        ]

    def go_on(self) -> None:
        """The person has seen what others did: their changes stay, all else is as it stands now.

        A rule that they had changed and somebody deleted becomes a new one: nothing typed is lost.
        """
        order = list(self.live)
        if self.moved:
            order = [each["key"] for each in self._entries if each["key"] in self.live]
            order += [key for key in self.live if key not in order]
        held = {each["key"]: each for each in self._entries}
        entries = [held.get(key, {"key": key}) for key in order]
        before = None
        for each in self._entries:
            if each["key"] not in self.live:
                # Behind whom it stood behind.
                entries.insert(entries.index(before) + 1 if before else 0, each)
            before = each
        for each in entries:
            if each["key"] not in self.live and each["key"][0] != "n":
                each["key"] = self._next_key()
        self._entries = entries
        self._begin()

    def store(self, user_id: int) -> None:
        """Keep it; the caller commits."""
        if self.row is None:
            self.row = RuleDraft(user_id=user_id, campaign_id=self.campaign_id, entries=[], base=[])
            db.session.add(self.row)
            self._begin()
        self.row.entries = [dict(each) for each in self._entries]
        db.session.flush()

    def _next_key(self) -> str:
        numbers = [int(each["key"][1:]) for each in self._entries if each["key"][0] == "n"]
        return f"n{max(numbers, default=0) + 1}"

    def _begin(self) -> None:
        assert self.row is not None
        self.row.base = [[rule.id, version_of(rules.state_of(rule))] for rule in self.live.values()]

    def _entry(self, held: Mapping[str, Any]) -> Entry:
        rule = self.live.get(held["key"])
        state: dict[str, Any] = {**rules.state_of(rule)} if rule else {}
        state |= held.get("values") or {}
        if "on" in held:
            state["is_active"] = held["on"]
        return Entry(
            held["key"], rule, state,
            edited=bool(held.get("values")), switched="on" in held, removed="removed" in held,
        )  # fmt: skip

    def _switch(self, held: dict[str, Any], on: bool) -> None:
        if held.get("values"):
            held["values"] = {**held["values"], "is_active": on}
        elif on != self.live[held["key"]].is_active:
            held["on"] = on
        else:
            held.pop("on", None)


def load_draft(user_id: int, campaign: Campaign, *, lock: bool = False) -> Draft:
    """This person's draft for the campaign, or one without changes. `lock`: for a change, and for
    saving, which must not meet a rule that somebody is writing."""
    mine = select(RuleDraft).where(
        RuleDraft.user_id == user_id, RuleDraft.campaign_id == campaign.id
    )
    live = (
        select(RoutingRule)
        .where(RoutingRule.campaign_id == campaign.id)
        .order_by(RoutingRule.priority.desc(), RoutingRule.id)
    )
    if lock:
        mine = mine.with_for_update().execution_options(populate_existing=True)
        live = live.with_for_update().execution_options(populate_existing=True)
    row = db.session.scalar(mine)
    return Draft(campaign.id, row, db.session.scalars(live).all())


def count_changes(user_id: int, campaign: Campaign) -> int:
    """How many changes wait in this person's draft."""
    return load_draft(user_id, campaign).changes


def drop_draft(draft: Draft) -> None:
    if draft.row is not None:
        db.session.delete(draft.row)


def save_draft(draft: Draft, campaign: Campaign) -> int:
    """Put all of it in force, in the caller's transaction; returns how many changes it had.

    The draft was loaded with `lock`. Conflict if others have changed rules meanwhile; WrongField if
    a rule cannot be saved any more. In either case nothing is changed.
    """
    if draft.meanwhile():
        raise Conflict("Somebody has changed these rules in the meantime. Look at them first.")
    count, before = draft.changes, rules.order_of(campaign.id)
    order, on = [], set()
    for entry in draft.entries:
        if entry.removed and entry.rule is not None:
            thing = ("routing_rules", entry.rule.id)
            audit.record("rules.delete", thing, before=rules.state_of(entry.rule), after={})
            rules.delete_rule(entry.rule)
            continue
        rule = entry.rule
        if rule is None:
            rule = rules.create_rule(entry.state)
            audit.record("rules.create", rule, after=rules.state_of(rule))
        elif entry.edited:
            held = rules.state_of(rule)
            rules.update_rule(rule, entry.state)
            audit.record("rules.update", rule, before=held, after=rules.state_of(rule))
        order.append(rule.id)
        if entry.on:
            on.add(rule.id)
    db.session.flush()
    rules.set_order(campaign, order, on=on, before=before)
    drop_draft(draft)
    return count
