"""News of the account, its numbers and templates: they move our rows, and warn who minds them.

They come in any order and again; only what is newer than what we know about a thing changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import select

from crm.db import db
from crm.models import AlarmKind, Provider, WhatsappNumber
from crm.providers.base import AccountEvent
from crm.services.alarms import end_alarm, raise_alarm
from crm.services.messages.ledger import Post
from crm.services.messages.news import is_news
from crm.services.templates.statuses import (
    TemplateKey,
    apply_template_category,
    apply_template_change,
    apply_template_quality,
    apply_template_status,
)

# Words of account_update after which messages do not go out as before, and those that end it.
RESTRICTING = frozenset(
    {
        "DISABLED_UPDATE", "ACCOUNT_RESTRICTION", "ACCOUNT_VIOLATION", "ACCOUNT_DELETED",
        "ACCOUNT_OFFBOARDED", "PARTNER_REMOVED", "PARTNER_APP_UNINSTALLED",
    }
)  # fmt: skip
RESTORING = frozenset({"ACCOUNT_RECONNECTED", "VERIFIED_ACCOUNT", "PARTNER_APP_INSTALLED"})
# What number news say about quality. Newer versions of the field tell limits only.
QUALITY = {"FLAGGED": "RED", "UNFLAGGED": "GREEN"}
# What Meta says of a template that it does not reject, but that goes badly.
TROUBLES = {
    "PAUSED": AlarmKind.TEMPLATE_PAUSED,
    "DISABLED": AlarmKind.TEMPLATE_DISABLED,
    "FLAGGED": AlarmKind.TEMPLATE_FLAGGED,
}
MOST = 300


def apply_account_event(event: AccountEvent, post: Post) -> None:
    """Apply one piece of news. What is about nobody of ours, or says nothing new, changes nothing.

    Inside `atomic()`.
    """
    handler = HANDLERS.get(event.field)
    if handler is None:
        return
    numbers = _numbers_of(event)
    if numbers:
        post.number_id = post.number_id or (numbers[0].id if len(numbers) == 1 else None)
        handler(event, numbers)


def _numbers_of(event: AccountEvent) -> Sequence[WhatsappNumber]:
    """The number that the news name, or all of the account; locked, in the order of their ids."""
    query = select(WhatsappNumber).where(
        WhatsappNumber.provider == Provider.META, WhatsappNumber.deleted_at.is_(None)
    )
    if event.phone_number_id:
        query = query.where(WhatsappNumber.meta_phone_number_id == event.phone_number_id)
    else:
        query = query.where(WhatsappNumber.meta_business_account_id == (event.account_id or ""))
        if event.display_phone_number and event.field.startswith("phone_number"):
            query = query.where(WhatsappNumber.phone_number == f"+{event.display_phone_number}")
    return db.session.scalars(
        query.order_by(WhatsappNumber.id).with_for_update(key_share=True)
    ).all()


def _is_new(event: AccountEvent, what: str, thing: object) -> bool:
    return is_news(f"{what}:{thing}", event.occurred_at)


# --- templates -----------------------------------------------------------------------------------


def _key(event: AccountEvent) -> TemplateKey:
    value = event.value
    return TemplateKey(
        account_id=event.account_id or "",
        template_id=_word(value.get("message_template_id")),
        name=_word(value.get("message_template_name")),
        language=_word(value.get("message_template_language")),
    )


def _template(event: AccountEvent) -> str:
    key = _key(event)
    return f"{event.account_id}:{key.template_id or key.name}:{key.language}"


def _template_status(event: AccountEvent, numbers: Sequence[WhatsappNumber]) -> None:
    thing, word = _template(event), event.kind.upper()
    if not _is_new(event, "template_status", thing):
        return
    reason, detail = _reason_of(event.value)
    apply_template_status(_key(event), event=word, reason=reason, detail=detail)
    name = _key(event).name or "?"
    shown = f"{name} ({_key(event).language or '?'})"
    number_id = numbers[0].id
    if word == "REJECTED":
        raise_alarm(
            AlarmKind.TEMPLATE_REJECTED,
            subject=thing,
            number_id=number_id,
            facts={"template": shown, "reason": detail or reason or "—"},
        )
    elif word in TROUBLES:
        raise_alarm(TROUBLES[word], subject=thing, number_id=number_id, facts={"template": shown})
    elif word in ("APPROVED", "REINSTATED"):
        for kind in (AlarmKind.TEMPLATE_REJECTED, *TROUBLES.values()):
            end_alarm(kind, subject=thing)


def _reason_of(value: dict[str, Any]) -> tuple[str | None, str | None]:
    """Meta's word, and whatever it says beside it in sentences."""
    parts = []
    for holder, keys in (
        ("rejection_info", ("reason", "recommendation")),
        ("other_info", ("title", "description")),
        ("disable_info", ("disable_date",)),
    ):
        info = value.get(holder)
        if isinstance(info, dict):
            parts += [text for key in keys if (text := _word(info.get(key)))]
    return _word(value.get("reason")), " · ".join(parts)[:MOST] or None


def _template_quality(event: AccountEvent, _numbers: Sequence[WhatsappNumber]) -> None:
    score = _word(event.value.get("new_quality_score"))
    if score and _is_new(event, "template_quality", _template(event)):
        apply_template_quality(_key(event), score=score)


def _template_category(event: AccountEvent, _numbers: Sequence[WhatsappNumber]) -> None:
    """`correct_category` announces, `new_category` has happened."""
    coming, now = _word(event.value.get("correct_category")), _word(event.value.get("new_category"))
    category = coming or now
    if category and _is_new(event, "template_category", _template(event)):
        apply_template_category(_key(event), category=category, takes_effect_later=bool(coming))


def _template_components(event: AccountEvent, _numbers: Sequence[WhatsappNumber]) -> None:
    if _is_new(event, "template_components", _template(event)):
        apply_template_change(_key(event))


# --- numbers -------------------------------------------------------------------------------------


def _number_quality(event: AccountEvent, numbers: Sequence[WhatsappNumber]) -> None:
    limit = _word(event.value.get("current_limit"))
    for number in numbers:
        if not _is_new(event, "number_quality", number.id):
            continue
        if limit and limit != number.meta_messaging_tier:
            _new_limit(number, limit)
        if quality := QUALITY.get(event.kind.upper()):
            number.meta_quality_rating = quality
        if event.kind.upper() == "FLAGGED":
            raise_alarm(AlarmKind.NUMBER_QUALITY_LOW, subject=str(number.id), number_id=number.id)
        elif event.kind.upper() in ("UNFLAGGED", "UPGRADE", "THROUGHPUT_UPGRADE"):
            end_alarm(AlarmKind.NUMBER_QUALITY_LOW, subject=str(number.id))
    db.session.flush()


def _new_limit(number: WhatsappNumber, limit: str) -> None:
    known = number.meta_messaging_tier
    number.meta_messaging_tier = limit[:30]
    if known is not None:
        raise_alarm(
            AlarmKind.NUMBER_LIMIT_CHANGED,
            subject=str(number.id),
            number_id=number.id,
            facts={"limit": limit.removeprefix("TIER_")},
        )


def _number_name(event: AccountEvent, numbers: Sequence[WhatsappNumber]) -> None:
    name = _word(event.value.get("requested_verified_name"))
    for number in numbers:
        if not _is_new(event, "number_name", number.id):
            continue
        if event.kind.upper() == "APPROVED" and name:
            number.meta_verified_name = name[:150]
            end_alarm(AlarmKind.NUMBER_NAME_REJECTED, subject=str(number.id))
        elif event.kind.upper() in ("REJECTED", "DECLINED"):
            reason = _word(event.value.get("rejection_reason")) or "—"
            raise_alarm(
                AlarmKind.NUMBER_NAME_REJECTED,
                subject=str(number.id),
                number_id=number.id,
                facts={"name": name or "?", "reason": reason},
            )
    db.session.flush()


def _capability(event: AccountEvent, numbers: Sequence[WhatsappNumber]) -> None:
    """The limit of the whole portfolio: a number of people, "TIER_2K", or -1 for none."""
    limit = _word(event.value.get("max_daily_conversations_per_business"))
    if limit is None or not _is_new(event, "capability", event.account_id):
        return
    tier = "TIER_UNLIMITED" if limit == "-1" else limit
    tier = f"TIER_{_short(int(tier))}" if tier.isdigit() else tier
    for number in numbers:
        if tier != number.meta_messaging_tier:
            _new_limit(number, tier)
    db.session.flush()


def _short(limit: int) -> str:
    """2000 -> '2K', as Meta writes its tiers."""
    return f"{limit // 1000}K" if limit >= 1000 and limit % 1000 == 0 else str(limit)


# --- the account ---------------------------------------------------------------------------------


def _account_update(event: AccountEvent, numbers: Sequence[WhatsappNumber]) -> None:
    word = event.kind.upper()
    ban = event.value.get("ban_info")
    banned = _word(ban.get("waba_ban_state")) if isinstance(ban, dict) else None
    ends = word in RESTORING or banned == "REINSTATE"
    if not (ends or word in RESTRICTING) or not _is_new(event, "account", event.account_id):
        return
    for number in numbers:
        if ends:
            end_alarm(AlarmKind.ACCOUNT_RESTRICTED, subject=str(number.id))
        else:
            raise_alarm(
                AlarmKind.ACCOUNT_RESTRICTED,
                subject=str(number.id),
                number_id=number.id,
                facts={"reason": _why(word, banned, event.value)},
            )


def _why(word: str, banned: str | None, value: dict[str, Any]) -> str:
    """What Meta says about it, in its own words."""
    parts = [banned or word]
    violation = value.get("violation_info")
    if isinstance(violation, dict) and (kind := _word(violation.get("violation_type"))):
        parts.append(kind)
    restrictions = value.get("restriction_info")
    parts += [
        kind
        for item in (restrictions if isinstance(restrictions, list) else [])
        if isinstance(item, dict) and (kind := _word(item.get("restriction_type")))
    ]
    return ", ".join(parts)[:MOST]


def _account_review(event: AccountEvent, numbers: Sequence[WhatsappNumber]) -> None:
    if not _is_new(event, "account_review", event.account_id):
        return
    for number in numbers:
        if event.kind.upper() == "REJECTED":
            raise_alarm(
                AlarmKind.ACCOUNT_RESTRICTED,
                subject=str(number.id),
                number_id=number.id,
                facts={"reason": "ACCOUNT_REVIEW_REJECTED"},
            )
        elif event.kind.upper() == "APPROVED":
            end_alarm(AlarmKind.ACCOUNT_RESTRICTED, subject=str(number.id))


def _account_alert(event: AccountEvent, numbers: Sequence[WhatsappNumber]) -> None:
    info = event.value.get("alert_info")
    info = info if isinstance(info, dict) else event.value
    kind = _word(info.get("alert_type")) or "?"
    if not _is_new(event, "account_alert", f"{event.account_id}:{kind}"):
        return
    subject = f"{event.account_id}:{kind}"
    if _word(info.get("alert_severity")) == "INFORMATIONAL" or kind.endswith("_APPROVED"):
        return
    if _word(info.get("alert_status")) in ("RESOLVED", "INACTIVE"):
        end_alarm(AlarmKind.ACCOUNT_ALERT, subject=subject)
        return
    said = _word(info.get("alert_description")) or kind
    raise_alarm(
        AlarmKind.ACCOUNT_ALERT,
        subject=subject,
        number_id=numbers[0].id,
        facts={"alert": kind, "reason": said[:MOST]},
    )


def _security(event: AccountEvent, numbers: Sequence[WhatsappNumber]) -> None:
    """The PIN of a number was changed or asked to be taken off: its owner should know who did."""
    what = event.kind or _word(event.value.get("type")) or "?"
    for number in numbers:
        if _is_new(event, "security", f"{number.id}:{what}"):
            raise_alarm(
                AlarmKind.NUMBER_SECURITY,
                subject=f"{number.id}:{what}",
                number_id=number.id,
                facts={"event": what},
            )


def _errors(event: AccountEvent, numbers: Sequence[WhatsappNumber]) -> None:
    """Errors of the number itself, without a message: a rate limit, say."""
    errors = event.value.get("errors")
    for error in errors if isinstance(errors, list) else [errors]:
        if not isinstance(error, dict):
            continue
        code = _word(error.get("code")) or "?"
        data = error.get("error_data")
        details = _word(data.get("details")) if isinstance(data, dict) else None
        said = details or _word(error.get("title")) or "—"
        for number in numbers:
            raise_alarm(
                AlarmKind.NUMBER_ERRORS,
                subject=f"{number.id}:{code}",
                number_id=number.id,
                facts={"code": code, "reason": said[:MOST]},
            )


def _word(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


HANDLERS: dict[str, Callable[[AccountEvent, Sequence[WhatsappNumber]], None]] = {
    "account_alerts": _account_alert,
    "account_review_update": _account_review,
    "account_update": _account_update,
    "business_capability_update": _capability,
    "errors": _errors,
    "message_template_components_update": _template_components,
    "message_template_quality_update": _template_quality,
    "message_template_status_update": _template_status,
    "phone_number_name_update": _number_name,
    "phone_number_quality_update": _number_quality,
    "security": _security,
    "template_category_update": _template_category,
}
