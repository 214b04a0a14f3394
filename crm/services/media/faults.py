"""Why the file of a message is not here: what we do about it, and what a person reads.

One table. `retries`: tried again by itself, later and later, until the provider's own seven days
are over; the others wait for a person's *Fetch again*.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """`words` is an English msgid."""

    words: str
    retries: bool = True


FAULTS = {
    "gone": Fault("WhatsApp keeps files for seven days; this one is no longer there.", False),
    "too_big": Fault("The file is bigger than WhatsApp allows.", False),
    "no_id": Fault("WhatsApp did not say where the file is.", False),
    "wrong_type": Fault("The file is not what it says it is, so it was not kept.", False),
    "foreign_host": Fault("The file does not lie at WhatsApp, so it was not fetched.", False),
    "changed": Fault("The file arrived damaged; it is tried again by itself."),
    "away": Fault("WhatsApp does not answer; it is tried again by itself."),
    "token": Fault("WhatsApp refuses this number's access; tell an administrator."),
    "no_room": Fault("There is no room left for files; tell an administrator."),
    "store": Fault("Files cannot be kept right now; it is tried again by itself."),
    "crash": Fault("Something went wrong here; it is tried again by itself."),
}
UNKNOWN = Fault("The file could not be fetched.")


def fault_of(code: str | None) -> Fault:
    return FAULTS.get(code or "", UNKNOWN)
