"""Files: what they are by their bytes, what becomes of them on the way out, and where they lie."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from PIL import Image

from crm.db import atomic, db
from crm.errors import Invalid, NotFound
from crm.extensions import file_store
from crm.lib import file_store as stores
from crm.lib.clock import utcnow
from crm.lib.media import types, workshop
from crm.lib.media.workshop import Unreadable
from crm.models import File
from crm.permissions import scope_of
from crm.services import files
from crm.services.files import storing
from crm.services.files.checking import compare_store, remove_nobodys
from crm.services.files.receiving import StoreFull
from tests import factories, media
from tests.cast import make_cast
from tests.s3 import CREDENTIALS, s3_server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "work"
    place.mkdir()
    return place


@pytest.fixture
def store(app: Flask, tmp_path: Path) -> Iterator[stores.LocalStore]:
    """An empty local store, in the place of the application's own."""
    local = stores.LocalStore(tmp_path / "store")
    before = file_store._open
    assert before is not None
    file_store.bind(lambda: local)
    yield local
    file_store.bind(before)


# -- what a file is --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "name", "mime"),
    [
        (media.gif_and_page(), "foto.html", "image/gif"),
        (media.SVG_WITH_SCRIPT, "logo.svg", "text/plain"),
        (b"<!doctype html><script>1</script>", "foto.jpg", "text/plain"),
        (b"\xff\xd8\xff\xe0" + b"x" * 20, "a.php.jpg", "image/jpeg"),
        (b"%PDF-1.7", "x", "application/pdf"),
        (b"PK\x03\x04....", "informe.docx", types._INSIDE["docx"][1]),
        (b"PK\x03\x04....", "informe.zip", "application/zip"),
        (b"MZ\x90\x00", "fotos.docx", "application/octet-stream"),
        ("año, ñandú".encode(), "a.csv", "text/plain"),
        ("año".encode("latin-1"), "a.txt", "text/plain"),
        (b"", "vacio", "application/octet-stream"),
        (b"\x00\x01", "a.txt", "application/octet-stream"),
    ],
)
def test_bytes_decide_what_a_file_is_and_its_name_only_within_a_family(head, name, mime):
    assert types.sniff(head, name=name) == mime


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("fac\x00tura.pdf", "factura.pdf"),
        ("factura\u202efdp.exe", "facturafdp.exe"),
        ("a\r\nSet-Cookie: x.pdf", "aSet-Cookie: x.pdf"),
        ("...", "archivo.pdf"),
        ("", "archivo.pdf"),
        (None, "archivo.pdf"),
        ("ñ" * 300 + ".pdf", "ñ" * 118 + ".pdf"),
        ("a" * 300, "a" * 200),
        ("\ud800.pdf", "\ufffd.pdf"),
    ],
)
def test_a_name_from_outside_harms_nobody(given, shown):
    name = types.clean_name(given, mime="application/pdf")
    assert name == shown
    assert len(name.encode()) <= 240


# -- on the way out --------------------------------------------------------------------------------


def test_a_picture_leaves_upright_and_tells_nothing(folder, tmp_path):
    source = media.picture(tmp_path / "a.jpg", size=(400, 200), tells=True)
    made = files.prepare_for_message(source, name="a.jpg", folder=folder)
    assert (made.kind, made.mime_type, made.note) == ("image", "image/jpeg", "")
    with Image.open(made.path) as image:
        assert image.size == (200, 400)
        assert not image.getexif()
    assert b"Ana" not in made.path.read_bytes()
    assert (made.look.width, made.look.height) == (200, 400)
    with Image.open(made.look.thumbnail) as image:
        assert image.format == "WEBP"


def test_a_clean_picture_keeps_its_bytes(folder, tmp_path):
    source = media.picture(tmp_path / "a.png")
    made = files.prepare_for_message(source, name="a.png", folder=folder)
    assert made.path.read_bytes() == source.read_bytes()


def test_what_is_glued_to_a_picture_does_not_leave_with_it(folder, tmp_path):
    source = media.picture(tmp_path / "a.jpg")
    source.write_bytes(source.read_bytes() + b"<script>alert(1)</script>")
    made = files.prepare_for_message(source, name="a.jpg", folder=folder)
    assert made.kind == "image"
    assert b"script" not in made.path.read_bytes()


def test_a_picture_that_is_too_big_is_made_smaller(folder, tmp_path):
    source = media.noise(tmp_path / "a.jpg", size=(3000, 2400))
    assert source.stat().st_size > 5 * 1024 * 1024
    made = files.prepare_for_message(source, name="a.jpg", folder=folder)
    assert made.kind == "image"
    assert made.path.stat().st_size <= 5 * 1024 * 1024
    assert "smaller" in made.note


@pytest.mark.parametrize("ending", ["webp", "bmp", "tiff"])
def test_other_pictures_become_jpeg(folder, tmp_path, ending):
    source = media.picture(tmp_path / f"a.{ending}")
    made = files.prepare_for_message(source, name=f"a.{ending}", folder=folder)
    assert (made.kind, made.mime_type, made.name) == ("image", "image/jpeg", "a.jpg")


def test_what_cannot_be_read_as_a_picture_goes_as_a_document_and_says_so(folder, tmp_path):
    whole = media.picture(tmp_path / "a.jpg", size=(800, 600)).read_bytes()
    cases = {"cut.jpg": whole[:2000], "huge.png": media.huge_png()}
    for name, content in cases.items():
        source = tmp_path / name
        source.write_bytes(content)
        made = files.prepare_for_message(source, name=name, folder=folder)
        assert made.kind == "document", name
        assert made.note, name


def test_a_film_keeps_its_streams_and_gets_a_first_frame(folder, tmp_path):
    source = media.film(tmp_path / "a.mov", form="mov")
    made = files.prepare_for_message(source, name="a.mov", folder=folder)
    assert (made.kind, made.mime_type, made.name) == ("video", "video/mp4", "a.mp4")
    assert (made.look.width, made.look.height) == (160, 120)
    assert made.look.seconds == pytest.approx(2, abs=0.2)
    assert made.look.thumbnail is not None


def test_a_moving_picture_becomes_a_short_film_and_a_still_one_a_picture(folder, tmp_path):
    moving = media.moving(tmp_path / "risa.gif")
    made = files.prepare_for_message(moving, name="risa.gif", folder=folder)
    assert (made.kind, made.mime_type, made.name) == ("video", "video/mp4", "risa.mp4")
    assert (made.look.width, made.look.height) == (120, 80)
    # Four tenths of a second, again and again.
    assert made.look.seconds == pytest.approx(3.2, abs=0.2)
    assert "video" in made.note
    still = media.moving(tmp_path / "quieto.gif", frames=1)
    made = files.prepare_for_message(still, name="quieto.gif", folder=folder)
    assert (made.kind, made.mime_type, made.name) == ("image", "image/png", "quieto.png")
    broken = tmp_path / "roto.gif"
    broken.write_bytes(moving.read_bytes()[:60])
    assert files.prepare_for_message(broken, name="roto.gif", folder=folder).kind == "document"


def test_a_film_that_whatsapp_does_not_play_goes_as_a_document(folder, tmp_path):
    source = media.film(tmp_path / "a.webm", form="webm", codec="libvpx")
    made = files.prepare_for_message(source, name="a.webm", folder=folder)
    assert made.kind == "document"
    assert "video" in made.note


@pytest.mark.parametrize(
    ("form", "codec", "mime"),
    [
        ("mp3", "libmp3lame", "audio/mpeg"),
        ("adts", "aac", "audio/aac"),
        ("ipod", "aac", "audio/mp4"),
        ("mp4", "aac", "audio/mp4"),
        ("ogg", "libopus", "audio/ogg; codecs=opus"),
        ("amr", "libopencore_amrnb", "audio/amr"),
    ],
)
def test_sounds_that_whatsapp_plays_are_measured(folder, tmp_path, form, codec, mime):
    source = media.sound(tmp_path / "a", form=form, codec=codec)
    made = files.prepare_for_message(source, name="a", folder=folder)
    assert (made.kind, made.mime_type) == ("audio", mime)
    assert made.look.seconds == pytest.approx(1, abs=0.2)
    assert max(made.look.peaks) == 100


def test_a_sound_of_another_kind_goes_as_a_document(folder, tmp_path):
    source = media.sound(tmp_path / "a.wav", form="wav", codec="pcm_s16le")
    made = files.prepare_for_message(source, name="a.wav", folder=folder)
    assert made.kind == "document"


@pytest.mark.parametrize(
    ("form", "codec", "layout"),
    [("webm", "libopus", "mono"), ("webm", "libopus", "stereo"), ("mp4", "aac", "mono")],
)
def test_what_a_browser_recorded_becomes_a_voice_note(folder, tmp_path, form, codec, layout):
    source = media.sound(tmp_path / "a", form=form, codec=codec, layout=layout, seconds=1.5)
    made = files.prepare_voice(source, folder=folder)
    assert made.is_voice
    assert made.mime_type == "audio/ogg; codecs=opus"
    head = made.path.read_bytes()[:100]
    at = head.index(b"OpusHead")
    assert head[at + 9] == 1, "one channel"
    assert made.look.seconds == pytest.approx(1.5, abs=0.2)


def test_a_recording_without_sound_is_refused_in_words(folder, tmp_path):
    source = tmp_path / "a.webm"
    source.write_bytes(b"\x1aE\xdf\xa3 nothing in it")
    with pytest.raises(Invalid, match="microphone"):
        files.prepare_voice(source, folder=folder)


def test_documents_keep_their_bytes_and_say_what_may_be_refused(folder, tmp_path):
    source = tmp_path / "a"
    source.write_bytes(media.SVG_WITH_SCRIPT)
    made = files.prepare_for_message(source, name="logo.svg", folder=folder)
    assert (made.kind, made.mime_type, made.note) == ("document", "text/plain", "")
    source.write_bytes(b"PK\x03\x04" + b"\0" * 50)
    assert files.prepare_for_message(source, name="a.zip", folder=folder).note


def test_a_body_that_is_too_long_stops_at_its_limit(folder):
    stream = io.BytesIO(b"x" * (3 * 1024 * 1024))
    with pytest.raises(files.FileTooLarge, match="1 MB"):
        files.receive(stream, folder, most=1024 * 1024)
    with pytest.raises(Invalid):
        files.receive(io.BytesIO(b""), folder, most=10)


def test_the_workshop_outlives_what_it_looks_at(folder, tmp_path):
    for content in (b"", b"\xff\xd8\xff" + os.urandom(5000), media.huge_png(), b"RIFF0000WEBP"):
        source = tmp_path / "odd"
        source.write_bytes(content)
        for mime in ("image/png", "video/mp4", "audio/ogg"):
            with pytest.raises(Unreadable):
                workshop.look_at(source, mime, folder=folder)


# -- the store -------------------------------------------------------------------------------------


def test_the_local_store_keeps_whole_files_or_none(tmp_path):
    local = stores.LocalStore(tmp_path / "store")
    source = tmp_path / "a"
    source.write_bytes(b"0123456789" * 100_000)
    local.put("2026/11/abc.bin", source)
    assert local.size("2026/11/abc.bin") == 1_000_000
    assert b"".join(local.read("2026/11/abc.bin")) == source.read_bytes()
    assert b"".join(local.read("2026/11/abc.bin", start=5, length=7)) == b"5678901"
    assert list(local.keys()) == ["2026/11/abc.bin"]
    reading = local.read("2026/11/abc.bin")
    next(reading)
    local.delete("2026/11/abc.bin")
    # Deleted while somebody reads: they get the rest.
    assert sum(map(len, reading)) == 1_000_000 - stores.CHUNK
    with pytest.raises(stores.Missing):
        local.read("2026/11/abc.bin")
    local.delete("2026/11/abc.bin")
    local.check()
    assert not [path for path in local.folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("key", ["../a", "/etc/passwd", "a/../b", "", "a\x00b", ".hidden", "a//b"])
def test_a_key_is_never_a_way_out(tmp_path, key):
    local = stores.LocalStore(tmp_path / "store")
    with pytest.raises(ValueError, match="key"):
        local.put(key, tmp_path)
    with pytest.raises(ValueError, match="key"):
        local.read(key)


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


def test_s3_over_http_keeps_and_gives_parts(s3_endpoint, tmp_path, monkeypatch):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    store = stores.open_store("s3://charla-files/one", folder=tmp_path, endpoint=s3_endpoint)
    assert isinstance(store, stores.S3Store)
    source = tmp_path / "a"
    source.write_bytes(os.urandom(9 * 1024 * 1024))  # over the part size: several requests
    with pytest.raises(stores.StoreError, match="NoSuchBucket"):
        store.put("2026/11/abc.bin", source)
    store._client.create_bucket(Bucket="charla-files")
    store.check()
    store.put("2026/11/abc.bin", source)
    assert store.size("2026/11/abc.bin") == 9 * 1024 * 1024
    assert b"".join(store.read("2026/11/abc.bin")) == source.read_bytes()
    part = b"".join(store.read("2026/11/abc.bin", start=7, length=5))
    assert part == source.read_bytes()[7:12]
    assert list(store.keys()) == ["2026/11/abc.bin"]
    with pytest.raises(stores.Missing):
        store.read("2026/11/nothing.bin")
    store.delete("2026/11/abc.bin")
    assert list(store.keys()) == []


def test_a_bucket_that_is_away_is_not_a_missing_file(tmp_path, monkeypatch):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    store = stores.S3Store("charla-files", endpoint="http://127.0.0.1:9")
    with pytest.raises(stores.StoreError) as raised:
        store.read("2026/11/abc.bin")
    assert not isinstance(raised.value, stores.Missing)


# -- rows ------------------------------------------------------------------------------------------


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
