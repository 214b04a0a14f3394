"""Passwords that guessers try first: a shipped list, and patterns that no list could hold.

`scripts/common_passwords.py` writes the list.
"""

import functools
import gzip
import re
from pathlib import Path

from crm.lib.text import fold

LIST = Path(__file__).with_name("common_passwords.txt.gz")
# What people put in the place of letters.
LOOKALIKES = str.maketrans("@0134$57", "aoieasst")
FEWEST_DIFFERENT = 5


@functools.cache
def common_passwords() -> frozenset[str]:
    with gzip.open(LIST, "rt", encoding="utf-8") as lines:
        return frozenset(lines.read().split("\n"))


def is_common(password: str) -> bool:
    """True for what stands on the list in any case, with lookalikes, or is a few characters."""
    folded = fold(password).strip()
    if len(set(folded)) < FEWEST_DIFFERENT:
        return True
    listed = common_passwords()
    tail = re.sub(r"[\W_]+$", "", folded)
    return bool({folded, tail, folded.translate(LOOKALIKES), letters_first(folded)} & listed)


def letters_first(folded: str) -> str:
    """Lookalikes undone in the word only: 'p4ssw0rd2024' keeps its year."""
    head = re.match(r"(.*?)(\d*\W*)$", folded)
    if head is None:
        return folded
    return head.group(1).translate(LOOKALIKES) + head.group(2)
