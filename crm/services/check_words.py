"""What the checks of a connection say: one line when it is right, one when not, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CheckWords:
    """English msgids. `%(name)s` stands for a value of the check."""

    title: str
    good: str
    bad: str
    cure: str


CHECKS: dict[str, CheckWords] = {
    "token": CheckWords(
        "The access token",
        "Meta accepts it, and it does not expire.",
        "Meta does not accept it.",
        "In the Business Manager open Users, System users; make a token there that does not "
        "expire, and put it in again.",
    ),
    "scopes": CheckWords(
        "What the token may do",
        "It may send messages and manage the account.",
        "It lacks permissions: %(missing)s.",
        "Make the token again and tick these permissions; the system user needs the account "
        "among its assets.",
    ),
    "number": CheckWords(
        "The phone number ID",
        "It is %(phone)s, %(name)s.",
        "Meta does not know it, or does not show it to this token.",
        "Copy the phone number ID from WhatsApp, API setup in the app's dashboard; it is not the "
        "phone number.",
    ),
    "account": CheckWords(
        "The business account",
        "The number belongs to it.",
        "The number does not belong to it, or the token does not reach it.",
        "Copy the WhatsApp Business account ID from WhatsApp, API setup in the app's dashboard.",
    ),
    "secret": CheckWords(
        "The app secret",
        "It is this app's, so that we know Meta's deliveries from forged ones.",
        "It is not the secret of the app that made the token; Meta's deliveries would be refused.",
        "Copy it from App settings, Basic in the app's dashboard.",
    ),
    "subscription": CheckWords(
        "Deliveries of the account",
        "The app gets what customers write.",
        "The app does not get what customers write.",
        "Press Subscribe. It takes effect at once.",
    ),
    "templates": CheckWords(
        "Templates",
        "They can be read.",
        "They cannot be read.",
        "Give the token the permission whatsapp_business_management.",
    ),
    "address": CheckWords(
        "The address of this installation",
        "It is reached by HTTPS.",
        "Meta delivers only to HTTPS addresses, and this is none.",
        "Put a proxy with a certificate before Charla and set CRM_HTTPS=true; on your own "
        "computer this is as it should be.",
    ),
    "arrival": CheckWords(
        "Something has arrived",
        "The webhook works.",
        "Nothing has arrived yet.",
        "Write to the number from a phone, wait a moment and test again.",
    ),
}
# Lines for what is known more exactly. name, a value that the check has -> its words.
CLOSER: dict[tuple[str, str], str] = {
    ("number", "differs"): "It is %(phone)s, but here %(written)s is written.",
    ("account", "elsewhere"): "The number belongs to another account.",
    ("secret", "missing"): "None is set: not here, and not as META_APP_SECRET.",
    ("token", "days"): "Meta accepts it, but it expires in %(days)s days.",
    ("subscription", "other_app"): "Another app gets it, not the one that made the token.",
}


# Instead of the line and the cure of any check that Meta did not answer.
AWAY = CheckWords(
    "",
    "",
    "Meta could not be asked.",
    "Wait a moment and test again. If it stays so, see that this server reaches Meta's.",
)


class _Values(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "–"


def say(check: Mapping[str, Any], *, translate: Callable[[str], str]) -> dict[str, str]:
    """{title, line, cure, told} of a stored check; `told` are Meta's own words, as they came."""
    words = CHECKS[check["name"]]
    values = _Values(check.get("values") or {})
    outcome = check["outcome"]
    line = words.good if outcome == "good" else words.bad
    for (name, value), closer in CLOSER.items():
        if name == check["name"] and values.get(value) not in (None, False):
            line = closer
    cure = words.cure
    if values.get("away") is True:
        line, cure = AWAY.bad, AWAY.cure
    said = translate(line) % values
    # What Meta calls a wrong parameter is what the line says already.
    if values.get("reason") and values.get("code") not in ("100", "33"):
        said = f"{said} {translate(str(values['reason']))}"
    return {
        "title": translate(words.title),
        "line": "" if outcome == "skipped" else said,
        "cure": translate(cure) if outcome in ("bad", "unsure") else "",
        "told": str(values.get("told") or ""),
    }
