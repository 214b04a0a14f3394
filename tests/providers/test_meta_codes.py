"""Meta's error codes: each that it documents has its effect and its words, in both languages."""

from __future__ import annotations

import gettext
import re
from pathlib import Path

import pytest

from crm.providers.meta import codes
from crm.providers.outbound import Effect
from crm.providers.wppconnect import codes as wppconnect

P, RETRY, RATE, PAIR, CHANNEL = (
    Effect.PERMANENT,
    Effect.RETRY,
    Effect.RATE,
    Effect.PAIR,
    Effect.CHANNEL,
)

# Meta's "Error codes" page of May 2026, the codes of its OpenAPI (v23.0) and those of the template
# manager. An operator can end what is CHANNEL; P is over for the message.
DOCUMENTED: dict[Effect, str] = {
    CHANNEL: """0 190 104 3 10 200 210 299 131005 33 803 131031 368 131037 131042 131044 131045
        133006 133010 133000 133005 133008 133009 133015 133016 131048 131064""",
    RETRY: "1 2 131016 133004 131000 134101",
    RATE: "4 17 613 80007 130429 131057 2494100",
    PAIR: "131056",
    P: """100 131008 131009 131021 131026 131030 130497 131047 131049 131050 130472 131051 131052
        131053 131055 131060 131062 131063 132000 132001 132005 132007 132008 132012 132015 132016
        132018 132068 132069 134100 134102 135000 137000 138006 138000 139000 131200 147000 2388019
        2388023 2388024 2388025 2388039 2388040 2388042 2388043 2388047 2388072 2388073 2388293
        2388299 2388001 2593002""",
}
CASES = [(int(code), effect) for effect, listed in DOCUMENTED.items() for code in listed.split()]


@pytest.fixture(scope="module")
def spanish() -> gettext.NullTranslations:
    folder = Path(codes.__file__).parents[2] / "translations"
    return gettext.translation("messages", folder, ["es"])


@pytest.mark.parametrize(("code", "effect"), CASES)
def test_a_documented_code_is_known_and_does_what_it_should(code, effect, spanish):
    meaning = codes.known_meaning(code)
    assert meaning is not None, "unknown codes fail the message without a word of why"
    assert meaning.effect is effect
    assert codes.reason_for(str(code)) == meaning.reason
    assert spanish.gettext(meaning.reason) != meaning.reason


def test_the_table_has_nothing_that_nobody_documents():
    assert set(codes.CODES) <= {code for code, _ in CASES}


def test_whoever_reads_a_reason_knows_what_to_do():
    """What is wrong, and behind a colon or a full stop what helps. A form of a template shows its
    own beside the field that is meant."""
    of_templates = {m.reason for code, m in codes.CODES.items() if code > 2_000_000}
    of_templates |= {m.reason for family, m in codes.FAMILIES if family.start > 2_000_000}
    nothing_to_do = {codes.OURS["cancelled"], codes.OURS["blocked"]}
    said = (codes.all_reasons() | wppconnect.all_reasons()) - of_templates - nothing_to_do
    assert not {reason for reason in said if not re.search(r"[.:;] \w", reason)}


def test_a_code_that_nobody_knows_fails_the_message_alone():
    assert codes.known_meaning(999_999) is None
    assert codes.meaning_of(999_999) is codes.UNKNOWN_CODE
    assert codes.meaning_of(999_999, http_status=503) is codes.UNKNOWN_PASSING
