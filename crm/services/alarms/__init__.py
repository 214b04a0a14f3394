"""Alarms: what is wrong, since when, who has seen it, and where it is mended.

    raise_alarm(AlarmKind.TOKEN_EXPIRED, subject=str(number.id), number_id=number.id)
    end_alarm(AlarmKind.TOKEN_EXPIRED, subject=str(number.id))

Both belong inside a transaction, best at its end: the row stays locked until the commit. Both are
harmless however often they are called. The words of each kind stand in `words.py`.
"""

from crm.services.alarms.raising import (
    announce,
    end_alarm,
    end_alarms_of,
    find_unannounced,
    raise_alarm,
)
from crm.services.alarms.reading import (
    Bell,
    acknowledge,
    acknowledge_all,
    find_bell,
    list_open,
    list_open_of,
    list_past,
    load_alarm,
    load_for_email,
    visible_alarms,
)
from crm.services.alarms.words import (
    WORDS,
    AlarmWords,
    Place,
    Severity,
    Spoken,
    speak,
    speak_of,
    words_of,
)

__all__ = [
    "WORDS",
    "AlarmWords",
    "Bell",
    "Place",
    "Severity",
    "Spoken",
    "acknowledge",
    "acknowledge_all",
    "announce",
    "end_alarm",
    "end_alarms_of",
    "find_bell",
    "find_unannounced",
    "list_open",
    "list_open_of",
    "list_past",
    "load_alarm",
    "load_for_email",
    "raise_alarm",
    "speak",
    "speak_of",
    "visible_alarms",
    "words_of",
]
