"""Speaks to Meta's Graph API. Dataclass in, dataclass out; it knows neither our tables nor Flask.

Source: Meta's Cloud API reference, v23.0, `POST /{phone-number-id}/messages`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crm.lib.timed_http import Answer, HttpFailure, TimedHttp
from crm.providers.meta import codes
from crm.providers.meta.payloads import Json, message_payload, read_payload
from crm.providers.outbound import Effect, OutboundMessage, ProviderError, SendResult

MAX_ID_LENGTH = 255  # messages.whatsapp_message_id


@dataclass(frozen=True)
class MetaChannel:
    """One number at Meta: where it lives and what opens it."""

    phone_number_id: str
    access_token: str = field(repr=False)
    graph_url: str  # "https://graph.facebook.com/v23.0", without a slash at the end


class MetaClient:
    """Sends through Meta. One client serves many threads and numbers."""

    def __init__(self, http: TimedHttp | None = None) -> None:
        self._http = http or TimedHttp()

    def send(self, channel: MetaChannel, message: OutboundMessage) -> SendResult:
        """Send one message: a result means "accepted by Meta".

        Raises ProviderError with the effect that fits: refused answers by the table in codes.py,
        RETRY where the body never left us, UNKNOWN where nobody can know.
        """
        return _read_answer(self._post(channel, message_payload(message)))

    def mark_read(self, channel: MetaChannel, message_id: str, *, typing: bool = False) -> None:
        """Tell the customer that this message and those before it were read.

        `typing` also shows "typing..." to them, for 25 s or until our next message. Harmless when
        repeated. Raises ProviderError as `send` does.
        """
        answer = self._post(channel, read_payload(message_id, typing=typing))
        body = parse_body(answer.body) or {}
        if answer.status != 200 or isinstance(body.get("error"), dict):
            raise read_refusal(answer)

    def _post(self, channel: MetaChannel, payload: Json) -> Answer:
        try:
            return self._http.post(
                f"{channel.graph_url}/{channel.phone_number_id}/messages",
                # Escaped JSON, so that even a lone surrogate cannot break the encoding.
                json.dumps(payload).encode("ascii"),
                headers={
                    "Authorization": f"Bearer {channel.access_token}",
                    "Content-Type": "application/json",
                    "User-Agent": "charla",
                },
            )
        except HttpFailure as failure:
            raise no_answer(failure) from failure


def no_answer(failure: HttpFailure) -> ProviderError:
    """The error of a call that got no answer: again where the body never left us."""
    code = "no_answer" if failure.body_sent else "not_sent"
    return ProviderError(
        codes.OURS[code],
        effect=Effect.UNKNOWN if failure.body_sent else Effect.RETRY,
        code=code,
        detail=str(failure),
    )


def _read_answer(answer: Answer) -> SendResult:
    body = parse_body(answer.body) or {}
    result = None
    if answer.status == 200 and not isinstance(body.get("error"), dict):
        result = _accepted(body)
    if result is None:
        raise read_refusal(answer)
    return result


def parse_body(body: bytes | None) -> dict[str, Any] | None:
    """The JSON object of an answer; None for anything else."""
    try:
        parsed = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _accepted(body: dict[str, Any]) -> SendResult | None:
    """`{"contacts":[{"input","wa_id"}],"messages":[{"id":"wamid...","message_status"?}]}`."""
    message = _first(body.get("messages"))
    message_id = _text(message.get("id"))
    if not message_id:
        return None
    contact = _first(body.get("contacts"))
    return SendResult(
        whatsapp_message_id=message_id,
        wa_id=_text(contact.get("wa_id")),
        user_id=_text(contact.get("user_id")),
        state=_text(message.get("message_status")),
    )


def _first(items: Any) -> dict[str, Any]:
    if isinstance(items, list) and items and isinstance(items[0], dict):
        return items[0]
    return {}


def _text(value: Any) -> str | None:
    """A usable id or word: text, not empty, not too long for its column, free of NUL."""
    if not isinstance(value, str):
        return None
    value = value.strip()
    if not value or len(value) > MAX_ID_LENGTH or "\x00" in value:
        return None
    return value


def read_refusal(answer: Answer) -> ProviderError:
    """What an answer without a yes means: Meta's own error, or the bare status."""
    error = (parse_body(answer.body) or {}).get("error")
    return _refusal(error, answer) if isinstance(error, dict) else _bare_status(answer)


def _refusal(error: dict[str, Any], answer: Answer) -> ProviderError:
    """Meta's error: `{"code", "message", "error_subcode"?, "error_data"?, "is_transient"?}`."""
    code = _number(error.get("code"))
    if code is None:
        return _bare_status(answer)
    meaning = codes.meaning_of(
        code,
        subcode=_number(error.get("error_subcode")),
        http_status=answer.status,
        transient=error.get("is_transient") is True,
    )
    return ProviderError(
        meaning.reason,
        effect=meaning.effect,
        code=str(code),
        detail=_detail(error),
        wait_seconds=_longest(meaning.wait_seconds, _retry_after(answer.headers)),
    )


def _detail(error: Mapping[str, Any]) -> str:
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else data
    parts = [part for part in (error.get("message"), details) if isinstance(part, str)]
    return " - ".join(parts).replace("\x00", "")[:1000]


def _bare_status(answer: Answer) -> ProviderError:
    """An answer without Meta's error in it: something between us and Meta may have spoken.

    A plain 4xx says that the request was not taken, so that trying again (or failing) is safe. Any
    other one (5xx, a redirect, a 200 that makes no sense, 408) leaves it open.
    """
    code = f"http_{answer.status}"
    wait = _retry_after(answer.headers)
    if answer.status == 429:
        meaning = codes.CODES[130429]
    elif answer.status in (401, 403):
        meaning = codes.CODES[190 if answer.status == 401 else 10]
    elif 400 <= answer.status < 500 and answer.status != 408:
        meaning = codes.UNKNOWN_CODE
    elif answer.status == 200:
        code = "bad_answer"
        meaning = codes.Meaning(Effect.UNKNOWN, codes.OURS["bad_answer"])
    else:
        meaning = codes.Meaning(Effect.UNKNOWN, codes.OURS["no_answer"])
    return ProviderError(meaning.reason, effect=meaning.effect, code=code, wait_seconds=wait)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Meta sends none; a proxy before it may. Only the form in seconds, an hour at most."""
    value = headers.get("Retry-After", "")
    return min(float(value), codes.HOUR) if value.isascii() and value.isdigit() else None


def _longest(*seconds: float | None) -> float | None:
    known = [value for value in seconds if value is not None]
    return max(known, default=None)


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None
