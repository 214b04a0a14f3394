"""Campaigns as an admin sees them: lists, the form's values, people and numbers, the end of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, exists, false, func, or_, select

from crm.db import db
from crm.errors import Conflict, NotFound
from crm.events import AccessChanged, Audience, publish_on_commit
from crm.lib.text import fold
from crm.models import (
    ON_STATUSES,
    OPEN_STATUSES,
    Campaign,
    CampaignAgent,
    CampaignNumber,
    CampaignStatus,
    Chat,
    User,
    UserStatus,
    WhatsappNumber,
)
from crm.permissions import SUPER_ADMIN, Scope
from crm.services.kit import ListQuery, Page, WrongField, find_page

# The plain columns that the form writes; nothing else of a row ever comes from a request.
FIELDS = (
    "name", "code", "description", "status", "priority", "language", "currency",
    "routing_strategy", "take_back_seconds", "max_queue_size", "max_wait_seconds",
    "abandon_enabled", "reopen_window_seconds", "sla_first_response_seconds",
    "sla_resolution_seconds", "welcome_message", "queue_message",
    "queue_message_interval_seconds", "wait_message", "offline_message", "closed_message",
    "abandon_message", "inactivity_reminder_seconds", "inactivity_reminder_message",
    "inactivity_close_seconds", "csat_enabled", "csat_question", "bot_enabled",
    "outcome_required", "timezone", "business_hours",
)  # fmt: skip


def reaches_all(scope: Scope) -> bool:
    """Who may create campaigns looks after all of them; others after those they work in."""
    return scope.role == SUPER_ADMIN or scope.can("campaigns.create")


def visible_campaigns(scope: Scope) -> ColumnElement[bool]:
    """The SQL criterion on Campaign for what this person may see in the admin pages."""
    alive = Campaign.deleted_at.is_(None)
    if reaches_all(scope):
        return alive
    if not scope.campaign_ids:
        return false()
    return and_(alive, Campaign.id.in_(scope.campaign_ids))


def load_campaign(scope: Scope, campaign_id: int, *, lock: bool = False) -> Campaign:
    """The campaign, if this person may see it; NotFound otherwise. `lock` holds it for a change."""
    statement = select(Campaign).where(Campaign.id == campaign_id, visible_campaigns(scope))
    if lock:
        # Not FOR UPDATE: a chat that is being opened holds a key share on its campaign.
        statement = statement.with_for_update(key_share=True).execution_options(
            populate_existing=True
        )
    campaign = db.session.scalar(statement)
    if campaign is None:
        raise NotFound
    return campaign


def list_campaign_names(scope: Scope) -> list[tuple[int, str]]:
    """(id, name) of every campaign in reach, for pickers and filters."""
    rows = db.session.execute(
        select(Campaign.id, Campaign.name).where(visible_campaigns(scope)).order_by(Campaign.name)
    )
    return [(row.id, row.name) for row in rows]


def find_campaigns(scope: Scope, query: ListQuery) -> Page:
    """Rows of (campaign, numbers, agents, open chats)."""
    numbers = _count(CampaignNumber.campaign_id == Campaign.id, CampaignNumber)
    agents = _count(
        and_(CampaignAgent.campaign_id == Campaign.id, CampaignAgent.is_active.is_(True)),
        CampaignAgent,
    )
    chats = _count(
        and_(
            Chat.campaign_id == Campaign.id,
            Chat.status.in_(OPEN_STATUSES),
            Chat.deleted_at.is_(None),
        ),
        Chat,
    )
    statement = select(Campaign, numbers, agents, chats).where(visible_campaigns(scope))
    if status := query.filters.get("status"):
        statement = statement.where(Campaign.status == status)
    return find_page(
        statement,
        query,
        search=(Campaign.name, Campaign.code),
        sorts={
            "name": func.lower(Campaign.name),
            "code": Campaign.code,
            "priority": Campaign.priority,
            "updated": Campaign.updated_at,
        },
        default=(Campaign.status, Campaign.priority.desc(), func.lower(Campaign.name)),
        key=Campaign.id,
    )


def _count(criterion: ColumnElement[bool], model: Any) -> Any:
    return (
        select(func.count()).select_from(model).where(criterion).correlate(Campaign)
    ).scalar_subquery()


def find_agent_options(scope: Scope) -> dict[int, str]:
    """Whom this person may put into a campaign: everybody active, by name."""
    rows = db.session.execute(
        select(User.id, User.first_name, User.last_name, User.email).where(
            User.is_system.is_(False),
            or_(
                and_(User.deleted_at.is_(None), User.status == UserStatus.ACTIVE),
                # Who has left but still stands in a campaign, so that its form can be saved.
                exists().where(CampaignAgent.user_id == User.id),
            ),
        )
    )
    return {
        user_id: f"{first} {last} · {email}"
        for user_id, first, last, email in sorted(rows, key=_by_name)
    }


def _by_name(row: Any) -> tuple[str, str]:
    """As people look for somebody: Óscar before Ximena, whatever the database thinks of Ó."""
    return fold(f"{row.first_name} {row.last_name}"), f"{row.first_name} {row.last_name}"


def find_number_options() -> dict[int, str]:
    rows = db.session.execute(
        select(WhatsappNumber.id, WhatsappNumber.display_name, WhatsappNumber.phone_number)
        .where(WhatsappNumber.deleted_at.is_(None))
        .order_by(WhatsappNumber.display_name, WhatsappNumber.id)
    )
    return {
        row.id: f"{row.display_name} · {row.phone_number}" if row.display_name else row.phone_number
        for row in rows
    }


def find_linked_campaigns(number_id: int) -> Sequence[Row]:
    """(campaign, link) of a number, in the order in which they take its chats."""
    return db.session.execute(
        select(Campaign, CampaignNumber)
        .join(CampaignNumber, CampaignNumber.campaign_id == Campaign.id)
        .where(CampaignNumber.whatsapp_number_id == number_id, Campaign.deleted_at.is_(None))
        .order_by(CampaignNumber.priority.desc(), Campaign.id)
    ).all()


def state_of(campaign: Campaign) -> dict[str, Any]:
    """What the form edits, as plain values: also the before and after of the audit."""
    state = {name: getattr(campaign, name) for name in FIELDS}
    state["status"] = str(campaign.status)
    state["routing_strategy"] = str(campaign.routing_strategy)
    agents = db.session.execute(
        select(CampaignAgent, User.first_name, User.last_name)
        .join(User, User.id == CampaignAgent.user_id)
        .where(CampaignAgent.campaign_id == campaign.id)
        .execution_options(populate_existing=True)
    )
    state["agents"] = [
        {
            "key": link.user_id,
            "max_concurrent_chats": link.max_concurrent_chats,
            "priority": link.priority,
            "skills": list(link.skills or []),
            "is_active": link.is_active,
        }
        for link, *_name in sorted(agents, key=_by_name)
    ]
    links = list(
        db.session.scalars(
            select(CampaignNumber)
            .where(CampaignNumber.campaign_id == campaign.id)
            .order_by(CampaignNumber.id)
            .execution_options(populate_existing=True)
        )
    )
    state["numbers"] = [
        {"key": link.whatsapp_number_id, "priority": link.priority} for link in links
    ]
    state["primary_number"] = next(
        (link.whatsapp_number_id for link in links if link.is_primary), None
    )
    return state


def create_campaign(values: Mapping[str, Any], *, created_by: int) -> Campaign:
    """A new campaign with its people and numbers. WrongField for a code that is taken."""
    _refuse_taken_code(values["code"], but=None)
    campaign = Campaign(**{name: values[name] for name in FIELDS}, created_by=created_by)
    db.session.add(campaign)
    db.session.flush()
    _set_agents(campaign, values["agents"])
    _set_numbers(campaign, values["numbers"], values["primary_number"])
    return campaign


def update_campaign(campaign: Campaign, values: Mapping[str, Any]) -> Campaign:
    """Write the form's values; the caller holds the row's lock.

    WrongField for a taken code, a code changed after the first chat, and an end or pause of what a
    switched-on number has as its only campaign.
    """
    if values["code"] != campaign.code:
        _refuse_taken_code(values["code"], but=campaign.id)
        if db.session.scalar(select(exists().where(Chat.campaign_id == campaign.id))):
            raise WrongField(
                "The code stays: chats of this campaign carry it in their case numbers.",
                field_name="code",
            )
    if values["status"] == CampaignStatus.ENDED and campaign.status != CampaignStatus.ENDED:
        _refuse_last_campaign(campaign)
    for name in FIELDS:
        setattr(campaign, name, values[name])
    campaign.updated_at = func.now()
    _set_agents(campaign, values["agents"])
    _set_numbers(campaign, values["numbers"], values["primary_number"])
    db.session.flush()
    return campaign


def delete_campaign(campaign: Campaign) -> None:
    """Out of lists and routing. Conflict with open chats or numbers that are switched on."""
    open_chats = db.session.scalar(
        select(func.count())
        .select_from(Chat)
        .where(
            Chat.campaign_id == campaign.id,
            Chat.status.in_(OPEN_STATUSES),
            Chat.deleted_at.is_(None),
        )
    )
    if open_chats:
        raise Conflict(
            "This campaign still has open chats (%(count)s). Close or move them first.",
            count=open_chats,
        )
    linked = db.session.scalar(
        select(func.count())
        .select_from(CampaignNumber)
        .join(WhatsappNumber, WhatsappNumber.id == CampaignNumber.whatsapp_number_id)
        .where(
            CampaignNumber.campaign_id == campaign.id,
            WhatsappNumber.status.in_(ON_STATUSES),
            WhatsappNumber.deleted_at.is_(None),
        )
    )
    if linked:
        raise Conflict(
            "Numbers of this campaign are switched on (%(count)s). Take them out of it first.",
            count=linked,
        )
    campaign.deleted_at = func.now()
    campaign.status = CampaignStatus.ENDED
    # The code is free for another campaign; what carries it in its case number keeps it.
    campaign.code = f"{campaign.code[:36]}~{campaign.id}"


def _refuse_taken_code(code: str, *, but: int | None) -> None:
    # Two forms with one new code at the same moment: the second waits here, then finds the first.
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"campaign-code:{code}"))))
    taken = db.session.scalar(
        select(Campaign.name).where(
            func.upper(Campaign.code) == code.upper(), Campaign.id != (but or 0)
        )
    )
    if taken is not None:
        raise WrongField(
            "The campaign %(name)s has this code already.", field_name="code", name=taken
        )


def _refuse_last_campaign(campaign: Campaign) -> None:
    """A number that is switched on needs somebody who takes its chats."""
    other = CampaignNumber.__table__.alias("other")
    elsewhere = exists().where(
        other.c.whatsapp_number_id == CampaignNumber.whatsapp_number_id,
        other.c.campaign_id == Campaign.id,
        Campaign.id != campaign.id,
        Campaign.status != CampaignStatus.ENDED,
        Campaign.deleted_at.is_(None),
    )
    alone = db.session.scalar(
        select(WhatsappNumber.phone_number)
        .join(CampaignNumber, CampaignNumber.whatsapp_number_id == WhatsappNumber.id)
        .where(
            CampaignNumber.campaign_id == campaign.id,
            WhatsappNumber.status.in_(ON_STATUSES),
            WhatsappNumber.deleted_at.is_(None),
            ~elsewhere,
        )
        .limit(1)
    )
    if alone is not None:
        raise WrongField(
            "%(number)s has no other campaign; give it one or switch it off first.",
            field_name="status",
            number=alone,
        )


def _set_agents(campaign: Campaign, rows: list[dict[str, Any]]) -> None:
    """Make the campaign's people those of the form; who comes or goes sees it at once."""
    held = {
        link.user_id: link
        for link in db.session.scalars(
            select(CampaignAgent).where(CampaignAgent.campaign_id == campaign.id)
        )
    }
    wanted = {row["key"]: row for row in rows}
    for user_id in set(held) - set(wanted):
        db.session.delete(held[user_id])
    touched = set(held) ^ set(wanted)
    for user_id, row in wanted.items():
        link = held.get(user_id)
        if link is None:
            link = CampaignAgent(campaign_id=campaign.id, user_id=user_id)
            db.session.add(link)
        elif link.is_active != row["is_active"]:
            touched.add(user_id)
        link.max_concurrent_chats = row["max_concurrent_chats"]
        link.priority = row["priority"]
        link.skills = row["skills"]
        link.is_active = row["is_active"]
    db.session.flush()
    for user_id in sorted(touched):
        publish_on_commit(AccessChanged(user_id), Audience(user_ids=(user_id,)))


def _set_numbers(campaign: Campaign, rows: list[dict[str, Any]], primary: int | None) -> None:
    """Make the campaign's numbers those of the form; WrongField for one that would be alone."""
    held = {
        link.whatsapp_number_id: link
        for link in db.session.scalars(
            select(CampaignNumber).where(CampaignNumber.campaign_id == campaign.id)
        )
    }
    wanted = {row["key"]: row for row in rows}
    for number_id in sorted(set(held) - set(wanted)):
        _refuse_lonely_number(number_id, campaign)
        db.session.delete(held[number_id])
    if primary is None and wanted:
        primary = next(iter(wanted))
    for number_id, row in wanted.items():
        link = held.get(number_id)
        if link is None:
            link = CampaignNumber(campaign_id=campaign.id, whatsapp_number_id=number_id)
            db.session.add(link)
        link.priority = row["priority"]
        link.is_primary = number_id == primary
    db.session.flush()


def _refuse_lonely_number(number_id: int, campaign: Campaign) -> None:
    number = db.session.get_one(WhatsappNumber, number_id)
    if number.status not in ON_STATUSES or number.deleted_at is not None:
        return
    if not has_campaign(number_id, but=campaign.id):
        raise WrongField(
            "%(number)s has no other campaign; give it one or switch it off first.",
            field_name="numbers",
            number=number.phone_number,
        )


def has_campaign(number_id: int, *, but: int | None = None) -> bool:
    """Whether a campaign that is not ended takes this number's chats, `but` aside."""
    return bool(
        db.session.scalar(
            select(
                exists().where(
                    CampaignNumber.whatsapp_number_id == number_id,
                    CampaignNumber.campaign_id == Campaign.id,
                    Campaign.id != (but or 0),
                    Campaign.status != CampaignStatus.ENDED,
                    Campaign.deleted_at.is_(None),
                )
            )
        )
    )
