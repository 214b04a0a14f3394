"""What a delivery holds, in short: how many of which kind, for whom. Nobody's words are in it.

Pure. The ledger's rows keep it (`holds`), so that a list tells what happened and reads no body.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from crm.providers.base import (
    AccountEvent,
    CallEvent,
    ContactChange,
    EchoedMessage,
    Event,
    GroupChange,
    HistoryChunk,
    InboundMessage,
    Other,
    PreferenceChange,
    Problem,
    Receipt,
    Sender,
)
from crm.providers.wppconnect.webhook import SESSION_EVENTS

Json = dict[str, Any]

KINDS = (
    "message", "receipt", "echo", "call", "preference", "contact", "group", "history", "template",
    "number", "account", "session", "other", "unknown", "problem",
)  # fmt: skip
# Of one delivery; of a longer one the rest is known by its kinds alone.
MOST_LINES = 20
MOST_WORDS = 80
# Fields of Meta's account news: what they are about, and of it what.
NEWS = {
    "message_template_status_update": ("template", "status"),
    "message_template_quality_update": ("template", "quality"),
    "message_template_components_update": ("template", "components"),
    "template_category_update": ("template", "category"),
    "phone_number_quality_update": ("number", "quality"),
    "phone_number_name_update": ("number", "name"),
    "security": ("number", "security"),
    "errors": ("number", "errors"),
    "business_capability_update": ("account", "limit"),
    "account_alerts": ("account", "alert"),
    "account_review_update": ("account", "review"),
}
# Where a field's object says what is new, beside its event.
TELLING = (
    "new_quality_score", "correct_category", "new_category", "current_limit",
    "max_daily_conversations_per_business",
)  # fmt: skip


@dataclass(frozen=True)
class Content:
    """Events of a delivery that are alike. `what` is one of KINDS, `kind` its kind.

    `id`: the provider's id of the (first) message or template; `who`: the customer, masked;
    `subject`: the template's name; `detail`: the provider's word for what is new.
    """

    what: str
    kind: str = ""
    id: str | None = None
    who: str | None = None
    subject: str | None = None
    detail: str | None = None
    count: int = 1

    @property
    def alike(self) -> tuple[Any, ...]:
        return (self.what, self.kind, self.subject, self.detail)


def summarize(events: Iterable[Event]) -> dict[str, list[Json]]:
    """{what: [{kind, id, who, subject, detail, count}, ...]}, without what is not told."""
    lines: dict[tuple[Any, ...], Content] = {}
    holds: dict[str, list[Json]] = {}
    for event in events:
        content = content_of(event)
        known = lines.get(content.alike)
        if known is not None:
            lines[content.alike] = replace(known, count=known.count + content.count)
        elif len(lines) < MOST_LINES:
            lines[content.alike] = content
        holds.setdefault(content.what, [])
    for content in lines.values():
        told = {name: value for name, value in vars(content).items() if value and name != "what"}
        holds[content.what].append(told)
    return holds


def contents_of(holds: dict[str, list[Json]] | None) -> list[Content]:
    """What `summarize` wrote, read again."""
    return [
        Content(what, **line)
        for what, lines in (holds or {}).items()
        for line in lines or [{"count": 0}]
    ]


def content_of(event: Event) -> Content:
    if isinstance(event, InboundMessage):
        masked = who(event.sender)
        return Content("message", _kind_of(event), event.whatsapp_message_id, masked)
    if isinstance(event, Receipt):
        masked = mask(event.recipient_wa_id)
        return Content("receipt", event.status[:MOST_WORDS], event.whatsapp_message_id, masked)
    if isinstance(event, EchoedMessage):
        masked = who(event.recipient)
        return Content("echo", _kind_of(event), event.whatsapp_message_id, masked)
    if isinstance(event, AccountEvent):
        return _news(event)
    if isinstance(event, Other):
        return _other(event)
    if isinstance(event, Problem):
        return Content("problem", event.reason)
    return _seldom(event)


def _kind_of(message: InboundMessage | EchoedMessage) -> str:
    told = message.metadata or {}
    return next((word for word in ("voice", "edit", "revoke") if told.get(word)), message.kind)


def _seldom(
    event: HistoryChunk | CallEvent | PreferenceChange | ContactChange | GroupChange,
) -> Content:
    if isinstance(event, HistoryChunk):
        return Content("history", count=len(event.messages))
    if isinstance(event, CallEvent):
        told = event.outcome or event.event
        return Content("call", told, event.call_id, who(event.person))
    if isinstance(event, PreferenceChange):
        return Content("preference", event.value, who=who(event.person))
    if isinstance(event, ContactChange):
        return Content("contact", "removed" if event.full_name is None else "saved")
    return Content("group", event.kind)


def _news(event: AccountEvent) -> Content:
    what, kind = NEWS.get(event.field, ("account", event.field.removeprefix("account_")))
    value = event.value
    details = [event.kind, *(_word(value.get(name)) for name in TELLING)]
    info = value.get("alert_info")
    details.append(_word(info.get("alert_type")) if isinstance(info, dict) else "")
    errors = value.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        details += [_word(errors[0].get(name)) for name in ("code", "title")]
    detail = ", ".join(dict.fromkeys(filter(None, details)))[:MOST_WORDS] or None
    if what != "template":
        return Content(what, kind, detail=detail)
    language = _word(value.get("message_template_language"))
    name = _word(value.get("message_template_name")) or "?"
    subject = f"{name} ({language})" if language else name
    template_id = _word(value.get("message_template_id")) or None
    return Content(what, kind, template_id, None, subject, detail)


def _other(event: Other) -> Content:
    if event.field in SESSION_EVENTS:
        return Content("session", event.field, detail=event.kind[:MOST_WORDS] or None)
    name = f"{event.field} {event.kind}".strip()[:MOST_WORDS]
    return Content("other" if event.known else "unknown", name)


def who(person: Sender) -> str | None:
    return mask(person.wa_id)


def mask(wa_id: str | None) -> str | None:
    """'573001234567' -> '…4567'"""
    return f"…{wa_id[-4:]}" if wa_id else None


def _word(value: Any) -> str:
    known = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value).strip()[:MOST_WORDS] if known else ""
