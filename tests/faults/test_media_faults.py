"""Files under rows E7 and E8 of the fault matrix: a killed fetch, a disk that is really full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from crm.db import atomic, db
from crm.extensions import file_store
from crm.jobs import media as job
from crm.lib import file_store as stores
from crm.lib.clock import utcnow
from crm.models import Alarm, FetchStatus, File, MediaFetch, Message
from crm.services.files.checking import Comparison, compare_store
from crm.services.files.storing import hash_of
from crm.services.inbox import find_bubble
from crm.services.media import claims
from tests import factories, media
from tests.blueprints.test_media import person, upload
from tests.cast import make_cast
from tests.faults.processes import PATIENCE, ROOT, kill, wait_until
from tests.jobs.test_media import arrive, fetch, link_to, make_due
from tests.providers.deliveries import PHONE_NUMBER_ID, body, words
from tests.providers.scripted_server import ScriptedServer, answer, hang, serving
from tests.services.way_in import take_in

# The job as a worker runs it: a friendly stop is only noted. The last seconds are none here.
FETCH = """
import signal
from wsgi import app
from crm.jobs import media, shutdown
signal.signal(signal.SIGTERM, lambda *_: shutdown.ask())
media.LAST_SECONDS = 0
app.app_context().push()
media.fetch({})
"""


@pytest.fixture
def folder(app: Flask, tmp_path: Path) -> Iterator[Path]:
    """The data folder of this test alone; the store lies in it."""
    before, opened = app.config["CRM"], file_store._open
    assert opened is not None
    app.config["CRM"] = replace(before, data_dir=tmp_path)
    file_store.bind(lambda: stores.LocalStore(tmp_path / "files"))
    yield tmp_path
    app.config["CRM"] = before
    file_store.bind(opened)


@pytest.fixture
def meta() -> Iterator[ScriptedServer]:
    with serving(answer(500, {})) as server:
        yield server


def half_of(content: bytes, until: threading.Event | None = None):  # type: ignore[no-untyped-def]
    """The first half of a file, and silence on an open line; with `until`, then the other half."""
    head = f"HTTP/1.1 200 X\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    middle = len(content) // 2

    def half(connection, stop):  # type: ignore[no-untyped-def]
        connection.sendall(head + content[:middle])
        if until is None:
            hang()(connection, stop)
        else:
            until.wait(PATIENCE)
            connection.sendall(content[middle:])

    return half


def received(folder: Path) -> list[Path]:
    return [path for path in (folder / "spool").glob("*/given") if path.stat().st_size]


@pytest.fixture
def photo(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    where = tmp_path_factory.mktemp("photo") / "photo.jpg"
    return media.noise(where, size=(900, 900)).read_bytes()


@pytest.fixture
def start_worker(app: Flask, folder: Path, environment: dict[str, str]):  # type: ignore[no-untyped-def]
    """Start the media job as a process of its own; whatever is left of it ends with the test."""

    @contextmanager
    def start(number_id: int, *, lease_seconds: float) -> Iterator[subprocess.Popen[bytes]]:
        worker = subprocess.Popen(
            [sys.executable, "-c", FETCH.format(number_id)],
            cwd=ROOT,
            env={
                **os.environ,
                **environment,
                "META_GRAPH_URL": app.config["CRM"].meta_graph_url,
                "CRM_DATA_DIR": str(folder),
                "CRM_LEASE_SECONDS": str(lease_seconds),
            },
        )
        try:
            yield worker
        finally:
            worker.kill()
            worker.wait()

    return start


def row_of(message: Message) -> MediaFetch:
    db.session.rollback()
    return db.session.get_one(MediaFetch, message.id, populate_existing=True)


def is_taken_over(message: Message, *, lease_seconds: float) -> bool:
    """A person presses *Fetch again*."""
    try:
        with atomic():
            claims.fetch_again(db.session.get_one(Message, message.id), lease_seconds=lease_seconds)
    except claims.NothingToFetch:
        return False
    return True


def test_a_worker_that_is_killed_while_it_fetches_loses_no_file_and_shows_no_half_one(
    app: Flask, folder: Path, meta: ScriptedServer, photo: bytes, start_worker: Callable
) -> None:
    meta.scripts[:] = [link_to(meta, photo), half_of(photo)]
    message = arrive(app, meta, photo)
    with start_worker(message.whatsapp_number_id, lease_seconds=6) as worker:
        wait_until(lambda: received(folder), "half of the file has arrived")
        lease = row_of(message).lease_until
        wait_until(lambda: row_of(message).lease_until > lease, "it renews its lease")
        # The silent one delays nobody: the same worker fetches what comes meanwhile.
        meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
        other = arrive(app, meta, photo)
        wait_until(lambda: row_of(other).status is FetchStatus.DONE, "the second file is here")
        assert row_of(message).status is FetchStatus.PROCESSING
        worker.kill()
        worker.wait()

    assert db.session.get_one(Message, message.id).media_file_id is None
    bubble = find_bubble(message.id)
    assert bubble is not None
    assert bubble.attachment is not None
    assert bubble.attachment.state == "coming"
    assert compare_store() == Comparison(files=1)

    # A person who waits need not wait for the lease: the file is fetched from its beginning.
    wait_until(lambda: is_taken_over(message, lease_seconds=6), "a person may take over")
    meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
    assert fetch(message).status is FetchStatus.DONE
    for file in db.session.query(File):
        assert hash_of(folder / "files" / file.file_path) == file.sha256
        assert file.size_bytes == len(photo)
    assert compare_store() == Comparison(files=2)

    # What the dead one left goes when it is old; what is young may be somebody's work.
    young, old = (folder / "files" / name for name in (".young.jpg.1.part", ".old.jpg.2.part"))
    for path in (young, old):
        path.write_bytes(b"half")
    long_ago = time.time() - 2 * 3600
    (left,) = received(folder)
    for path in (old, left.parent):
        os.utime(path, (long_ago, long_ago))
    job.tidy(utcnow().isoformat())
    assert received(folder) == []
    assert (young.exists(), old.exists()) == (True, False)


def test_a_worker_that_slept_through_its_lease_stops_and_keeps_nothing(
    app: Flask, folder: Path, meta: ScriptedServer, photo: bytes, start_worker: Callable
) -> None:
    go_on = threading.Event()
    meta.scripts[:] = [link_to(meta, photo), half_of(photo, go_on)]
    message = arrive(app, meta, photo)
    with start_worker(message.whatsapp_number_id, lease_seconds=2) as worker:
        wait_until(lambda: received(folder), "half of the file has arrived")
        kill(worker.pid, signal.SIGSTOP)
        # Nobody presses anything: the clock finds it as soon as the lease is over.
        wait_until(
            lambda: row_of(message) and claims.find_due_fetches() == [message.whatsapp_number_id],
            "its lease is over",
        )
        meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
        row = fetch(message)
        assert (row.status, row.attempts) == (FetchStatus.DONE, 2)
        kill(worker.pid, signal.SIGCONT)
        go_on.set()
        assert worker.wait(PATIENCE) == 0
    row = row_of(message)
    assert (row.status, row.attempts) == (FetchStatus.DONE, 2)
    assert compare_store() == Comparison(files=1)
    assert received(folder) == []


def test_a_worker_that_is_asked_to_stop_gives_its_files_back_at_once(
    app: Flask, folder: Path, meta: ScriptedServer, photo: bytes, start_worker: Callable
) -> None:
    go_on = threading.Event()
    meta.scripts[:] = [link_to(meta, photo), half_of(photo, go_on)]
    message = arrive(app, meta, photo)
    # The lease would keep everybody off for an hour.
    with start_worker(message.whatsapp_number_id, lease_seconds=3600) as worker:
        wait_until(lambda: received(folder), "half of the file has arrived")
        kill(worker.pid, signal.SIGTERM)
        wait_until(lambda: row_of(message).status is FetchStatus.PENDING, "it is given back")
        meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
        row = fetch(message)
        assert (row.status, row.attempts) == (FetchStatus.DONE, 1)
        go_on.set()
        assert worker.wait(PATIENCE) == 0
    assert row_of(message).status is FetchStatus.DONE
    assert compare_store() == Comparison(files=1)
    assert received(folder) == []


@pytest.fixture
def tiny_disk(folder: Path) -> Iterator[Path]:
    """The data folder as a file system of one megabyte."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a disk of one megabyte needs the right to mount: {done.stderr.strip()}")
    with ExitStack() as leaving:
        leaving.callback(subprocess.run, ["umount", "-l", str(folder)], check=True)
        yield folder


def test_e7_a_full_disk_is_said_stops_no_text_and_leaves_no_half_file(
    app: Flask, tiny_disk: Path, meta: ScriptedServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    photo = media.noise(elsewhere / "photo.jpg", size=(1100, 1100)).read_bytes()
    assert 600_000 < len(photo) < 4_000_000
    with atomic():
        cast = make_cast()
        chat = factories.make_chat(campaign=cast.sales, number=cast.number, agent=cast.laura)
        factories.make_message(chat)
        cast.number.meta_phone_number_id = PHONE_NUMBER_ID
    laura = person(app, cast.laura)

    refused = upload(laura, chat, photo, name="foto.jpg")
    assert refused.status_code == 507
    assert "no queda espacio" in refused.text.lower() or "no room" in refused.text
    meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
    message = arrive(app, meta, photo)
    row = fetch(message)
    assert (row.status, row.error_code) == (FetchStatus.PENDING, "no_room")
    assert db.session.query(Alarm.kind).filter(Alarm.ended_at.is_(None)).all() == [("store_full",)]
    take_in(body(words("wamid.while.full", "¿Me leen?")))
    assert db.session.query(Message).filter_by(whatsapp_message_id="wamid.while.full").count() == 1
    assert [path for path in tiny_disk.rglob("*") if path.is_file()] == []

    # Room again: what came in is fetched by itself, and the agent's next try works.
    subprocess.run(["mount", "-o", "remount,size=40m", str(tiny_disk)], check=True)
    meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
    make_due(message)
    assert fetch(message).status is FetchStatus.DONE
    assert upload(laura, chat, photo, name="foto.jpg").status_code == 201
    assert compare_store() == Comparison(files=2)
