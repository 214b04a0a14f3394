"""Every body of the collection maps to the events that the table beside this file names.

Left the file's name, right its events as `describing.py` writes them, parted by " | ". A file
without a row, and a row without a file, fail.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from crm.providers.meta import webhook as meta
from tests.providers.deliveries import collected_files
from tests.providers.describing import describe_all

TABLE = Path(__file__).with_name("collected.tsv")
PARSERS = {"cloud": meta.parse}


def rows() -> dict[str, str]:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines if line and not line.startswith("#"))


EXPECTED = rows()


@pytest.mark.parametrize("file", collected_files(), ids=lambda file: file.stem)
def test_it_reads_each_collected_body_as_the_table_says(file: Path) -> None:
    parse = PARSERS[file.stem.partition("-")[0]]
    assert describe_all(parse(file.read_bytes())) == EXPECTED[file.stem]


def test_the_table_names_no_body_that_is_not_there() -> None:
    files = {file.stem for file in collected_files()}
    if files:
        assert {name for name in EXPECTED if name.partition("-")[0] in PARSERS} == files
