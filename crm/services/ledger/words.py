"""Why something of a delivery was not stored, in plain words, by the stable name of the reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReasonWords:
    """English msgids: what happened, and what somebody can do."""

    meaning: str
    cure: str


REASONS: dict[str, ReasonWords] = {
    "unknown_number": ReasonWords(
        "It is for a number that is not set up here.",
        "Add the number; then it is processed by itself.",
    ),
    "no_campaign": ReasonWords(
        "No active campaign takes the chats of this number.",
        "Give the number an active campaign; then it is processed by itself.",
    ),
    "no_recipient": ReasonWords(
        "It does not say which customer it is about.",
        "Nothing can be done with it here; set it aside.",
    ),
    "history_unplaced": ReasonWords(
        "A message of the past does not say with whom or when it was.",
        "The others are here. Nothing can be done about this one; set it aside.",
    ),
    "unknown_preference": ReasonWords(
        "A customer chose something about advertising that is new to Charla.",
        "Read it, write it on the customer's card if it matters, and set it aside.",
    ),
    "refused": ReasonWords(
        "The database refused to store it.",
        "Process it again. If it fails again, tell who looks after Charla; nothing is lost.",
    ),
}
UNREADABLE = ReasonWords(
    "A part of it does not look as the provider describes it.",
    "A newer version may read it; process it again after an update.",
)
OTHER = ReasonWords(
    "Something in it could not be processed.",
    "Process it again. If it fails again, tell who looks after Charla; nothing is lost.",
)


def words_of(reason: str) -> ReasonWords:
    if reason.endswith("_unreadable"):
        return UNREADABLE
    return REASONS.get(reason, OTHER)
