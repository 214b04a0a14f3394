"""Files: rows and the bytes that belong to them, and who may have them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from crm.db import atomic, db
from crm.errors import Invalid, NotFound
from crm.extensions import file_store
from crm.lib import file_store as stores
from crm.lib.clock import utcnow
from crm.models import File
from crm.permissions import scope_of
from crm.services import files
from crm.services.files import storing
from crm.services.files.checking import compare_store, remove_nobodys
from crm.services.files.receiving import StoreFull
from tests import factories, media
from tests.cast import make_cast


@pytest.fixture
def store(app: Flask, tmp_path: Path) -> Iterator[stores.LocalStore]:
    """An empty local store, in the place of the application's own."""
    local = stores.LocalStore(tmp_path / "store")
    before = file_store._open
    assert before is not None
    file_store.bind(lambda: local)
    yield local
    file_store.bind(before)


def keep(folder: Path, tmp_path: Path, **fields: object) -> File:
    source = media.picture(tmp_path / "a.jpg")
    stored = files.store_file(files.prepare_for_message(source, name="a.jpg", folder=folder))
    with atomic():
        return files.create_file(stored, purpose=files.MESSAGE, **fields)  # type: ignore[arg-type]


def test_a_row_says_what_lies_in_the_store(store, folder, tmp_path):
    file = keep(folder, tmp_path)
    assert store.size(file.file_path) == file.size_bytes
    assert file.sha256 == storing.hash_of(store.folder / file.file_path)
    assert (file.width, file.height) == (320, 200)
    assert sorted(store.keys()) == sorted([file.file_path, file.thumbnail_path])
    assert "a.jpg" not in file.file_path


def test_a_full_store_is_said_in_words_and_keeps_nothing(store, folder, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    source = media.picture(tmp_path / "a.jpg")
    prepared = files.prepare_for_message(source, name="a.jpg", folder=folder)
    monkeypatch.setattr(stores.os, "fsync", full)
    with pytest.raises(StoreFull, match="no room"):
        files.store_file(prepared)
    monkeypatch.undo()
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []


def test_a_file_is_for_those_who_see_its_chat(store, folder, tmp_path):
    with atomic():
        cast = make_cast()
        chat = factories.make_chat(campaign=cast.sales, number=cast.number, agent=cast.laura)
    file = keep(folder, tmp_path, uploaded_by=cast.laura)
    scopes = {name: scope_of(getattr(cast, name)) for name in ("laura", "jhon", "marta", "admin")}
    # Not sent yet: its uploader's alone.
    assert files.load_file(scopes["laura"], file.id).id == file.id
    for name in ("jhon", "marta", "admin"):
        with pytest.raises(NotFound):
            files.load_file(scopes[name], file.id)
    with atomic():
        message = factories.make_message(chat, media_file_id=file.id, message_type="image")
        file.related_entity_type, file.related_entity_id = "message", message.id
    for name in ("laura", "marta", "admin"):
        assert files.load_file(scopes[name], file.id)
    with pytest.raises(NotFound):
        files.load_file(scopes["jhon"], file.id)
    blind = replace(scopes["laura"], permissions=scopes["laura"].permissions - {"files.read"})
    with pytest.raises(NotFound):
        files.load_file(blind, file.id)
    with atomic():
        message.deleted_at = utcnow()
    with pytest.raises(NotFound):
        files.load_file(scopes["laura"], file.id)
    assert files.load_file(scopes["marta"], file.id)


def test_what_nobody_sent_is_thrown_away_after_a_day(store, folder, tmp_path):
    file = keep(folder, tmp_path)
    with atomic():
        assert files.tidy() == []
        file.created_at = utcnow() - timedelta(days=2)
    with atomic():
        gone = files.tidy()
    assert [each.id for each in gone] == [file.id]
    for each in gone:
        storing.remove_bytes(each)
    assert list(store.keys()) == []
    with atomic():
        assert files.tidy() == []


def test_openings_are_counted_in_batches(store, folder, tmp_path):
    file = keep(folder, tmp_path)
    for _ in range(3):
        files.count_access(file.id)
    with atomic():
        assert files.flush_access() == 1
    db.session.refresh(file)
    assert file.access_count == 3
    assert file.last_accessed_at is not None
    with atomic():
        assert files.flush_access() == 0


def test_an_avatar_is_a_picture_and_nothing_else(store, folder, tmp_path):
    source = media.picture(tmp_path / "a.png", size=(300, 300))
    made = files.prepare_picture(source, name="yo.png", folder=folder, purpose=files.AVATAR)
    with atomic():
        person = factories.make_user()
        file = files.create_file(
            files.store_file(made), purpose=files.AVATAR, owner=("user", person.id)
        )
    assert file.is_public
    assert file.url == f"/files/public/{file.filename}"
    assert files.find_public(file.filename) is not None
    source.write_bytes(media.SVG_WITH_SCRIPT)
    with pytest.raises(Invalid, match="picture"):
        files.prepare_picture(source, name="yo.svg", folder=folder, purpose=files.AVATAR)


def test_rows_and_bytes_are_held_against_each_other(store, folder, tmp_path):
    file = keep(folder, tmp_path)
    lost = keep(folder, tmp_path)
    store.delete(lost.file_path)
    stray = tmp_path / "stray"
    stray.write_bytes(b"x")
    store.put("2020/01/aa.bin", stray)
    store.put(f"{utcnow():%Y/%m}/young.bin", stray)
    found = compare_store()
    assert (found.files, found.lost, found.nobodys) == (2, [lost.id], ["2020/01/aa.bin"])
    assert remove_nobodys(found) == 1
    assert compare_store().nobodys == []
    assert store.size(file.file_path) == file.size_bytes


def test_the_command_names_what_is_lost(app, store, folder, tmp_path):
    file = keep(folder, tmp_path)
    done = app.test_cli_runner().invoke(args=["files", "check"])
    assert (done.exit_code, done.output) == (0, "1 files\n")
    store.delete(file.file_path)
    done = app.test_cli_runner().invoke(args=["files", "check"])
    assert done.exit_code == 1
    assert f"lost: file {file.id}" in done.output
