"""Who behind the open sockets may still look, and at what: asked of Postgres every few seconds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select, text

from crm.db import db
from crm.models import CampaignAgent, Chat, User
from crm.permissions import WAITING, Scope, scope_of
from crm.services import sessions

# Everything that `scope_of` reads, as one short text per person: when it differs, rights moved.
RIGHTS = text("""
    SELECT u.id, md5(concat_ws('|', u.role_id, roles.name, of_role.ids,
        (SELECT string_agg(up.permission_id || up.type, ',' ORDER BY up.permission_id)
           FROM user_permissions up WHERE up.user_id = u.id),
        'c', (SELECT string_agg(ca.campaign_id::text, ',' ORDER BY ca.campaign_id)
           FROM campaign_agents ca WHERE ca.user_id = u.id AND ca.is_active))) AS rights
      FROM users u
      JOIN roles ON roles.id = u.role_id
      LEFT JOIN (SELECT rp.role_id, string_agg(p.id::text, ',' ORDER BY p.id) AS ids
                   FROM role_permissions rp
                   JOIN permissions p ON p.id = rp.permission_id AND p.is_active
                  GROUP BY rp.role_id) of_role ON of_role.role_id = u.role_id
     WHERE u.id = ANY(:user_ids)
""")


@dataclass(frozen=True)
class Placement:
    """Where a chat stands: who may see it, and how often it has changed."""

    campaign_id: int
    agent_ids: tuple[int, ...]
    waiting: bool
    version: int
    message_count: int

    def visible_to(self, scope: Scope) -> bool:
        return scope.sees_chat(
            campaign_id=self.campaign_id, agent_ids=self.agent_ids, waiting=self.waiting
        )


def find_placements(chat_ids: Iterable[int]) -> dict[int, Placement]:
    """The placements of these chats; deleted ones are left out, so that nobody sees them."""
    wanted = set(chat_ids)
    if not wanted:
        return {}
    rows = db.session.execute(
        select(
            Chat.id,
            Chat.campaign_id,
            Chat.assigned_agent_id,
            Chat.offered_agent_id,
            Chat.status,
            Chat.version,
            Chat.message_count,
        ).where(Chat.id.in_(wanted), Chat.deleted_at.is_(None))
    )
    return {
        row.id: Placement(
            campaign_id=row.campaign_id,
            agent_ids=tuple(
                agent for agent in (row.assigned_agent_id, row.offered_agent_id) if agent
            ),
            waiting=row.assigned_agent_id is None and row.status in WAITING,
            version=row.version,
            message_count=row.message_count,
        )
        for row in rows
    }


def find_rights(user_ids: Iterable[int]) -> dict[int, str]:
    """A fingerprint of each person's rights; one query for all sockets of a process."""
    rows = db.session.execute(RIGHTS, {"user_ids": list(set(user_ids))})
    return {row.id: row.rights for row in rows}


def find_live(session_ids: Iterable[int], *, idle_seconds: int) -> set[int]:
    """Which of these sessions are still good."""
    return sessions.find_live_sessions(list(set(session_ids)), idle_seconds=idle_seconds)


def find_campaigns(user_ids: Iterable[int]) -> dict[int, set[int]]:
    """The campaigns in which each of these people works."""
    rows = db.session.execute(
        select(CampaignAgent.user_id, CampaignAgent.campaign_id).where(
            CampaignAgent.user_id.in_(set(user_ids)), CampaignAgent.is_active.is_(True)
        )
    )
    campaigns: dict[int, set[int]] = defaultdict(set)
    for user_id, campaign_id in rows:
        campaigns[user_id].add(campaign_id)
    return campaigns


def load_scope(user_id: int) -> Scope:
    """This person's rights as they are now."""
    return scope_of(db.session.get_one(User, user_id))
