"""A provider's event in one line, so that a table can say what each body must become."""

from __future__ import annotations

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

SEPARATOR = " | "


def describe_all(events: list[Event]) -> str:
    return SEPARATOR.join(describe(event) for event in events) or "nothing"


def describe(event: Event) -> str:
    """`message text 'Hola' from 573001234567 {quote}`, `receipt read of wamid.1`, ..."""
    match event:
        case InboundMessage():
            silent = "" if event.is_utterance else " silent"
            closed = "" if event.renews_window else " window-shut"
            return f"message {_said(event)} from {_who(event.sender)}{silent}{closed}"
        case EchoedMessage():
            return f"echo {_said(event)} to {_who(event.recipient)}"
        case HistoryChunk():
            said = [
                f"{'us' if isinstance(old.message, EchoedMessage) else 'them'} "
                f"{_said(old.message)} {old.status} with {_who(old.person)}"
                for old in event.messages
            ]
            where = f"{event.phase}/{event.chunk_order}/{event.progress}"
            return f"history {where} [{'; '.join(said)}]"
        case CallEvent():
            side = {True: "ours", False: "theirs", None: "?"}[event.outbound]
            end = f" {event.outcome} {event.duration}s" if event.outcome else ""
            return f"call {event.event}{end} {side} with {_who(event.person)}"
        case PreferenceChange():
            return f"preference {event.category} {event.value} of {_who(event.person)}"
        case ContactChange():
            return f"contact {event.wa_id} {event.full_name!r}"
        case GroupChange():
            return f"group {event.group_id} {event.kind} {event.subject!r}"
        case AccountEvent():
            number = f" {event.display_phone_number}" if event.display_phone_number else ""
            return f"account {event.field} {event.kind or '-'}{number}"
        case Receipt():
            errors = "".join(f" !{error.code}" for error in event.errors)
            price = f" {event.pricing.get('category')}" if event.pricing else ""
            to = event.recipient_user_id or event.recipient_wa_id or "?"
            return f"receipt {event.status}{errors}{price} to {to}"
        case Other():
            return f"kept {event.field}/{event.kind}{'' if event.known else ' new'}"
        case Problem():
            return f"problem {event.reason}"


def _said(message: InboundMessage | EchoedMessage) -> str:
    extras = sorted(set(message.metadata or {}) - {"raw"})
    target = f" ->{message.target_id}" if message.target_id else ""
    content = f" {message.content[:40]!r}" if message.content else ""
    return f"{message.kind}{content}{target}{_listed(extras)}"


def _listed(extras: list[str]) -> str:
    return f" {{{','.join(extras)}}}" if extras else ""


def _who(sender: Sender) -> str:
    identities: list[tuple[str, Any]] = list(sender.identities)
    return "+".join(value for kind, value in identities if kind != "parent_user_id") or "nobody"


def detail_all(events: list[Event]) -> str:
    return SEPARATOR.join(detail(event) for event in events) or "nothing"


def detail(event: Event) -> str:
    """What the short line leaves out: which id, when, and each value that was kept of it."""
    at = getattr(event, "sent_at", None) or getattr(event, "occurred_at", None)
    told: dict[str, Any] = {
        "number": event.phone_number_id,
        "id": getattr(event, "whatsapp_message_id", None) or getattr(event, "call_id", None),
        "at": f"{at:%Y-%m-%dT%H:%M:%S}" if at else None,
    }
    match event:
        case InboundMessage() | EchoedMessage():
            sender = event.sender if isinstance(event, InboundMessage) else event.recipient
            told |= {"mime": event.mime_type, "name": sender.profile_name, "user": sender.username}
            told |= {key: value for key, value in (event.metadata or {}).items() if key != "raw"}
        case Receipt():
            told |= {"opaque": event.opaque_id, "pricing": event.pricing}
            told["errors"] = [vars_of(error) for error in event.errors]
        case AccountEvent():
            told |= {"account": event.account_id} | event.value
    return " ".join(_flat(told)) or "-"


def vars_of(error: Any) -> dict[str, Any]:
    return {name: getattr(error, name) for name in ("code", "title", "message", "details")}


def _flat(value: Any, name: str = "") -> list[str]:
    """{'a': {'b': 1}} -> ['a.b=1']; nothing for what is not told, long texts by their ends."""
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = ((str(place), part) for place, part in enumerate(value))
    elif value in (None, ""):
        return []
    else:
        shown = " ".join(str(value).split())
        return [f"{name}={shown if len(shown) < 40 else f'{shown[:16]}…{shown[-16:]}'}"]
    dot = f"{name}." if name else ""
    return [line for key, part in parts for line in _flat(part, f"{dot}{key}")]
