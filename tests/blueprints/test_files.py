"""Files over HTTP: who gets them, in which form, and in parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from crm.db import atomic
from crm.extensions import file_store
from crm.lib.file_store import S3Store
from crm.models import File
from crm.services import files
from tests import factories, media
from tests.cast import Cast, make_cast
from tests.people import enter
from tests.s3 import CREDENTIALS, s3_server


def put(source: Path, *, name: str, cast: Cast, **fields: object) -> File:
    """A file in a chat of Laura's."""
    with files.spool(source.parent) as folder:
        stored = files.store_file(files.prepare_for_message(source, name=name, folder=folder))
    with atomic():
        file = files.create_file(stored, purpose=files.MESSAGE, **fields)  # type: ignore[arg-type]
        chat = factories.make_chat(campaign=cast.sales, number=cast.number, agent=cast.laura)
        message = factories.make_message(chat, media_file_id=file.id, message_type="document")
        file.related_entity_type, file.related_entity_id = "message", message.id
    return file


@pytest.fixture
def cast(app: Flask) -> Cast:
    with atomic():
        return make_cast()


@pytest.fixture
def laura(app: Flask, cast: Cast) -> FlaskClient:
    return enter(app, cast.laura)


def test_a_picture_is_shown_and_everything_else_is_a_download(laura, cast, tmp_path):
    photo = put(media.picture(tmp_path / "a.jpg"), name="a.jpg", cast=cast)
    answer = laura.get(photo.url)
    assert answer.status_code == 200
    assert answer.content_type == "image/jpeg"
    assert answer.headers["Content-Disposition"].startswith("inline")
    assert len(answer.data) == photo.size_bytes
    download = laura.get(f"{photo.url}?download")
    assert download.headers["Content-Disposition"].startswith("attachment")
    assert laura.get(f"{photo.url}/thumbnail").content_type == "image/webp"
    for name, content in {
        "logo.svg": media.SVG_WITH_SCRIPT,
        "pagina.html": b"<!doctype html><script>1</script>",
        "a.pdf": b"%PDF-1.4 x",
    }.items():
        (tmp_path / "x").write_bytes(content)
        file = put(tmp_path / "x", name=name, cast=cast)
        answer = laura.get(file.url)
        assert answer.content_type == "application/octet-stream", name
        assert answer.headers["Content-Disposition"].startswith("attachment"), name
        assert laura.get(f"{file.url}/thumbnail").status_code == 404


def test_every_answer_forbids_the_browser_everything(laura, cast, tmp_path):
    (tmp_path / "x").write_bytes(media.gif_and_page())
    file = put(tmp_path / "x", name="a.gif", cast=cast)
    for answer in (laura.get(file.url), laura.get(file.url, headers={"Range": "bytes=0-3"})):
        assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "private" in answer.headers["Cache-Control"]
        assert "Cookie" in answer.headers["Vary"]


def test_a_hostile_name_stays_out_of_the_headers(laura, cast, tmp_path):
    (tmp_path / "x").write_bytes(b"hola")
    name = 'a"\r\nSet-Cookie: x=1;\u202efdp\x00.txt'
    file = put(tmp_path / "x", name=name, cast=cast)
    answer = laura.get(file.url)
    assert "Set-Cookie" not in answer.headers
    assert "filename*=UTF-8''" in answer.headers["Content-Disposition"]
    assert "\n" not in answer.headers["Content-Disposition"]


def test_parts_are_given_as_players_ask_for_them(laura, cast, tmp_path):
    (tmp_path / "x").write_bytes(b"%PDF-0123456789")
    file = put(tmp_path / "x", name="a.pdf", cast=cast)
    part = laura.get(file.url, headers={"Range": "bytes=5-8"})
    assert (part.status_code, part.data) == (206, b"0123")
    assert part.headers["Content-Range"] == "bytes 5-8/15"
    assert laura.get(file.url, headers={"Range": "bytes=-3"}).data == b"789"
    assert laura.get(file.url, headers={"Range": "bytes=12-"}).data == b"789"
    too_far = laura.get(file.url, headers={"Range": "bytes=99-"})
    assert (too_far.status_code, too_far.headers["Content-Range"]) == (416, "bytes */15")
    assert laura.get(file.url, headers={"Range": "bytes=0-1,3-4"}).status_code == 200
    old = {"Range": "bytes=5-8", "If-Range": '"another"'}
    assert laura.get(file.url, headers=old).status_code == 200
    head = laura.head(file.url)
    assert (head.status_code, head.content_length, head.data) == (200, 15, b"")


def test_a_browser_asks_again_with_what_it_has(laura, cast, tmp_path):
    file = put(media.picture(tmp_path / "a.jpg"), name="a.jpg", cast=cast)
    etag = laura.get(file.url).headers["ETag"]
    again = laura.get(file.url, headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    assert laura.get(f"{file.url}/thumbnail").headers["ETag"] != etag


def test_another_agent_gets_404(app, laura, cast, tmp_path):
    file = put(media.picture(tmp_path / "a.jpg"), name="a.jpg", cast=cast)
    assert laura.get(file.url).status_code == 200
    other = enter(app, cast.jhon)
    for tail in ("", "/thumbnail", "/playable", "?download"):
        assert other.get(f"{file.url}{tail}").status_code == 404
    assert other.get("/files/999999").status_code == 404


def test_a_voice_note_has_a_copy_for_every_browser(laura, cast, tmp_path):
    source = media.sound(tmp_path / "a.amr", form="amr", codec="libopencore_amrnb")
    file = put(source, name="a.amr", cast=cast)
    first = laura.get(f"{file.url}/playable")
    assert (first.status_code, first.content_type) == (200, "audio/mp4")
    assert first.data[4:8] == b"ftyp"
    assert laura.get(f"{file.url}/playable").data == first.data


def test_bytes_that_are_gone_are_a_404_in_words(laura, cast, tmp_path):
    file = put(media.picture(tmp_path / "a.jpg"), name="a.jpg", cast=cast)
    files.storing.remove_bytes(file)
    assert laura.get(file.url).status_code == 404


def test_a_logo_is_for_everybody_who_knows_its_name(app, cast, tmp_path):
    source = media.picture(tmp_path / "a.png")
    with files.spool(tmp_path) as folder:
        made = files.prepare_picture(source, name="a.png", folder=folder, purpose=files.LOGO)
        stored = files.store_file(made)
    with atomic():
        file = files.create_file(stored, purpose=files.LOGO, owner=("setting", 1))
    stranger = app.test_client()
    answer = stranger.get(file.url)
    assert (answer.status_code, answer.content_type) == (200, "image/png")
    assert "immutable" in answer.headers["Cache-Control"]
    assert stranger.get(f"{file.url}?size=small").content_type == "image/webp"
    assert stranger.get("/files/public/x.png").status_code == 404
    assert stranger.get(f"/files/{file.id}").status_code in {302, 401}


@pytest.fixture
def bucket(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    """A bucket in the place of the folder."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    before = file_store._open
    assert before is not None
    with s3_server() as address:
        store = S3Store("charla-files", prefix="one", endpoint=address)
        store._client.create_bucket(Bucket="charla-files")
        file_store.bind(lambda: store)
        yield store
    file_store.bind(before)


def test_files_in_a_bucket_are_served_the_same(laura, cast, tmp_path, bucket):
    photo = put(media.picture(tmp_path / "a.jpg"), name="a.jpg", cast=cast)
    assert photo.storage_type == "s3"
    assert len(list(bucket.keys())) == 2
    whole = laura.get(photo.url)
    assert (whole.status_code, len(whole.data)) == (200, photo.size_bytes)
    part = laura.get(photo.url, headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.data) == (206, whole.data[2:6])
    assert laura.get(f"{photo.url}/thumbnail").data[8:12] == b"WEBP"
    sound = media.sound(tmp_path / "a.ogg", form="ogg", codec="libopus")
    file = put(sound, name="a.ogg", cast=cast)
    assert laura.get(f"{file.url}/playable").data[4:8] == b"ftyp"
    files.storing.remove_bytes(photo)
    assert laura.get(photo.url).status_code == 404
