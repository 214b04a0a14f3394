"""What each kind of alarm says: its title, what it means, what to do, how bad it is, and where.

English msgids, translated where they are shown; `%(name)s` stands for a fact. `%(number)s`, the
number's name, is always there; a fact named `reason` may be a msgid itself. A per cent sign is
written twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from crm.models import Alarm, AlarmKind
from crm.services.alarms.reasons import explain


class Severity(StrEnum):
    """Severe = messages do not go or come: it shows on every page, and e-mails are sent."""

    SEVERE = "severe"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True)
class Place:
    """The page where it is mended: an endpoint, and which fact gives each of its arguments."""

    endpoint: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AlarmWords:
    """`lasts`: a state, which ends when it is mended; a mere event is over once it is seen."""

    title: str
    meaning: str
    cure: str
    severity: Severity = Severity.WARNING
    place: Place | None = None
    lasts: bool = True


NUMBER = Place("numbers.edit", {"number_id": "number_id"})
TEMPLATES = Place("templates.index")

WORDS: dict[AlarmKind, AlarmWords] = {
    AlarmKind.NUMBER_REFUSED: AlarmWords(
        "The provider refuses %(number)s",
        "Nothing can be sent from this number; answers wait. The provider said: %(reason)s",
        "Open the number, read its last error and test the connection.",
        Severity.SEVERE,
        NUMBER,
    ),
    AlarmKind.TOKEN_EXPIRED: AlarmWords(
        "The access token of %(number)s is not valid any more",
        "Meta takes no messages from this number until it gets a new token; answers wait.",
        "Make a permanent token of a system user in Meta's Business Manager and put it in.",
        Severity.SEVERE,
        NUMBER,
    ),
    AlarmKind.ACCOUNT_RESTRICTED: AlarmWords(
        "Meta has restricted the account of %(number)s",
        "Messages do not go out, or not all of them. Meta said: %(reason)s",
        "Look at the account's quality in Meta's Business Manager and ask for a review there.",
        Severity.SEVERE,
        NUMBER,
    ),
    AlarmKind.NUMBER_UNPAID: AlarmWords(
        "Meta does not send for %(number)s: a payment is missing",
        "Nothing can be sent from this number; answers wait. Meta said: %(reason)s",
        "Mend the payment method of the account in Meta's Business Manager, then press Resume.",
        Severity.SEVERE,
        NUMBER,
    ),
    AlarmKind.WEBHOOK_FAILED: AlarmWords(
        "Something that arrived could not be stored",
        "Deliveries that failed: %(count)s. They are kept; words of customers may be missing.",
        "Open the ledger, read what failed and process it again.",
        Severity.SEVERE,
        Place("ledger.index", fixed={"status": "trouble"}),
    ),
    AlarmKind.WEBHOOK_UNKNOWN: AlarmWords(
        "Something arrived of a kind that nobody here knows",
        "Deliveries with news that this version does not understand: %(count)s. They are kept.",
        "Look at them in the ledger; a newer version may know them.",
        Severity.NOTICE,
        Place("ledger.index", fixed={"kind": "unknown"}),
        lasts=False,
    ),
    AlarmKind.NUMBER_WAITING: AlarmWords(
        "Messages wait: %(number)s has no active campaign",
        "Deliveries that are kept and that nobody sees: %(count)s.",
        "Give the number an active campaign; what waits is then processed by itself.",
        Severity.SEVERE,
        NUMBER,
    ),
    AlarmKind.NUMBER_UNKNOWN: AlarmWords(
        "Messages wait: they are for a number that is not set up here",
        "Deliveries that are kept and that nobody sees: %(count)s. Meta's id of it: %(id)s",
        "Add the number with that phone number id; what waits is then processed by itself.",
        Severity.SEVERE,
        Place("numbers.new"),
    ),
    AlarmKind.NUMBER_SILENT: AlarmWords(
        "Nothing has arrived at %(number)s for %(hours)s business hours",
        "That may be a quiet day, or the webhook may be broken.",
        "Write to the number from a phone, and test the connection.",
        Severity.WARNING,
        NUMBER,
    ),
    AlarmKind.TEMPLATE_REJECTED: AlarmWords(
        "Meta has rejected the template %(template)s",
        "It cannot be sent. Meta said: %(reason)s",
        "Correct the template and send it for approval again.",
        Severity.WARNING,
        TEMPLATES,
        lasts=False,
    ),
    AlarmKind.TEMPLATE_PAUSED: AlarmWords(
        "Meta has paused the template %(template)s",
        "It cannot be sent for now: too many people blocked or reported it.",
        "Use another template, and send this one only to people who expect it.",
        Severity.WARNING,
        TEMPLATES,
    ),
    AlarmKind.TEMPLATE_DISABLED: AlarmWords(
        "Meta has disabled the template %(template)s",
        "It cannot be sent any more: too many people blocked or reported it.",
        "Make a new template, and send it only to people who expect it.",
        Severity.WARNING,
        TEMPLATES,
    ),
    AlarmKind.TEMPLATE_FLAGGED: AlarmWords(
        "The quality of the template %(template)s is low",
        "It can still be sent; if it does not get better, Meta disables it.",
        "Send it less, and only to people who expect it.",
        Severity.WARNING,
        TEMPLATES,
    ),
    AlarmKind.NUMBER_QUALITY_LOW: AlarmWords(
        "The quality of %(number)s is low",
        "People block or report its messages; Meta may lower its limit or stop it.",
        "Send fewer templates, and only to people who expect them.",
        Severity.WARNING,
        NUMBER,
    ),
    AlarmKind.NUMBER_LIMIT_CHANGED: AlarmWords(
        "Meta has changed the sending limit of %(number)s",
        "So many people a day may be written to first: %(limit)s.",
        "Adjust the daily limit of the number if you set one.",
        Severity.NOTICE,
        NUMBER,
        lasts=False,
    ),
    AlarmKind.NUMBER_NAME_REJECTED: AlarmWords(
        "Meta has rejected the name %(name)s of %(number)s",
        "Customers go on seeing the name of before. Meta said: %(reason)s",
        "Ask for another name in Meta's Business Manager.",
        Severity.WARNING,
        NUMBER,
    ),
    AlarmKind.NUMBER_SECURITY: AlarmWords(
        "Something about the security of %(number)s has changed",
        "Meta said: %(event)s. If it was none of you, somebody else has access.",
        "Ask who did it; if nobody did, change the PIN in Meta's Business Manager at once.",
        Severity.WARNING,
        NUMBER,
        lasts=False,
    ),
    AlarmKind.NUMBER_ERRORS: AlarmWords(
        "Meta reports an error of %(number)s (%(code)s)",
        "It belongs to no message. Meta said: %(reason)s",
        "Look at the number in Meta's Business Manager if it goes on.",
        Severity.WARNING,
        NUMBER,
        lasts=False,
    ),
    AlarmKind.ACCOUNT_ALERT: AlarmWords(
        "Meta warns about the account of %(number)s: %(alert)s",
        "Meta said: %(reason)s",
        "Look at it in Meta's Business Manager.",
        Severity.WARNING,
        NUMBER,
        lasts=False,
    ),
    AlarmKind.SESSION_LOST: AlarmWords(
        "%(number)s is not connected",
        "The phone's session is lost: nothing arrives and nothing is sent.",
        "Open the number: it says whether the server is away or the phone has to scan the code.",
        Severity.SEVERE,
        NUMBER,
    ),
    AlarmKind.SESSION_STUCK: AlarmWords(
        "The session of %(number)s does not start",
        "The server of the session has been starting it for too long.",
        "Open the number, close its session and start it again.",
        Severity.SEVERE,
        NUMBER,
    ),
    AlarmKind.STORE_FULL: AlarmWords(
        "The store of files is full",
        "Files of customers cannot be kept. What said so: %(reason)s",
        "Make room on the disk or in the bucket; what is missing is fetched again.",
        Severity.SEVERE,
    ),
    AlarmKind.DELIVERY_STUCK: AlarmWords(
        "Messages do not leave",
        "The oldest one has waited for %(minutes)s minutes.",
        "See that the worker and the clock are running.",
        Severity.SEVERE,
    ),
    AlarmKind.DAILY_LIMIT_NEAR: AlarmWords(
        "%(number)s is near its daily limit",
        "%(sent)s of %(limit)s are used; mass sending has stopped. Agents' answers go on.",
        "Raise the limit, or wait for tomorrow.",
        Severity.NOTICE,
        NUMBER,
    ),
    AlarmKind.DAILY_LIMIT_REACHED: AlarmWords(
        "%(number)s has reached its daily limit",
        "%(sent)s of %(limit)s are used. Agents' answers go on, other messages do not.",
        "Raise the limit, or wait for tomorrow.",
        Severity.WARNING,
        NUMBER,
    ),
    AlarmKind.QUEUE_OVERDUE: AlarmWords(
        "Customers of %(campaign)s wait too long",
        "A chat has waited longer than its queue allows: %(case)s, in %(queue)s.",
        "Look at who is available, or take chats from the queue by hand.",
        Severity.WARNING,
        Place("inbox.chat", {"chat_id": "chat_id"}),
        lasts=False,
    ),
    AlarmKind.AGENT_UNANSWERING: AlarmWords(
        "%(agent)s does not answer",
        "Two chats in a row were taken back unanswered; they are paused until they come back.",
        "Ask whether they are at their desk.",
        Severity.WARNING,
        Place("inbox.page"),
        lasts=False,
    ),
}
# The same in two or three words, where a number's state stands: what concerns the number itself.
BRIEF: dict[str, str] = {
    AlarmKind.NUMBER_REFUSED: "The provider refuses",
    AlarmKind.TOKEN_EXPIRED: "Token not valid",
    AlarmKind.ACCOUNT_RESTRICTED: "Account restricted",
    AlarmKind.NUMBER_UNPAID: "Payment missing",
    AlarmKind.NUMBER_WAITING: "Messages wait",
    AlarmKind.NUMBER_SILENT: "Unusually quiet",
    AlarmKind.NUMBER_QUALITY_LOW: "Low quality",
    AlarmKind.NUMBER_LIMIT_CHANGED: "Limit changed",
    AlarmKind.NUMBER_NAME_REJECTED: "Name rejected",
    AlarmKind.NUMBER_SECURITY: "Security changed",
    AlarmKind.NUMBER_ERRORS: "Error at Meta",
    AlarmKind.ACCOUNT_ALERT: "Warning of Meta",
    AlarmKind.SESSION_LOST: "Not connected",
    AlarmKind.SESSION_STUCK: "Does not start",
    AlarmKind.DAILY_LIMIT_NEAR: "Daily limit near",
    AlarmKind.DAILY_LIMIT_REACHED: "Daily limit reached",
}
# For a kind of a newer release.
UNKNOWN = AlarmWords(
    "Something needs your attention",
    "This version does not know what it means.",
    "Update Charla, or ask who looks after it.",
)


@dataclass(frozen=True)
class Spoken:
    """The words of one alarm in somebody's language."""

    title: str
    meaning: str
    cure: str


class _Facts(dict[str, Any]):
    """Facts for the words; one that is missing is a dash, not a broken page."""

    def __missing__(self, key: str) -> str:
        return "–"


def words_of(kind: str) -> AlarmWords:
    return WORDS.get(kind, UNKNOWN)  # type: ignore[call-overload]


def speak(
    kind: str,
    facts: Mapping[str, Any],
    *,
    translate: Callable[[str], str],
    number: str | None = None,
) -> Spoken:
    """The words of a kind with these facts, through `translate` (gettext of the reader)."""
    words = words_of(kind)
    values = _Facts({name: value for name, value in facts.items() if value not in (None, "")})
    values["number"] = number or values["number"]
    if "reason" in values:
        values["reason"] = explain(str(values["reason"]), translate=translate)
    texts = (words.title, words.meaning, words.cure)
    return Spoken(*(translate(text) % values for text in texts))


def speak_of(alarm: Alarm, *, translate: Callable[[str], str]) -> Spoken:
    """The same for a row; its number's name is in the words."""
    row = alarm.number
    number = (row.display_name or row.phone_number) if row is not None else None
    return speak(alarm.kind, alarm.facts, translate=translate, number=number)
