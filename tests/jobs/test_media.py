"""Files of messages on their way in: fetched at once, checked, kept; and all that can go wrong."""

from __future__ import annotations

import base64
import dataclasses
import errno
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from flask import Flask, current_app
from sqlalchemy import select

from crm.db import atomic, db
from crm.extensions import file_store
from crm.jobs import media as job
from crm.lib import file_store as stores
from crm.lib.clock import utcnow
from crm.models import Alarm, FetchStatus, File, MediaFetch, Message
from crm.services.files import receiving
from crm.services.inbox import find_bubble
from crm.services.media import claims, fetching
from tests import factories, media
from tests.providers.scripted_server import ScriptedServer, answer, drip, hang, raw, serving

PHOTO_ID = "4711"
LEASE = 300.0


@pytest.fixture
def store(app: Flask, tmp_path: Path) -> Iterator[stores.LocalStore]:
    """An empty store in the place of the application's own."""
    local = stores.LocalStore(tmp_path / "store")
    before = file_store._open
    assert before is not None
    file_store.bind(lambda: local)
    yield local
    file_store.bind(before)


@pytest.fixture
def photo(tmp_path: Path) -> bytes:
    return media.picture(tmp_path / "photo.jpg").read_bytes()


def link_to(server: ScriptedServer, content: bytes, **more: object) -> object:
    """What Meta answers for a media id; the link leads back to the same server."""
    return answer(
        200,
        {
            "url": f"{server.url}/file?hash=x",
            "mime_type": "image/jpeg",
            "sha256": hashlib.sha256(content).hexdigest(),
            "file_size": str(len(content)),
            "id": PHOTO_ID,
            **more,
        },
    )


def arrive(app: Flask, server: ScriptedServer, content: bytes = b"", **fields: object) -> Message:
    """A message with a file, as the way in leaves it behind."""
    app.config["CRM"] = dataclasses.replace(app.config["CRM"], meta_graph_url=f"{server.url}/v23.0")
    told = {
        "id": PHOTO_ID,
        "mime_type": "image/jpeg",
        "sha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
    }
    with atomic():
        chat = factories.make_chat()
        message = factories.make_message(
            chat, **{"message_type": "image", "meta": {"media": told}, "content": None, **fields}
        )
        db.session.add(
            MediaFetch(message_id=message.id, whatsapp_number_id=chat.whatsapp_number_id)
        )
    return message


@pytest.fixture
def meta(app: Flask, store: stores.LocalStore) -> Iterator[ScriptedServer]:
    """A server whose answers each test writes; the application believes that it is Meta."""
    before = app.config["CRM"]
    with serving(answer(500, {})) as server:
        yield server
    app.config["CRM"] = before


def fetch(message: Message) -> MediaFetch:
    """Run the job once, as the worker does; the row afterwards."""
    with current_app.app_context():
        job.fetch(message.whatsapp_number_id)
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(MediaFetch, message.id)


def fetch_again(message: Message) -> None:
    claims.fetch_again(db.session.get_one(Message, message.id), lease_seconds=LEASE)


def make_due(message: Message) -> None:
    with atomic():
        db.session.get_one(MediaFetch, message.id).scheduled_at = utcnow() - timedelta(seconds=1)


def open_alarms() -> list[str]:
    return list(db.session.scalars(select(Alarm.kind).where(Alarm.ended_at.is_(None))))


def bubble_of(message: Message):  # type: ignore[no-untyped-def]
    bubble = find_bubble(message.id)
    assert bubble is not None
    return bubble.attachment


def test_a_photo_comes_is_checked_and_hangs_on_its_message(app, meta, store, photo):
    meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
    message = arrive(app, meta, photo)
    assert bubble_of(message).state == "coming"
    assert fetch(message).status is FetchStatus.DONE
    file = db.session.get_one(File, db.session.get_one(Message, message.id).media_file_id)
    assert b"".join(store.read(file.file_path)) == photo
    assert (file.mime_type, file.width, file.height) == ("image/jpeg", 320, 200)
    assert file.related_entity_id == message.id
    assert db.session.get_one(Message, message.id).media_url == f"/files/{file.id}"
    shown = bubble_of(message)
    assert (shown.state, shown.has_thumbnail, shown.box) == ("here", True, (320, 200))
    asked = meta.seen[0].head
    assert f"GET /v23.0/{PHOTO_ID}?phone_number_id=" in asked
    assert all("Authorization: Bearer " in seen.head for seen in meta.seen)
    # A second ring finds nothing to do.
    fetch(message)
    assert len(meta.seen) == 2


def test_a_file_that_is_gone_says_so_and_comes_by_hand_if_it_comes_back(app, meta, photo):
    unknown = {"error": {"code": 100, "error_subcode": 33, "message": "does not exist"}}
    meta.scripts[:] = [answer(400, unknown)]
    message = arrive(app, meta, photo)
    row = fetch(message)
    assert (row.status, row.error_code) == (FetchStatus.FAILED, "gone")
    shown = bubble_of(message)
    assert shown.state == "failed"
    assert "seven days" in shown.reason
    # It does not try by itself.
    fetch(message)
    assert len(meta.seen) == 1
    meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
    with atomic():
        fetch_again(message)
    assert fetch(message).status is FetchStatus.DONE
    with pytest.raises(claims.NothingToFetch), atomic():
        fetch_again(message)


@pytest.mark.parametrize(
    ("why", "scripts", "code", "status"),
    [
        ("no answer", lambda s, p: [raw(b"")], "away", "pending"),
        ("503", lambda s, p: [answer(503, b"<html>")], "away", "pending"),
        ("token", lambda s, p: [answer(401, {"error": {"code": 190}})], "token", "pending"),
        ("link over", lambda s, p: [link_to(s, p), answer(404, b"")], "gone", "failed"),
        ("cut", lambda s, p: [link_to(s, p), raw(b"HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\nx")],
         "away", "pending"),
        ("other bytes", lambda s, p: [link_to(s, p), answer(200, b"x" * len(p))],
         "changed", "pending"),
        ("huge by its word", lambda s, p: [link_to(s, p, file_size=10**9)], "too_big", "failed"),
        ("foreign", lambda s, p: [link_to(s, p, url="https://evil.example/x")],
         "foreign_host", "failed"),
        ("inner", lambda s, p: [link_to(s, p, url="http://169.254.169.254/latest")],
         "foreign_host", "failed"),
        ("another port of ours", lambda s, p: [link_to(s, p, url="http://127.0.0.1:6379/")],
         "foreign_host", "failed"),
        ("user in it", lambda s, p: [link_to(s, p, url=s.url.replace("//", "//a@") + "/file")],
         "foreign_host", "failed"),
        ("sent elsewhere", lambda s, p: [link_to(s, p), answer(302, b"",
         headers="Location: http://169.254.169.254/\r\n")], "foreign_host", "failed"),
        ("no link", lambda s, p: [answer(200, {"id": "4711"})], "away", "pending"),
    ],
)  # fmt: skip
def test_each_fault_is_named_and_never_becomes_a_loop(
    app, meta, store, photo, why, scripts, code, status
):
    meta.scripts[:] = scripts(meta, photo)
    message = arrive(app, meta, photo)
    row = fetch(message)
    assert (row.status, row.error_code) == (status, code), why
    calls = len(meta.seen)
    fetch(message)
    assert len(meta.seen) == calls, "it waits for its time"
    assert list(store.keys()) == []
    if status == "pending":
        assert row.scheduled_at > utcnow()
        assert bubble_of(message).state == "coming"


def test_a_body_without_end_stops_at_the_cap(app, meta, store, photo, monkeypatch):
    monkeypatch.setitem(fetching.INBOUND_CAPS, "image", 100_000)
    meta.scripts[:] = [
        link_to(meta, photo, file_size=None),
        raw(b"HTTP/1.1 200 X\r\n\r\n" + b"x" * 3_000_000),
    ]
    message = arrive(app, meta, photo)
    row = fetch(message)
    assert (row.status, row.error_code) == (FetchStatus.FAILED, "too_big")
    assert list(store.keys()) == []


HEAD = b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    ("limits", "script"),
    [({"seconds": 0.5}, drip(HEAD + b"x" * 1000, every=0.02)), ({"silent_seconds": 0.2}, hang())],
    ids=["drip", "silence"],
)
def test_a_slow_download_ends_at_its_deadline_and_a_silent_one_long_before(
    app, meta, photo, monkeypatch, limits, script
):
    client = job.MetaMedia
    monkeypatch.setattr(job, "media_client", lambda url: client(url, **limits))
    meta.scripts[:] = [link_to(meta, photo), script]
    message = arrive(app, meta, photo)
    assert fetch(message).error_code == "away"


@pytest.mark.parametrize(
    "content", [media.SVG_WITH_SCRIPT, b"<!doctype html><p>Login", b"MZ\x90\x00 program"]
)
def test_what_is_no_picture_is_not_kept_as_one(app, meta, store, content):
    meta.scripts[:] = [link_to(meta, content), answer(200, content)]
    message = arrive(app, meta, content)
    row = fetch(message)
    assert (row.status, row.error_code) == (FetchStatus.FAILED, "wrong_type")
    assert list(store.keys()) == []


def test_a_broken_picture_is_kept_for_other_programs(app, meta, photo):
    cut = photo[:1500]
    meta.scripts[:] = [link_to(meta, cut), answer(200, cut)]
    message = arrive(app, meta, cut)
    assert fetch(message).status is FetchStatus.DONE
    assert bubble_of(message).has_thumbnail is False


def test_a_full_store_keeps_the_message_and_tries_again(app, meta, store, photo, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
    message = arrive(app, meta, photo)
    monkeypatch.setattr(stores.os, "fsync", full)
    row = fetch(message)
    assert (row.status, row.error_code) == (FetchStatus.PENDING, "no_room")
    assert "no room" in bubble_of(message).reason
    assert open_alarms() == ["store_full"]
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []
    monkeypatch.undo()
    meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
    make_due(message)
    assert fetch(message).status is FetchStatus.DONE
    assert open_alarms() == []


def test_a_spool_without_room_is_the_same(app, meta, photo, monkeypatch):
    def full(**_: object) -> str:
        raise OSError(errno.EROFS, "Read-only file system")

    meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
    message = arrive(app, meta, photo)
    monkeypatch.setattr(receiving.tempfile, "mkdtemp", full)
    row = fetch(message)
    assert (row.status, row.error_code) == (FetchStatus.PENDING, "no_room")


def test_after_seven_days_nobody_tries_any_more(app, meta, photo):
    meta.scripts[:] = [answer(503, b"")]
    message = arrive(app, meta, photo)
    with atomic():
        db.session.get_one(MediaFetch, message.id).created_at = utcnow() - timedelta(days=8)
    row = fetch(message)
    assert (row.status, row.error_code) == (FetchStatus.FAILED, "gone")


def claim(app: Flask) -> claims.Fetch:
    """What one worker holds who then sleeps."""
    config = app.config["CRM"]
    with atomic():
        (held,) = claims.claim_fetches(
            limit=5,
            lease_seconds=LEASE,
            graph_url=config.meta_graph_url,
            keys=config.encryption_keys,
        )
    return held


def shorten_lease(message: Message, *, left: float) -> None:
    with atomic():
        row = db.session.get_one(MediaFetch, message.id)
        row.lease_until = utcnow() + timedelta(seconds=left)


def wake(app: Flask, late: claims.Fetch) -> None:
    """The sleeper goes on as if it still held the row."""
    config = app.config["CRM"]
    job.fetch_one(late, job.media_client(config.meta_graph_url), data_dir=config.data_dir)


def test_who_comes_back_after_the_lease_writes_nothing(app, meta, store, photo):
    meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
    message = arrive(app, meta, photo)
    late = claim(app)
    with atomic():
        assert claims.find_due_fetches() == []
    shorten_lease(message, left=-1)
    with atomic():
        assert claims.find_due_fetches() == [message.whatsapp_number_id]
    assert fetch(message).status is FetchStatus.DONE
    meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
    wake(app, late)
    assert db.session.query(File).count() == 1
    assert len(list(store.keys())) == 2, "one picture and its thumbnail"


def test_a_person_takes_over_from_who_shows_no_life_and_not_from_who_works(app, meta, store, photo):
    meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
    message = arrive(app, meta, photo)
    late = claim(app)
    # A living one renews well before a third of its lease is over.
    shorten_lease(message, left=LEASE * 0.7)
    with pytest.raises(claims.NothingToFetch), atomic():
        fetch_again(message)
    with atomic():
        claims.renew_leases([late], lease_seconds=LEASE)
    assert not late.is_lost.is_set()
    row = db.session.get_one(MediaFetch, message.id, populate_existing=True)
    assert row.lease_until > utcnow() + timedelta(seconds=LEASE * 0.9)

    shorten_lease(message, left=LEASE * 0.6)
    with atomic():
        fetch_again(message)
    # The one that slept learns of it while nobody else holds the row, and keeps nothing.
    with atomic():
        claims.renew_leases([late], lease_seconds=LEASE)
    assert late.is_lost.is_set()
    wake(app, late)
    assert list(store.keys()) == []
    meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
    row = fetch(message)
    assert (row.status, row.attempts) == (FetchStatus.DONE, 1)
    assert db.session.query(File).count() == 1


def test_two_workers_share_what_is_due_and_fetch_nothing_twice(app, meta, store):
    # Every answer is a link to the next one, and a document too.
    meta.scripts[:] = [answer(200, {"url": f"{meta.url}/file"})]
    told = {"media": {"id": PHOTO_ID}}
    messages = [arrive(app, meta, message_type="document", meta=told) for _ in range(10)]
    start = Barrier(2)

    def work(message: Message) -> None:
        with app.app_context():
            start.wait(30)
            job.fetch(message.whatsapp_number_id)

    with ThreadPoolExecutor(2) as workers:
        list(workers.map(work, messages[:2]))
    rows = db.session.query(MediaFetch).all()
    assert {(row.status, row.attempts) for row in rows} == {(FetchStatus.DONE, 1)}
    assert len(meta.seen) == 20
    assert db.session.query(File).count() == len(list(store.keys())) == 10


def test_voice_notes_and_films_are_measured(app, meta, tmp_path):
    voice = media.sound(tmp_path / "a.ogg", form="ogg", codec="libopus", seconds=2).read_bytes()
    film = media.film(tmp_path / "a.mp4").read_bytes()
    for kind, content, wave in (("audio", voice, True), ("video", film, False)):
        meta.scripts[:] = [link_to(meta, content), answer(200, content)]
        told = {"id": PHOTO_ID}
        message = arrive(
            app, meta, content, message_type=kind, meta={"media": told, "voice": kind == "audio"}
        )
        assert fetch(message).status is FetchStatus.DONE
        shown = bubble_of(message)
        assert shown.seconds == 2
        assert shown.has_thumbnail is not wave
        assert shown.is_voice is wave


def test_a_paper_keeps_its_name_for_people_only_and_shows_its_first_page(
    app, meta, store, tmp_path
):
    content = media.paper(tmp_path / "a.pdf", pages=2).read_bytes()
    name = "../../../etc/\u202efdp.\x01factura \U0001f9fe.pdf"
    meta.scripts[:] = [link_to(meta, content), answer(200, content)]
    told = {"id": PHOTO_ID, "filename": name}
    message = arrive(app, meta, content, message_type="document", meta={"media": told})
    assert fetch(message).status is FetchStatus.DONE
    keys = sorted(store.keys())
    assert [key.partition(".")[2] for key in keys] == ["pdf", "thumbnail.webp"]
    assert "factura" not in keys[0]
    shown = bubble_of(message)
    assert (shown.pages, shown.has_thumbnail) == (2, True)
    assert shown.name == "fdp.factura \U0001f9fe.pdf"
    file = db.session.query(File).one()
    assert file.original_filename == "fdp.factura \U0001f9fe.pdf"
