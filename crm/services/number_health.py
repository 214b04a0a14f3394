"""What the provider says of a number every few hours, and numbers that have fallen silent."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from crm.db import database_now, db
from crm.lib.crypto import DecryptionError, decrypt
from crm.models import (
    AlarmKind,
    Campaign,
    CampaignNumber,
    CampaignStatus,
    NumberHealth,
    NumberStatus,
    Provider,
    WhatsappNumber,
)
from crm.providers.meta.management import Account, ManagementError
from crm.providers.meta.setup import NumberFacts, SetupClient
from crm.services.alarms import end_alarm, raise_alarm
from crm.services.hours import business_seconds
from crm.services.sending import note_token_works
from crm.services.settings import read_setting

log = structlog.get_logger(__name__)

# Meta's codes for a token that is over.
TOKEN_CODES = {"190", "0", "458", "459", "460", "463", "464", "467", "490", "492"}
# How many people a day may be written to first; None: as many as one likes.
TIERS: dict[str, int | None] = {
    "TIER_50": 50, "TIER_250": 250, "TIER_1K": 1_000, "TIER_2K": 2_000, "TIER_10K": 10_000,
    "TIER_100K": 100_000, "TIER_UNLIMITED": None,
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A number of Meta's to be asked about."""

    number_id: int
    phone_number_id: str
    account: Account = field(repr=False)


def find_numbers_to_ask(*, keys: tuple[str, ...], graph_url: str) -> list[Asked]:
    """All that are switched on and could answer."""
    rows = db.session.scalars(
        select(WhatsappNumber)
        .where(
            WhatsappNumber.provider == Provider.META,
            WhatsappNumber.status != NumberStatus.INACTIVE,
            WhatsappNumber.deleted_at.is_(None),
        )
        .order_by(WhatsappNumber.id)
    )
    return [asked for row in rows if (asked := to_ask(row, keys=keys, graph_url=graph_url))]


def to_ask(number: WhatsappNumber, *, keys: tuple[str, ...], graph_url: str) -> Asked | None:
    if not number.meta_phone_number_id or not number.meta_access_token:
        return None
    try:
        token = decrypt(number.meta_access_token, keys)
    except DecryptionError:
        return None
    account = Account(number.meta_business_account_id or "", token, graph_url)
    return Asked(number.id, number.meta_phone_number_id, account)


def ask(asked: Asked, client: SetupClient | None = None) -> NumberFacts | ManagementError:
    """What Meta says of it, or why it did not say. No transaction is open."""
    try:
        return (client or SetupClient()).read_number(asked.account, asked.phone_number_id)
    except ManagementError as error:
        log.warning("number_not_refreshed", number_id=asked.number_id, code=error.code)
        return error


def apply(number_id: int, said: NumberFacts | ManagementError) -> None:
    """Write what came of asking. Inside `atomic()`."""
    if isinstance(said, ManagementError):
        _apply_refusal(number_id, said)
    else:
        _apply_facts(number_id, said)


def _apply_facts(number_id: int, facts: NumberFacts) -> None:
    """Write what Meta says, and open or end the alarms about it."""
    number = db.session.get(WhatsappNumber, number_id, with_for_update={"key_share": True})
    if number is None:
        return
    subject = str(number_id)
    before = number.meta_messaging_tier
    number.meta_verified_name = facts.name or number.meta_verified_name
    number.meta_quality_rating = facts.quality or number.meta_quality_rating
    number.meta_messaging_tier = facts.tier or before
    db.session.flush()
    _note(number_id, error=None)
    note_token_works(number_id)
    if facts.quality == "RED":
        raise_alarm(AlarmKind.NUMBER_QUALITY_LOW, subject=subject, number_id=number_id)
    elif facts.quality:
        end_alarm(AlarmKind.NUMBER_QUALITY_LOW, subject=subject)
    if facts.tier and before and facts.tier != before:
        told = {"limit": facts.tier.removeprefix("TIER_")}
        raise_alarm(
            AlarmKind.NUMBER_LIMIT_CHANGED, subject=subject, number_id=number_id, facts=told
        )


def _apply_refusal(number_id: int, error: ManagementError) -> None:
    """Meta did not say; a token that is over alarms, a moment without an answer does not."""
    _note(number_id, error=error.reason)
    if error.code in TOKEN_CODES:
        raise_alarm(AlarmKind.TOKEN_EXPIRED, subject=str(number_id), number_id=number_id)


def watch_silence() -> None:
    """Raise and end the alarms of numbers at which nothing happens in business hours."""
    limit = float(read_setting("numbers.silent_hours"))
    now = database_now()
    rows = db.session.execute(
        select(WhatsappNumber.id, WhatsappNumber.last_message_at, WhatsappNumber.created_at,
               Campaign.business_hours, Campaign.timezone)
        .join(CampaignNumber, CampaignNumber.whatsapp_number_id == WhatsappNumber.id)
        .join(Campaign, Campaign.id == CampaignNumber.campaign_id)
        .where(
            WhatsappNumber.status == NumberStatus.ACTIVE,
            WhatsappNumber.deleted_at.is_(None),
            Campaign.status == CampaignStatus.ACTIVE,
            Campaign.deleted_at.is_(None),
        )
    )  # fmt: skip
    quiet: dict[int, float] = {}
    for number_id, last, created, hours, zone in rows:
        gone = business_seconds(hours, zone, last or created, now) / 3600
        # Of several campaigns the one that waits shortest decides: it may just have opened.
        quiet[number_id] = min(gone, quiet.get(number_id, gone))
    for number_id, gone in quiet.items():
        if limit and gone >= limit:
            raise_alarm(
                AlarmKind.NUMBER_SILENT,
                subject=str(number_id),
                number_id=number_id,
                facts={"hours": int(limit)},
            )
        else:
            end_alarm(AlarmKind.NUMBER_SILENT, subject=str(number_id))


def find_health(number_id: int) -> NumberHealth | None:
    return db.session.get(NumberHealth, number_id)


def _note(number_id: int, *, error: str | None) -> None:
    values = {"refreshed_at": func.now(), "refresh_error": error}
    row = insert(NumberHealth).values(whatsapp_number_id=number_id, **values)
    db.session.execute(
        row.on_conflict_do_update(index_elements=["whatsapp_number_id"], set_=values)
    )
