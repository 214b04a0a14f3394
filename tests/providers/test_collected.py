"""Every body of the collection maps to the events that the table beside this file names.

The file's name, its events as `describing.py` says them in short, and every value that was kept of
them; several are parted by " | ". A file without a row, and a row without a file, fail.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from crm.providers.meta import webhook as meta
from tests.providers.deliveries import collected_files
from tests.providers.describing import describe_all, detail_all

TABLE = Path(__file__).with_name("collected.tsv")
PARSERS = {"cloud": meta.parse}


def rows() -> dict[str, tuple[str, str]]:
    """(in short, in detail) by the file's name."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    cells = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return {name: (events, details) for name, events, details in cells}


EXPECTED = rows()


@pytest.mark.parametrize("file", collected_files(), ids=lambda file: file.stem)
def test_it_reads_each_collected_body_as_the_table_says(file: Path) -> None:
    parse = PARSERS[file.stem.partition("-")[0]]
    events = parse(file.read_bytes())
    assert (describe_all(events), detail_all(events)) == EXPECTED[file.stem]


def test_the_table_names_no_body_that_is_not_there() -> None:
    files = {file.stem for file in collected_files()}
    if files:
        assert {name for name in EXPECTED if name.partition("-")[0] in PARSERS} == files
