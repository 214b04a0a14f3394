"""Why a file is not worked on. `word` is the reason that `workshop.Unreadable` carries."""

from __future__ import annotations


class Refused(Exception):
    word = "broken"


class TooLarge(Refused):
    """More pixels or sound than we are ready to unpack."""

    word = "pixels"


class OtherCodec(Refused):
    """Streams that a WhatsApp film may not have."""

    word = "codec"


class NoPicture(Refused):
    """A film's container with only sound in it: a phone's recorder writes such."""

    word = "sound"


class Still(Refused):
    """One picture that does not move."""

    word = "still"
