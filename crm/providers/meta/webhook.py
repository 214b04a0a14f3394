"""Reads what Meta posts to our webhook: the signature, the envelope, the events in it.

Pure: bytes in, events out. Shapes after developers.facebook.com/documentation/business-messaging/
whatsapp/webhooks. Meta delivers at least once, in any order, in batches, and adds fields and types
without notice: whatever is readable is read, the rest becomes `Other` or `Problem` and is kept.
"""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from crm.lib.text import clean
from crm.providers.base import AccountEvent, Event, Other, Problem
from crm.providers.meta.fields import read_field
from crm.providers.meta.parts import Reader, items, text, words

# Meta's bodies are about twelve levels deep; deeper ones only try out our stack.
MAX_DEPTH = 64


def verify_signature(raw: bytes, header: str | None, secrets: Iterable[str]) -> str | None:
    """The secret with which `X-Hub-Signature-256` signs these bytes, or None.

    Every secret is tried, so that the time tells nothing about which one fits.
    """
    scheme, _, given = (header or "").partition("=")
    if scheme != "sha256" or not given.isascii():
        return None
    found = None
    for secret in secrets:
        expected = hmac.digest(secret.encode(), raw, "sha256").hex()
        if hmac.compare_digest(expected, given):
            found = secret
    return found


def parse(raw: bytes) -> list[Event]:
    """All events of one POST, in its order. ValueError for what is no JSON of any provider.

    Refused: not UTF-8, not JSON, NaN and Infinity, deeper than MAX_DEPTH. Everything else answers
    with events, however odd the shape is.
    """
    body = read_json(raw)
    if not isinstance(body, dict) or body.get("object") != "whatsapp_business_account":
        name = str(body.get("object", ""))[:100] if isinstance(body, dict) else ""
        return [Other(field="", kind=name, phone_number_id=None, raw=body, known=False)]
    return list(_entries(body))


def read_json(raw: bytes) -> Any:
    """The body with every text cleaned. ValueError as `parse` says."""
    text = raw.decode("utf-8")
    try:
        body = _decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # Both can only come in as escapes: raw ones are no JSON and no UTF-8. Most bodies are small
    # and have none, and need no walk.
    few = text.count("{") + text.count("[") <= MAX_DEPTH
    if few and "\\u0000" not in text and "\\ud" not in text and "\\uD" not in text:
        return body
    return _clean(body, depth=0)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float | str:
    """1e999 is JSON, but no number that jsonb or Python would give back: it stays text."""
    value = float(text)
    return value if math.isfinite(value) else text


# `json.loads` makes a new decoder at each call that wants anything unusual.
_decode = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).decode


def _clean(value: Any, *, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): _clean(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, depth=depth + 1) for item in value]
    return value


def _entries(body: dict[str, Any]) -> Iterator[Event]:
    for entry in items(body.get("entry")):
        changes = entry.get("changes") if isinstance(entry, dict) else None
        if not isinstance(changes, list):
            yield Problem("entry_unreadable", "an entry without changes", None, entry)
            continue
        for change in changes:
            if isinstance(change, dict) and isinstance(change.get("value"), dict):
                yield from _change(str(change.get("field") or ""), change["value"], entry)
            else:
                yield Problem("change_unreadable", "a change without a value", None, change)


def _change(field: str, value: dict[str, Any], entry: dict[str, Any]) -> Iterator[Event]:
    metadata = value.get("metadata")
    number = text(metadata.get("phone_number_id")) if isinstance(metadata, dict) else None
    if field != "messages":
        yield from read_field(field, value, number, entry)
        return
    reader = Reader(value, number)
    found = False
    for key, read in (("messages", reader.message), ("statuses", reader.receipt)):
        for item in items(value.get(key)):
            found = True
            try:
                yield read(item)
            except Exception as error:
                # Whatever shape we did not foresee: this event is kept, its neighbours go on.
                yield Problem(f"{key}_unreadable", words(error), number, item)
    if not found:
        yield from _without_items(value, number)


def _without_items(value: dict[str, Any], number: str | None) -> Iterator[Event]:
    """Neither messages nor statuses: errors of the number itself, or something new."""
    if value.get("errors"):
        yield AccountEvent("errors", "", None, None, None, value, phone_number_id=number)
    else:
        yield Other("messages", "", number, value, known=False)
