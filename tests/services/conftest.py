"""What several of these modules start from; a module may have its own under the same name."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from crm.db import atomic
from tests.cast import Cast, make_cast
from tests.services.chat_desk import Heard
from tests.services.desk import Desk


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    return Heard(monkeypatch)


@pytest.fixture
def cast(database: Flask) -> Cast:
    with atomic():
        return make_cast()


@pytest.fixture
def desk(database: Flask) -> Desk:
    return Desk()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty one, for the workshop."""
    place = tmp_path / "work"
    place.mkdir()
    return place
