"""Meta's error codes and what they mean for us: one table for answers and failed statuses.

Source: Meta's "Error codes" page of May 2026. Meta advises to build on `code`; titles, HTTP
statuses and texts change. The reasons are English msgids in plain words that say what to do: the
agent reads them under a red tick, translated where they are shown.
"""

import logging
from dataclasses import dataclass

from crm.providers.outbound import Effect

log = logging.getLogger(__name__)

MINUTE = 60.0
HOUR = 3600.0


@dataclass(frozen=True)
class Meaning:
    """`wait_seconds`: the least wait before another try, where the back-off is too short."""

    effect: Effect
    reason: str
    wait_seconds: float | None = None


_P, _RETRY, _RATE, _PAIR, _CHANNEL = (
    Effect.PERMANENT,
    Effect.RETRY,
    Effect.RATE,
    Effect.PAIR,
    Effect.CHANNEL,
)

_TOKEN = Meaning(
    _CHANNEL, "The WhatsApp connection needs a new access token: enter one on the number's page."
)
_PERMISSION = Meaning(
    _CHANNEL,
    "The access token lacks a permission for this number: make another in Meta's Business Manager.",
)
_AWAY = Meaning(_RETRY, "WhatsApp is temporarily unavailable. Try again in a few minutes.")
_TOO_MANY_CALLS = Meaning(
    _RATE, "This account asks more of WhatsApp than it may at once. Try again later.", MINUTE
)
_ACCOUNT = Meaning(
    _CHANNEL, "Meta has restricted this account: ask for a review in Meta's Business Manager."
)
_BILLING = Meaning(
    _CHANNEL,
    "There is a billing problem at Meta: check the payment method in Meta's Business Manager.",
)
_REGISTER = Meaning(
    _CHANNEL, "This number is not registered at WhatsApp: register it in Meta's Business Manager."
)
_MAINTENANCE = Meaning(
    _RATE, "This number is in maintenance at WhatsApp. Try again in a few minutes.", MINUTE
)
_INVALID = Meaning(
    _P, "WhatsApp did not accept the format of this message: send it in another way."
)
_TEMPLATE_VALUES = Meaning(_P, "The values do not fit this template: check them and send it again.")
_NOT_ALLOWED = Meaning(_P, "WhatsApp does not allow this kind of message here: send another kind.")
_REGISTER_LATER = Meaning(
    _CHANNEL,
    "Meta asks to wait before this number is registered again: try it there after some hours.",
)
_TEMPLATE_FORM = Meaning(_P, "The parts are not as Meta wants them.")
_CALLING = Meaning(_P, "WhatsApp does not allow this call: write instead.")
_GROUPS = Meaning(_P, "WhatsApp does not allow this in the group: write to the person.")
_FORMS = Meaning(_P, "WhatsApp did not accept this form: send the message without it.")
_NAMES = Meaning(_P, "WhatsApp did not accept this user name: choose another.")

CODES: dict[int, Meaning] = {
    0: _TOKEN,
    104: _TOKEN,
    190: _TOKEN,
    3: _PERMISSION,
    10: _PERMISSION,
    131005: _PERMISSION,
    33: Meaning(
        _CHANNEL, "Meta does not know this phone number id: correct it on the number's page."
    ),
    803: Meaning(
        _CHANNEL, "Meta does not know this phone number id: correct it on the number's page."
    ),
    131031: _ACCOUNT,
    368: _ACCOUNT,
    131037: Meaning(
        _CHANNEL,
        "Meta has not approved this number's display name: "
        "ask for another in Meta's Business Manager.",
    ),
    131042: _BILLING,
    131044: _BILLING,
    131045: _REGISTER,
    133006: _REGISTER,
    133010: _REGISTER,
    133000: Meaning(
        _CHANNEL,
        "This number's last registration at Meta is not finished: "
        "finish it in Meta's Business Manager.",
    ),
    133005: Meaning(
        _CHANNEL,
        "The PIN of this number's two-step verification is wrong: "
        "set another in Meta's Business Manager.",
    ),
    133008: _REGISTER_LATER,
    133009: _REGISTER_LATER,
    133015: _REGISTER_LATER,
    133016: _REGISTER_LATER,
    131048: Meaning(
        _CHANNEL,
        "WhatsApp restricted this number because of reports from users: "
        "write only to who has asked for it.",
    ),
    131064: Meaning(
        _CHANNEL,
        "WhatsApp restricted this number because of its templates: check their categories.",
    ),
    1: Meaning(_RETRY, "WhatsApp could not process this message. Try again in a few minutes."),
    2: _AWAY,
    131016: _AWAY,
    133004: _AWAY,
    131000: Meaning(_RETRY, "WhatsApp reported an unknown error. Try again in a few minutes."),
    134101: Meaning(
        _RETRY, "WhatsApp is still preparing this template. Try again in ten minutes.", 10 * MINUTE
    ),
    4: _TOO_MANY_CALLS,
    613: _TOO_MANY_CALLS,
    17: _TOO_MANY_CALLS,
    80007: _TOO_MANY_CALLS,
    130429: Meaning(
        _RATE, "This number sends faster than WhatsApp allows. Try again in a few minutes."
    ),
    131057: _MAINTENANCE,
    2494100: _MAINTENANCE,
    131056: Meaning(
        _PAIR, "Too many messages to this contact in a short time. Try again in a few minutes."
    ),
    100: _INVALID,
    131008: _INVALID,
    131009: _INVALID,
    135000: _INVALID,
    131051: _INVALID,
    131021: Meaning(_P, "A number cannot write to itself: write to another contact."),
    131026: Meaning(
        _P,
        "This contact cannot receive messages: the number has no WhatsApp, or one that is too old. "
        "Reach them another way.",
    ),
    131030: Meaning(_P, "This is a test number: add the recipient at Meta first."),
    # Meta counts it among the account's errors, but it hangs on the recipient's country: holding
    # the whole number for it would stop everybody else's messages.
    130497: Meaning(
        _P, "Meta does not let this account write to this country: reach them another way."
    ),
    131047: Meaning(_P, "More than 24 hours since the customer's last message: send a template."),
    131049: Meaning(
        _P,
        "Meta held this marketing message back: this contact has had many. "
        "Wait a day at least before you try again.",
    ),
    131050: Meaning(
        _P, "This contact does not want marketing messages: send none until they ask for them."
    ),
    130472: Meaning(
        _P,
        "Meta did not deliver this message: it leaves some people without advertising for a test. "
        "Wait until they write.",
    ),
    131052: Meaning(_P, "The customer's file could not be downloaded. Ask for it again."),
    131053: Meaning(_P, "WhatsApp could not use this file: send it smaller or in another format."),
    131060: Meaning(_P, "WhatsApp could not show this message. Ask for it again."),
    131055: _NOT_ALLOWED,
    131062: _NOT_ALLOWED,
    131063: _NOT_ALLOWED,
    134100: _NOT_ALLOWED,
    134102: _NOT_ALLOWED,
    132000: _TEMPLATE_VALUES,
    132005: _TEMPLATE_VALUES,
    132008: _TEMPLATE_VALUES,
    132012: _TEMPLATE_VALUES,
    132018: _TEMPLATE_VALUES,
    132001: Meaning(
        _P, "This template does not exist in this language or is not approved: choose another."
    ),
    132007: Meaning(_P, "This template breaks a WhatsApp policy: choose another."),
    132015: Meaning(_P, "This template is paused because of its quality: choose another."),
    132016: Meaning(_P, "This template is disabled because of its quality: choose another."),
    132068: Meaning(_P, "This form is blocked at WhatsApp: send the message without it."),
    132069: Meaning(_P, "This form was sent too often. Try again in an hour."),
    137000: Meaning(
        _P, "The contact's identity has changed: make sure who it is, then write it anew."
    ),
    138006: Meaning(_P, "This contact has not allowed calls: ask for it in the chat first."),
    # Of templates that are created or changed; Meta tells them as subcodes of 100.
    2388019: Meaning(_P, "This account has as many templates as Meta allows."),
    2388023: Meaning(_P, "This name is being deleted at Meta and is free again in four weeks."),
    2388024: Meaning(_P, "Meta has this name in this language already."),
    2388025: Meaning(_P, "Meta does not let this template be changed now."),
    2388039: Meaning(_P, "Meta does not know this language."),
    2388040: Meaning(_P, "A part of it is longer than Meta allows."),
    2388042: Meaning(_P, "Meta does not know this category."),
    2388043: Meaning(_P, "Each variable needs an example."),
    2388047: Meaning(_P, "The name has only small letters, digits and _."),
    2388072: Meaning(_P, "The header is not as Meta wants it."),
    2388073: _TEMPLATE_FORM,
    2388293: Meaning(_P, "There are too many variables for so little text."),
    2388299: Meaning(_P, "A variable may not stand at the beginning or the end."),
    2593002: Meaning(_P, "Meta does not have this template any more."),
}

FAMILIES: tuple[tuple[range, Meaning], ...] = (
    (range(200, 300), _PERMISSION),
    (range(131200, 131300), _GROUPS),
    (range(133000, 134000), _REGISTER),
    (range(138000, 139000), _CALLING),
    (range(139000, 140000), _FORMS),
    (range(147000, 148000), _NAMES),
    (range(2388000, 2389000), Meaning(_P, "Meta does not accept this template.")),
)
"""What a code means that is not in the table, by the thousand that Meta took it from."""

UNKNOWN_CODE = Meaning(
    _P, "WhatsApp refused this message. Try again; if it stays so, tell an administrator."
)
UNKNOWN_PASSING = Meaning(
    _RETRY, "WhatsApp could not take this message right now. Try again in a few minutes."
)

OURS: dict[str, str] = {
    "not_sent": "WhatsApp could not be reached. Try again in a few minutes.",
    "no_answer": "WhatsApp did not answer. Nobody knows whether the message was sent.",
    "bad_answer": "WhatsApp's answer made no sense. Nobody knows whether the message was sent.",
    "unresolved": "WhatsApp has not told whether this message was sent. Ask the customer.",
    "crashed": "This message could not be prepared for sending: write it anew.",
    "no_token": "This number has no access token: enter one on the number's page.",
    "token_unreadable": "The number's access token cannot be read: enter it again.",
    "window_closed": CODES[131047].reason,
    "cancelled": "Cancelled before it was sent.",
    "recipient_missing": (
        "This contact has no number or user id to write to: add the number to the client."
    ),
    "opted_out": (
        "This contact has not agreed to advertising: send a service template, or ask first."
    ),
    "blocked": "This contact is blocked.",
    "daily_limit": (
        "The number has reached its daily limit: try again tomorrow, or have the limit raised."
    ),
}
"""Codes of our own, in messages.error_code beside Meta's."""


def meaning_of(
    code: int, *, subcode: int | None = None, http_status: int = 400, transient: bool = False
) -> Meaning:
    """What Meta's `code` does. An unknown one is permanent, unless Meta says that it passes.

    `transient` is Meta's `is_transient`. It never turns a limit or a stopped number into an
    ordinary retry, because those must not eat up the tries of a message.
    """
    if code == 100 and subcode == 33:
        # "Object with ID ... does not exist": the number's id is wrong, not the message. The only
        # place where a subcode counts; without it a typing error would fail every message.
        return CODES[33]
    meaning = known_meaning(code)
    if meaning is None:
        log.warning("unknown Meta error code %s", code)
        return UNKNOWN_PASSING if transient or http_status >= 500 else UNKNOWN_CODE
    if transient and meaning.effect is Effect.PERMANENT:
        return Meaning(_RETRY, meaning.reason)
    return meaning


def known_meaning(code: int) -> Meaning | None:
    """From the table, or by the family of codes that it belongs to."""
    if code in CODES:
        return CODES[code]
    return next((meaning for codes, meaning in FAMILIES if code in codes), None)


def reason_for(code: str | None) -> str:
    """The msgid for a stored `messages.error_code` (Meta's number as text, or one of ours)."""
    if code is None:
        return UNKNOWN_CODE.reason
    if code in OURS:
        return OURS[code]
    if code.isdigit():
        return meaning_of(int(code)).reason
    return UNKNOWN_CODE.reason


def all_reasons() -> set[str]:
    """Every msgid of this table: the catalogs must know them."""
    table = {meaning.reason for meaning in CODES.values()}
    table |= {meaning.reason for _, meaning in FAMILIES}
    return table | set(OURS.values()) | {UNKNOWN_CODE.reason, UNKNOWN_PASSING.reason}
