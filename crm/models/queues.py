"""Where chats wait, and the rules that choose."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.db import Model, Timestamp
from crm.models.chats import ChatPriority
from crm.models.columns import NOW, JsonB, choice, one_of

if TYPE_CHECKING:
    from crm.models.campaigns import Campaign


class OverflowAction(StrEnum):
    """What happens to a chat that comes to a full queue."""

    QUEUE = "queue"
    REJECT = "reject"
    VOICEMAIL = "voicemail"
    TRANSFER = "transfer"


class RuleAction(StrEnum):
    ASSIGN_QUEUE = "assign_queue"
    ASSIGN_AGENT = "assign_agent"
    ASSIGN_BOT = "assign_bot"
    REJECT = "reject"
    TRANSFER_CAMPAIGN = "transfer_campaign"


class Queue(Model):
    """Where chats of a campaign wait. All agents of the campaign serve all its queues."""

    __tablename__ = "queues"
    __table_args__ = (
        one_of("overflow_action", OverflowAction),
        Index("idx_queues_campaign_id", "campaign_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(Text)
    priority: Mapped[int] = mapped_column(server_default=text("0"))
    max_size: Mapped[int] = mapped_column(server_default=text("100"))
    max_wait_seconds: Mapped[int] = mapped_column(server_default=text("600"))
    overflow_action: Mapped[OverflowAction] = mapped_column(
        choice(OverflowAction, 30), server_default="queue"
    )
    overflow_queue_id: Mapped[int | None] = mapped_column(ForeignKey("queues.id"))
    overflow_message: Mapped[str | None] = mapped_column(Text)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)

    campaign: Mapped[Campaign] = relationship(back_populates="queues")


class RoutingRule(Model):
    """Higher `priority` first, the first whose conditions all hold decides."""

    __tablename__ = "routing_rules"
    __table_args__ = (
        one_of("action", RuleAction),
        one_of("set_priority", ChatPriority),
        Index("idx_routing_rules_campaign_id", "campaign_id"),
        Index("idx_routing_rules_priority", "priority"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(Text)
    priority: Mapped[int] = mapped_column(server_default=text("0"))
    conditions: Mapped[dict[str, Any] | None] = mapped_column(JsonB)
    action: Mapped[RuleAction] = mapped_column(choice(RuleAction, 30))
    target_queue_id: Mapped[int | None] = mapped_column(ForeignKey("queues.id"))
    target_user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    target_campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    target_bot_flow_id: Mapped[int | None] = mapped_column(ForeignKey("bot_flows.id"))
    # Said to the customer by `reject`.
    message: Mapped[str | None] = mapped_column(Text)
    set_priority: Mapped[ChatPriority | None] = mapped_column(choice(ChatPriority, 20))
    required_skills: Mapped[list[str] | None] = mapped_column(JsonB)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)


class RuleDraft(Model):
    """One person's changes to a campaign's rules that are not in force: routing never reads them.

    `entries`: the rules as they would be, in their order (services/rule_drafts.py says the shape).
    `base`: [id, version] of each rule as it stood when they began, in the order of that moment.
    """

    __tablename__ = "rule_drafts"
    __table_args__ = (Index("idx_rule_drafts_campaign_id", "campaign_id"),)

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    campaign_id: Mapped[int] = mapped_column(
        ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True
    )
    entries: Mapped[list[dict[str, Any]]] = mapped_column(JsonB)
    base: Mapped[list[list[Any]]] = mapped_column(JsonB)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
