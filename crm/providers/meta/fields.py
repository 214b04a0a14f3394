"""Everything that Meta posts beside messages and statuses: one reader for each field, in a table.

A reader takes the change's value and gives events. What it cannot read becomes a `Problem`, its
neighbours go on; a field without a reader is kept as `Other`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from crm.lib.clock import from_unix
from crm.providers.base import (
    AccountEvent,
    CallEvent,
    ContactChange,
    Event,
    GroupChange,
    HistoricMessage,
    HistoryChunk,
    Json,
    Other,
    PreferenceChange,
    Problem,
)
from crm.providers.meta.kinds import MAX_ID
from crm.providers.meta.parts import Reader, digits, items, read_time, text, words

MAX_NAME = 255

# Fields that we know and keep without acting on them.
KEPT_FIELDS = frozenset(
    {
        "account_settings_update",
        "business_status_update",
        "flows",
        "group_participants_update",
        "group_status_update",
        "partner_solutions",
        "payment_configuration_update",
        "tracking_events",
    }
)
# News of the account as a whole, of its templates and numbers: the value as it came is the event.
ACCOUNT_FIELDS = frozenset(
    {
        "account_alerts",
        "account_review_update",
        "account_update",
        "business_capability_update",
        "message_template_components_update",
        "message_template_quality_update",
        "message_template_status_update",
        "phone_number_name_update",
        "phone_number_quality_update",
        "security",
        "template_category_update",
    }
)


def read_field(field: str, value: Json, number: str | None, entry: Json) -> Iterator[Event]:
    """The events of one change of any field but `messages`."""
    if field in ACCOUNT_FIELDS:
        yield _account(field, value, entry)
    elif reader := READERS.get(field):
        yield from reader(value, number)
    else:
        kind = text(value.get("event")) or text(value.get("type")) or ""
        yield Other(field, kind, number, value, known=field in KEPT_FIELDS)


def _each(
    field: str, parts: Any, number: str | None, read: Callable[[Any], Event]
) -> Iterator[Event]:
    """`read` for each part; what it cannot read is a problem of that part alone."""
    for part in items(parts):
        try:
            yield read(part)
        except Exception as error:
            yield Problem(f"{field}_unreadable", words(error), number, part)


def _account(field: str, value: Json, entry: Json) -> AccountEvent:
    kind = text(value.get("event")) or text(value.get("decision")) or ""
    return AccountEvent(
        field=field,
        kind=kind,
        account_id=text(entry.get("id")),
        display_phone_number=_number_of(value),
        occurred_at=read_time(entry.get("time"))[1],
        value=value,
    )


def _number_of(value: Json) -> str | None:
    shown = text(value.get("display_phone_number")) or text(value.get("phone_number"))
    return re.sub(r"\D", "", shown or "") or None


def _echoes(value: Json, number: str | None) -> Iterator[Event]:
    reader = Reader(value, number)
    yield from _each("echoes", value.get("message_echoes"), number, reader.echo)


def _history(value: Json, number: str | None) -> Iterator[Event]:
    """Chunks of the past; later, under the same field, the media of what came as a placeholder."""
    reader = Reader(value, number)
    for chunk in items(value.get("history")):
        if not isinstance(chunk, dict):
            yield Problem("history_unreadable", "not an object", number, chunk)
        elif chunk.get("errors"):
            yield Other("history", "declined", number, chunk)
        else:
            yield from _chunk(chunk, reader)
    late = [*_historic(reader, items(value.get("messages")), None)]
    if read := tuple(message for message in late if isinstance(message, HistoricMessage)):
        yield HistoryChunk(reader.number, read)
    yield from (message for message in late if isinstance(message, Problem))


def _chunk(chunk: Json, reader: Reader) -> Iterator[Event]:
    found: list[HistoricMessage | Problem] = []
    for thread in items(chunk.get("threads")):
        if isinstance(thread, dict):
            found += _historic(reader, items(thread.get("messages")), text(thread.get("id")))
    told = chunk.get("metadata")
    told = told if isinstance(told, dict) else {}
    yield HistoryChunk(
        phone_number_id=reader.number,
        messages=tuple(message for message in found if isinstance(message, HistoricMessage)),
        phase=_whole(told.get("phase")),
        chunk_order=_whole(told.get("chunk_order")),
        progress=_whole(told.get("progress")),
    )
    yield from (message for message in found if isinstance(message, Problem))


def _historic(
    reader: Reader, messages: list[Any], thread: str | None
) -> Iterator[HistoricMessage | Problem]:
    """Messages of one thread, which is named after the customer; ours come from our number."""
    for message in messages:
        try:
            context = message.get("history_context")
            status = text(context.get("status")) if isinstance(context, dict) else None
            told = {"from": thread, **message}
            ours = reader.is_own(text(told.get("from")))
            if ours:
                to = text(message.get("to")) or thread
                person = reader.person(to, text(message.get("to_user_id")))
                yield HistoricMessage(reader.echo(message, person), (status or "").lower())
            else:
                yield HistoricMessage(reader.message(told), (status or "").lower())
        except Exception as error:
            yield Problem("history_unreadable", words(error), reader.number, message)


def _contacts(value: Json, number: str | None) -> Iterator[Event]:
    yield from _each(
        "contacts", value.get("state_sync"), number, lambda part: _contact(part, number)
    )


def _contact(part: Json, number: str | None) -> Event:
    contact = part.get("contact")
    if part.get("type") != "contact" or not isinstance(contact, dict):
        return Other("smb_app_state_sync", text(part.get("type")) or "", number, part)
    wa_id = digits(text(contact.get("phone_number")))
    if not wa_id:
        raise ValueError("a contact without a number")
    told = part.get("metadata")
    removed = part.get("action") == "remove"
    return ContactChange(
        phone_number_id=number or "",
        wa_id=wa_id,
        full_name=None if removed else _name(contact.get("full_name")),
        first_name=None if removed else _name(contact.get("first_name")),
        occurred_at=_moment(told.get("timestamp") if isinstance(told, dict) else None),
    )


def _preferences(value: Json, number: str | None) -> Iterator[Event]:
    reader = Reader(value, number)

    def read(part: Json) -> Event:
        person = reader.named(text(part.get("wa_id")), text(part.get("user_id")))
        choice = text(part.get("value"))
        if not choice:
            raise ValueError("a preference without its value")
        return PreferenceChange(
            phone_number_id=reader.number,
            person=person,
            category=(text(part.get("category")) or "")[:50],
            value=choice.lower()[:20],
            occurred_at=_moment(part.get("timestamp")),
            detail=(text(part.get("detail")) or "")[:500],
        )

    yield from _each("preferences", value.get("user_preferences"), number, read)


def _calls(value: Json, number: str | None) -> Iterator[Event]:
    reader = Reader(value, number)
    yield from _each("calls", value.get("calls"), number, lambda part: _call(part, reader))
    yield from _each(
        "calls", value.get("statuses"), number, lambda part: _call_status(part, reader)
    )
    if not items(value.get("calls")) and not items(value.get("statuses")):
        yield Other("calls", "errors" if value.get("errors") else "", number, value)


def _call(part: Json, reader: Reader) -> Event:
    """Direction is said, or follows from who is named; a transcript's event says neither."""
    direction = text(part.get("direction"))
    caller, called = text(part.get("from")), text(part.get("to"))
    if direction is not None:
        outbound: bool | None = direction == "BUSINESS_INITIATED"
    elif called is not None:
        outbound = reader.is_own(caller)
    else:
        outbound = None
    ours = outbound or reader.is_own(caller)
    event = (text(part.get("event")) or "").lower()
    return CallEvent(
        provider="meta",
        phone_number_id=reader.number,
        call_id=reader.id_of(part),
        event=event[:40],
        outbound=outbound,
        person=reader.named(called if ours else caller, text(part.get("from_user_id"))),
        # The end tells when it began: a call stands where it began, whichever step comes first.
        occurred_at=read_time(part.get("start_time") or part.get("timestamp"))[1],
        outcome=(text(part.get("status")) or "").lower()[:40] or None,
        duration=_whole(part.get("duration")),
        raw={key: item for key, item in part.items() if key != "session"},
    )


def _call_status(part: Json, reader: Reader) -> Event:
    """Statuses tell what became of a call that we made."""
    return CallEvent(
        provider="meta",
        phone_number_id=reader.number,
        call_id=reader.id_of(part),
        event=(text(part.get("status")) or "").lower()[:40],
        outbound=True,
        person=reader.named(text(part.get("recipient_id")), text(part.get("recipient_user_id"))),
        occurred_at=read_time(part.get("timestamp"))[1],
        raw=part,
    )


def _groups(value: Json, number: str | None) -> Iterator[Event]:
    def read(part: Json) -> Event:
        group_id = text(part.get("group_id"))
        if not group_id:
            raise ValueError("a group without its id")
        subject = part.get("subject") or part.get("group_subject")
        if isinstance(subject, dict):
            subject = subject.get("text") or subject.get("value")
        return GroupChange(
            phone_number_id=number or "",
            group_id=group_id[:MAX_ID],
            kind=(text(part.get("type")) or "")[:40],
            subject=_name(subject),
            occurred_at=_moment(part.get("timestamp")),
        )

    yield from _each("groups", value.get("groups"), number, read)


def _name(value: Any) -> str | None:
    return (text(value) or "")[:MAX_NAME] or None


def _whole(value: Any) -> int | None:
    """A whole number, also as text; None for anything else or beyond the database's integers."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        number = int(value)
    except ValueError:
        return None
    return number if abs(number) < 2**31 else None


def _moment(value: Any) -> Any:
    """Unix seconds, or milliseconds as some fields have them."""
    seconds, at = read_time(value)
    return from_unix(seconds // 1000) if seconds and seconds > 10**11 else at


READERS: dict[str, Callable[[Json, str | None], Iterator[Event]]] = {
    "smb_message_echoes": _echoes,
    "history": _history,
    "smb_app_state_sync": _contacts,
    "user_preferences": _preferences,
    "calls": _calls,
    "group_lifecycle_update": _groups,
    "group_settings_update": _groups,
}
