"""Routing as a machine: Hypothesis lets several people and routers act at once on real Postgres,
and what they did is judged from the event log, moment by moment.

Nothing here asks how long anything took. "Nobody waits while somebody is free" is asked when the
drains that were rung for have come to rest.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from crm.db import atomic, db, retrying
from crm.errors import DomainError
from crm.models import (
    AgentState,
    AgentStatus,
    Campaign,
    CampaignAgent,
    Chat,
    ChatEvent,
    ChatOwner,
    ChatStatus,
    PendingReason,
    Queue,
    User,
    WhatsappNumber,
)
from crm.services import agents, chats, routing
from crm.services.chats import person
from crm.services.routing import floor, handover, sweep
from tests.conftest import empty_database
from tests.factories import (
    link_agent,
    make_campaign,
    make_chat,
    make_client,
    make_message,
    make_number,
    make_queue,
    make_user,
)
from tests.services.desk import overfull_moments, run_together

WAITING = (ChatStatus.QUEUED, ChatStatus.NEW)
MOST_ROUNDS = 20
ACTS = ("arrive", "arrive", "arrive", "answer", "answer", "close", "close", "pick", "assign",
        "offer", "accept", "decline", "snooze", "write", "switch", "lapse", "requeue",
        "reassign", "put_back", "drain")  # fmt: skip


class RoutingMachine(RuleBasedStateMachine):
    """Two campaigns that share agents, one of them by load; three queues; five agents, and four who
    are never eligible."""

    def __init__(self) -> None:
        super().__init__()
        empty_database()
        db.session.remove()
        with atomic():
            number = make_number()
            sales = make_campaign(number=number, priority=5)
            support = make_campaign(routing_strategy="least_busy")
            vip, general = make_queue(sales, priority=9), make_queue(sales)
            other = make_queue(support)
            team = [make_user(max_concurrent_chats=2 + n % 2) for n in range(5)]
            team[4].auto_assign_enabled = False
            for n, user in enumerate(team):
                if n != 3:
                    link_agent(sales, user, max_concurrent_chats=2)
                if n in (1, 2, 3):
                    link_agent(support, user, max_concurrent_chats=1 + n % 2)
            # Available all the while, and never to get a chat by themselves.
            barred = [
                make_user(status="suspended"),
                make_user(role="supervisor"),
                make_user(max_concurrent_chats=0),
                make_user(),
            ]
            for user in barred:
                link_agent(sales, user, is_active=user is not barred[3])
        self.barred = {user.id for user in barred}
        self.number_id = number.id
        self.queues = {sales.id: [vip.id, general.id], support.id: [other.id]}
        self.people = [user.id for user in team]
        db.session.remove()

    @rule(
        acts=st.lists(st.sampled_from(ACTS), min_size=2, max_size=4),
        seed=st.integers(0, 2**32 - 1),
    )
    def together(self, acts: list[str], seed: int) -> None:
        """These happen at the same moment, each in a thread and a session of its own."""

        def work(number: int) -> None:
            dice = random.Random(seed + number)
            try:
                retrying(lambda: getattr(self, acts[number])(dice))
            except DomainError:
                pass  # somebody was faster: what a person would be told
            finally:
                db.session.remove()

        run_together(work, len(acts))

    @rule(seed=st.integers(0, 2**32 - 1))
    def rush(self, seed: int) -> None:
        """A line has built up, and several routers serve the same places at the same moment."""
        dice = random.Random(seed)
        with atomic():
            for _ in range(4):
                chat = self.open_new(dice)
                queue_id = self.queues[chat.campaign_id][0]
                chats.queue_chat(chat, queue_id=queue_id, actor=chats.SYSTEM, reason="routed")
        campaigns = dice.choices(list(self.queues), k=4)
        run_together(
            # One chat each: a pass that takes the whole line leaves the others nothing to race for.
            lambda number: self.in_one(lambda: routing.drain_campaign(campaigns[number], limit=1)),
            4,
        )

    @rule()
    def come_to_rest(self) -> None:
        """Every ring was lost, for no worker runs here: what the clock finds has been done, and now
        nobody waits while somebody is free, and it finds nothing more to ring for."""
        self.settle()
        waiting = set(
            db.session.scalars(select(Chat.campaign_id).where(Chat.status == ChatStatus.QUEUED))
        )
        for chat in db.session.scalars(select(Chat).where(Chat.status == ChatStatus.QUEUED)):
            assert routing.explain_chat(chat)["chosen"] is None, "free, and yet it waits"
        assert not db.session.scalar(select(Chat.id).where(Chat.status == ChatStatus.NEW).limit(1))
        if not db.session.scalar(select(Chat.id).where(Chat.lapses.is_not(None)).limit(1)):
            assert floor.read_floor(waiting, lock=False).serving() == []
        db.session.remove()

    def settle(self) -> None:
        """Once for what comes in, and then each campaign whose turn it is until it has had it."""
        for chat_id in routing.find_unrouted_chats():
            self.in_one(lambda chat_id=chat_id: routing.route_chat(chat_id))
        for _ in range(MOST_ROUNDS):
            found = routing.find_drainable_campaigns()
            db.session.rollback()
            for campaign_id in found:
                self.in_one(lambda campaign_id=campaign_id: routing.drain_campaign(campaign_id))
            if not found:
                return
        raise AssertionError("the clock would ring for ever")

    # What can happen

    def arrive(self, dice: random.Random) -> None:
        with atomic():
            chat_id = self.open_new(dice).id
        if dice.random() < 0.7:  # else the ring is lost
            self.in_one(lambda: routing.route_chat(chat_id))

    def answer(self, dice: random.Random) -> None:
        self.on(
            dice,
            ("assigned", "active"),
            lambda chat: chats.record_human_reply(chat, self.owner(chat)),
        )

    def close(self, dice: random.Random) -> None:
        def act(chat: Chat) -> None:
            chats.close_chat(chat, actor=person(self.people[0]), reason="resolved")

        self.on(dice, ("assigned", "active", "pending"), act)

    def pick(self, dice: random.Random) -> None:
        self.on(dice, ("queued",), lambda chat: chats.pick_chat(chat, self.anybody(dice)))

    def assign(self, dice: random.Random) -> None:
        def act(chat: Chat) -> None:
            chats.assign_chat(chat, self.anybody(dice), actor=person(self.people[0]), reason="hand")

        self.on(dice, ("queued", "assigned", "active"), act)

    def offer(self, dice: random.Random) -> None:
        def act(chat: Chat) -> None:
            chats.offer_chat(
                chat, self.anybody(dice), actor=person(chat.assigned_agent_id or 0), reason="more"
            )

        self.on(dice, ("assigned", "active"), act)

    def accept(self, dice: random.Random) -> None:
        def act(chat: Chat) -> None:
            chats.accept_offer(chat, db.session.get_one(User, chat.offered_agent_id))

        self.on(dice, ("transferred",), act)

    def decline(self, dice: random.Random) -> None:
        def act(chat: Chat) -> None:
            chats.decline_offer(chat, db.session.get_one(User, chat.offered_agent_id))

        self.on(dice, ("transferred",), act)

    def snooze(self, dice: random.Random) -> None:
        def act(chat: Chat) -> None:
            chats.set_pending(chat, actor=person(self.people[0]), reason=PendingReason.CUSTOMER)

        self.on(dice, ("active",), act)

    def write(self, dice: random.Random) -> None:
        """The customer of a chat that was put aside."""
        found = self.find(dice, ("pending",))
        if found is None:
            return
        with atomic():
            make_message(chats.lock_chat(found.id))
        self.in_one(lambda: routing.route_chat(found.id))

    def switch(self, dice: random.Random) -> None:
        status = dice.choice(
            [*[AgentStatus.AVAILABLE] * 2, AgentStatus.PAUSED, AgentStatus.OFFLINE]
        )
        with atomic():
            user = self.anybody(dice)
            agents.set_agent_status(user, status, actor=person(user.id))

    def lapse(self, dice: random.Random) -> None:
        """Taken back unanswered, as if its time had passed."""

        def act(chat: Chat) -> None:
            locked = chats.lock_chat(chat.id)
            if locked.status == ChatStatus.ASSIGNED:
                at = floor.database_now().isoformat()
                locked.lapses = {**(locked.lapses or {}), str(locked.assigned_agent_id): at}
                chats.requeue_chat(locked, actor=chats.SYSTEM, reason="no_answer")

        self.on(dice, ("assigned",), act)

    def requeue(self, dice: random.Random) -> None:
        def act(chat: Chat) -> None:
            queue_id = dice.choice(self.queues[chat.campaign_id])
            chats.queue_chat(chat, queue_id=queue_id, actor=person(self.people[0]), reason="moved")

        self.on(dice, ("assigned", "active", "queued"), act)

    def reassign(self, dice: random.Random) -> None:
        """One of a supervisor's many, which can be taken back."""

        def act(chat: Chat) -> None:
            target = dice.choice(["spread", f"person:{dice.choice(self.people)}"])
            handover.move_chat_to(chat, target, actor=person(self.people[0]))

        self.on(dice, ("queued", "assigned", "active", "pending"), act)

    def put_back(self, dice: random.Random) -> None:
        moved = db.session.execute(
            select(ChatEvent.chat_id, ChatEvent.id).where(ChatEvent.data.has_key("before"))
        ).all()
        db.session.rollback()
        if moved:
            chat_id, event_id = dice.choice(moved)
            with atomic():
                chat = db.session.get_one(Chat, chat_id)
                chats.put_back(chat, event_id, actor=person(self.people[0]))

    def drain(self, dice: random.Random) -> None:
        campaign_id = dice.choice(list(self.queues))
        self.in_one(lambda: routing.drain_campaign(campaign_id))

    # How it happens

    def open_new(self, dice: random.Random) -> Chat:
        chat = make_chat(
            campaign=db.session.get_one(Campaign, dice.choice(list(self.queues))),
            number=db.session.get_one(WhatsappNumber, self.number_id),
            client=make_client(),
            priority=dice.choice(["normal", "normal", "high"]),
        )
        make_message(chat)
        return chat

    def on(self, dice: random.Random, statuses: tuple[str, ...], act: Any) -> None:
        found = self.find(dice, statuses)
        if found is not None:
            with atomic():
                act(db.session.get_one(Chat, found.id))

    def find(self, dice: random.Random, statuses: tuple[str, ...]) -> Chat | None:
        found = db.session.scalars(select(Chat).where(Chat.status.in_(statuses))).all()
        db.session.rollback()
        return dice.choice(found) if found else None

    def anybody(self, dice: random.Random) -> User:
        return db.session.get_one(User, dice.choice(self.people))

    def owner(self, chat: Chat) -> User:
        return db.session.get_one(User, chat.assigned_agent_id)

    def in_one(self, act: Any) -> Any:
        def unit() -> Any:
            with atomic():
                return act()

        return retrying(unit)

    # What must hold, judged from the log

    @invariant()
    def it_holds(self) -> None:
        try:
            assert overfull_moments() == [], "an automatic assignment went over a limit"
            events = db.session.scalars(
                select(ChatEvent).where(ChatEvent.to_status.is_not(None)).order_by(ChatEvent.id)
            ).all()
            self.check_moves(events)
            self.check_eligible(events)
            self.check_rows()
        finally:
            db.session.remove()

    def check_moves(self, events: Any) -> None:
        """Each chat's story has no gap, no move that the table lacks, and one owner at a time."""
        last: dict[int, ChatEvent] = {}
        for event in events:
            before = last.get(event.chat_id)
            if before is not None:
                assert event.from_status == before.to_status, (before.kind, event.kind)
                assert event.data["agent_before"] == before.data["agent"], "two owners at once"
            if event.from_status is not None:
                assert ChatStatus(event.from_status).may_become(ChatStatus(event.to_status))
            last[event.chat_id] = event

    def check_eligible(self, events: Any) -> None:
        """Whoever got a chat by itself was available then, receives by itself, and works there."""
        stretches = defaultdict(list)
        for state in db.session.scalars(select(AgentState)):
            stretches[state.user_id].append(state)
        members = {
            (link.user_id, link.campaign_id) for link in db.session.scalars(select(CampaignAgent))
        }
        campaign_of = dict(db.session.execute(select(Chat.id, Chat.campaign_id)).all())
        for event in events:
            if event.kind != "assigned" or event.actor_kind != "system":
                continue
            agent = event.data["agent"]
            assert (agent, campaign_of[event.chat_id]) in members
            assert agent not in self.barred, "suspended, without the right, without room, or out"
            at = event.created_at
            states = [
                state.status
                for state in stretches[agent]
                if state.started_at <= at and (state.ended_at is None or at <= state.ended_at)
            ]
            assert AgentStatus.AVAILABLE in states, "to somebody who was not there"
            if (event.reason or "").startswith("back_"):
                continue  # a returning customer may exceed what their agent takes by themselves
            assert agent != self.people[4], "to somebody who receives by hand only"
            lapsed = {
                out["user_id"]
                for out in event.data["routing"]["left_out"]
                if out["why"] == "lapsed"
            }
            assert agent not in lapsed

    def check_rows(self) -> None:
        for chat in db.session.scalars(select(Chat)):
            owned = chat.assigned_agent_id is not None
            if chat.status in (ChatStatus.ASSIGNED, ChatStatus.ACTIVE, ChatStatus.TRANSFERRED):
                assert owned
                assert chat.owner == ChatOwner.HUMAN
            if chat.status in WAITING:
                assert not owned
            assert (chat.offered_agent_id is not None) == (chat.status == ChatStatus.TRANSFERRED)


def test_whatever_happens_at_once_routing_keeps_its_promises(
    database: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A ring is taken for lost at once: nothing here waits for one.
    monkeypatch.setattr(sweep, "UNROUTED_SECONDS", 0)
    run_state_machine_as_test(
        RoutingMachine,
        settings=settings(
            max_examples=8,
            stateful_step_count=10,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_line_keeps_its_order_whoever_serves_it_at_once(database: Flask) -> None:
    """Four drains at once over a mixed line: whoever ranks higher is never served later."""
    with atomic():
        number = make_number()
        campaign = make_campaign(number=number)
        queues = [make_queue(campaign, priority=n) for n in range(3)]
        team = [make_user(max_concurrent_chats=4) for _ in range(5)]
        for user in team:
            link_agent(campaign, user, max_concurrent_chats=4)
        dice = random.Random(7)
        waiting = [
            make_chat(
                campaign=campaign,
                number=number,
                client=make_client(),
                status=ChatStatus.QUEUED,
                queue_id=dice.choice(queues).id,
                priority=dice.choice(["low", "normal", "high", "urgent"]),
                queue_ahead=dice.random() < 0.2,
            )
            for _ in range(30)
        ]
    rank = {
        chat.id: (
            -db.session.get_one(Queue, chat.queue_id).priority,
            -["low", "normal", "high", "urgent"].index(chat.priority),
            not chat.queue_ahead,
            chat.queued_at,
            chat.id,
        )
        for chat in waiting
    }
    campaign_id = campaign.id

    def serve(_number: int) -> None:
        with atomic():
            routing.drain_campaign(campaign_id, limit=7)

    run_together(serve, 4)
    served = list(
        db.session.scalars(
            select(ChatEvent.chat_id)
            .where(ChatEvent.kind == "assigned")
            .order_by(ChatEvent.created_at, ChatEvent.id)
        )
    )
    assert len(served) == 20
    assert served == sorted(rank, key=lambda chat_id: rank[chat_id])[:20]
    loads = Counter(
        db.session.scalars(select(Chat.assigned_agent_id).where(Chat.status == "assigned"))
    )
    assert set(loads.values()) == {4}
