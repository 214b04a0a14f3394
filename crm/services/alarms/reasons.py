"""What Meta's words for a restriction mean; those that are new stay as they came.

Source: Meta's webhook reference of account_update, restriction_info and ban_info.
"""

from __future__ import annotations

from collections.abc import Callable


class Reason(str):
    """A msgid."""

    __slots__ = ()


REASONS = {
    "ACCOUNT_DELETED": Reason("the account was deleted"),
    "ACCOUNT_OFFBOARDED": Reason("the number left the Cloud API"),
    "ACCOUNT_RESTRICTION": Reason("the account is restricted"),
    "ACCOUNT_REVIEW_REJECTED": Reason("its review of the account ended with a no"),
    "ACCOUNT_VIOLATION": Reason("the account broke a rule"),
    "DISABLE": Reason("the account is switched off"),
    "DISABLED_UPDATE": Reason("the account is switched off"),
    "PARTNER_APP_UNINSTALLED": Reason("the app was taken off the account"),
    "PARTNER_REMOVED": Reason("the app was taken off the account"),
    "RESTRICTED_ADD_PHONE_NUMBER_ACTION": Reason("no further numbers may be added"),
    "RESTRICTED_BIZ_INITIATED_MESSAGING": Reason("customers may not be written to first"),
    "RESTRICTED_CUSTOMER_INITIATED_MESSAGING": Reason("customers may not be answered"),
    "SCHEDULE_FOR_DISABLE": Reason("the account will be switched off"),
}


def explain(reason: str, *, translate: Callable[[str], str]) -> str:
    """'ACCOUNT_RESTRICTION, SPAM' -> 'the account is restricted, SPAM', through `translate`."""
    if not any(part in REASONS for part in reason.split(", ")):
        return translate(reason)
    return ", ".join(translate(REASONS.get(part, part)) for part in reason.split(", "))
