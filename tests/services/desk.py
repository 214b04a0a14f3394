"""A desk for routing tests: a campaign with agents, and chats that wait in it. All committed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, current_app
from sqlalchemy import func, select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    LOAD_STATUSES,
    Campaign,
    CampaignAgent,
    Chat,
    ChatEvent,
    ChatStatus,
    User,
    WhatsappNumber,
)
from tests.factories import (
    link_agent,
    make_campaign,
    make_chat,
    make_client,
    make_number,
    make_user,
)


class Desk:
    """Build with `Desk()`; every method commits."""

    def __init__(self, **campaign: Any) -> None:
        with atomic():
            self.number: WhatsappNumber = make_number()
            self.campaign: Campaign = make_campaign(number=self.number, **campaign)

    def add_agent(
        self, *, limit: int = 5, here: int = 5, member: dict[str, Any] | None = None, **user: Any
    ) -> User:
        """An available agent with `limit` places in all and `here` in this campaign."""
        with atomic():
            agent = make_user(max_concurrent_chats=limit, **user)
            link_agent(self.campaign, agent, max_concurrent_chats=here, **(member or {}))
        return agent

    def add_waiting(self, *, ago: float = 0, **fields: Any) -> Chat:
        """A chat that has waited for `ago` seconds."""
        with atomic():
            return make_chat(
                campaign=fields.pop("campaign", self.campaign),
                number=self.number,
                client=make_client(),
                **{
                    "status": ChatStatus.QUEUED,
                    "queued_at": utcnow() - timedelta(seconds=ago),
                    **fields,
                },
            )

    def add_held(self, agent: User, **fields: Any) -> Chat:
        """A chat that this agent is working on."""
        with atomic():
            return make_chat(
                campaign=fields.pop("campaign", self.campaign),
                number=self.number,
                client=make_client(),
                agent=agent,
                **{"status": ChatStatus.ACTIVE, **fields},
            )


def owner_of(chat: Chat) -> int | None:
    db.session.refresh(chat)
    return chat.assigned_agent_id


def load_of(agent: User, *, campaign: Campaign | None = None) -> int:
    query = (
        select(func.count())
        .select_from(Chat)
        .where(Chat.assigned_agent_id == agent.id, Chat.status.in_(LOAD_STATUSES))
    )
    if campaign is not None:
        query = query.where(Chat.campaign_id == campaign.id)
    return db.session.scalar(query) or 0


def last_event(chat: Chat) -> ChatEvent:
    return db.session.scalars(
        select(ChatEvent).where(ChatEvent.chat_id == chat.id).order_by(ChatEvent.id.desc()).limit(1)
    ).one()


def turn_of(desk: Desk, agent: User) -> datetime | None:
    return db.session.scalar(
        select(CampaignAgent.last_assigned_at).where(
            CampaignAgent.campaign_id == desk.campaign.id, CampaignAgent.user_id == agent.id
        )
    )


def run_together(work: Callable[[int], None], count: int) -> None:
    """`work(0..count-1)`, all started at the same moment, each in a thread and session of its own.

    The first error of a thread is raised here.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    gate = threading.Barrier(count)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        with app.app_context():
            gate.wait()
            try:
                work(number)
            except BaseException as error:
                errors.append(error)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


def overfull_moments() -> list[tuple[int, int, int]]:
    """(agent, load, limit) of each automatic assignment that went over, by replaying the log.

    Judged from `chat_events` at every moment, not from the rows at the end.
    """
    limits = {
        (row.campaign_id, row.user_id): (row.own, row.here)
        for row in db.session.execute(
            select(
                CampaignAgent.campaign_id,
                CampaignAgent.user_id,
                User.max_concurrent_chats.label("own"),
                CampaignAgent.max_concurrent_chats.label("here"),
            ).join(User, User.id == CampaignAgent.user_id)
        )
    }
    holder: dict[int, tuple[int, int] | None] = {}
    broken = []
    rows = db.session.execute(
        select(
            ChatEvent.chat_id,
            Chat.campaign_id,
            ChatEvent.to_status,
            ChatEvent.data,
            ChatEvent.actor_kind,
        )
        .join(Chat, Chat.id == ChatEvent.chat_id)
        .order_by(ChatEvent.created_at, ChatEvent.id)
    ).all()
    for row in rows:
        agent = row.data.get("agent")
        holds = row.to_status in LOAD_STATUSES and agent is not None
        holder[row.chat_id] = (row.campaign_id, agent) if holds else None
        if not holds or row.actor_kind != "system":
            continue
        own, here = limits[row.campaign_id, agent]
        places = [place for place in holder.values() if place and place[1] == agent]
        in_campaign = [place for place in places if place[0] == row.campaign_id]
        if len(places) > own:
            broken.append((agent, len(places), own))
        if len(in_campaign) > here:
            broken.append((agent, len(in_campaign), here))
    return broken
