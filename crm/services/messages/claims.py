"""What the steps of the delivery hand to each other: a claimed row, and what leaves for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from crm.providers.meta.client import MetaChannel
from crm.providers.outbound import OutboundMessage
from crm.providers.wppconnect.client import WppConnectChannel
from crm.services.messages.backoff import Backoff


@dataclass(frozen=True)
class Settings:
    """What the delivery needs to know of the configuration. Times in seconds."""

    graph_url: str
    encryption_keys: tuple[str, ...] = field(repr=False)
    zone: str = "America/Bogota"
    """In which a day begins and ends."""
    lease_seconds: float = 30
    uncertain_hold_seconds: float = 30
    unresolved_seconds: float = 600
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True)
class Claim:
    """A row that is ours until the lease ends. `attempt` and `owner` are the fence."""

    queue_id: int
    message_id: int
    chat_id: int
    number_id: int
    owner: UUID
    attempt: int
    is_probe: bool = False
    """The number was refused before; this message tries whether it is taken again."""
    priority: int = 100


@dataclass(frozen=True)
class Outgoing:
    """Everything that the provider's client needs; no database is touched while it works."""

    claim: Claim
    channel: MetaChannel | WppConnectChannel
    message: OutboundMessage
    counts: bool = False
    """Against the number's daily limit."""
