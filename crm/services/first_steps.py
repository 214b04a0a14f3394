"""What an installation still needs before the first chat can come in and be answered."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import exists, func, select

from crm.db import db
from crm.models import (
    ON_STATUSES,
    Campaign,
    CampaignAgent,
    CampaignNumber,
    CampaignStatus,
    User,
    UserStatus,
    WhatsappNumber,
)
from crm.services.users import people


@dataclass(frozen=True)
class FirstSteps:
    """Each of them done or not, in the order in which they are taken."""

    people: bool
    number: bool
    campaign: bool
    switched_on: bool

    @property
    def done(self) -> bool:
        return self.people and self.number and self.campaign and self.switched_on


def find_first_steps() -> FirstSteps:
    """One statement. A campaign counts once it has a number and somebody who works in it."""
    others = select(func.count(User.id)).where(people(), User.status == UserStatus.ACTIVE)
    number = exists().where(WhatsappNumber.deleted_at.is_(None))
    alive = (Campaign.deleted_at.is_(None), Campaign.status == CampaignStatus.ACTIVE)
    campaign = exists().where(
        *alive,
        CampaignNumber.campaign_id == Campaign.id,
        CampaignAgent.campaign_id == Campaign.id,
    )
    switched_on = exists().where(
        *alive,
        CampaignNumber.campaign_id == Campaign.id,
        WhatsappNumber.id == CampaignNumber.whatsapp_number_id,
        WhatsappNumber.deleted_at.is_(None),
        WhatsappNumber.status.in_(ON_STATUSES),
    )
    row = db.session.execute(
        select(others.scalar_subquery() > 1, number, campaign, switched_on)
    ).one()
    return FirstSteps(*row)
