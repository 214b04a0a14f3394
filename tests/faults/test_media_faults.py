"""Files under rows E7 and E8 of the fault matrix: a killed fetch, a disk that is really full."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
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
from tests import factories, media
from tests.blueprints.test_media import person, upload
from tests.cast import make_cast
from tests.faults.processes import ROOT, wait_until
from tests.jobs.test_media import arrive, fetch, link_to, make_due
from tests.providers.deliveries import PHONE_NUMBER_ID, body, words
from tests.providers.scripted_server import ScriptedServer, answer, hang, serving
from tests.services.way_in import take_in

FETCH = (
    "from wsgi import app; from crm.jobs import media; app.app_context().push(); media.fetch({})"
)


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


def half_of(content: bytes):  # type: ignore[no-untyped-def]
    """The first half of a file, and then silence on an open line."""
    head = f"HTTP/1.1 200 X\r\nContent-Length: {len(content)}\r\n\r\n".encode()

    def half(connection, stop):  # type: ignore[no-untyped-def]
        connection.sendall(head + content[: len(content) // 2])
        hang()(connection, stop)

    return half


def received(folder: Path) -> list[Path]:
    return [path for path in (folder / "spool").glob("*/given") if path.stat().st_size]


def test_a_worker_that_is_killed_while_it_fetches_loses_no_file_and_shows_no_half_one(
    app: Flask, folder: Path, meta: ScriptedServer, environment: dict[str, str], tmp_path: Path
) -> None:
    photo = media.noise(tmp_path / "photo.jpg", size=(900, 900)).read_bytes()
    meta.scripts[:] = [link_to(meta, photo), half_of(photo)]
    message = arrive(app, meta, photo)
    worker = subprocess.Popen(
        [sys.executable, "-c", FETCH.format(message.whatsapp_number_id)],
        cwd=ROOT,
        env={
            **os.environ,
            **environment,
            "META_GRAPH_URL": app.config["CRM"].meta_graph_url,
            "CRM_DATA_DIR": str(folder),
        },
    )
    wait_until(lambda: received(folder), "half of the file has arrived")
    worker.kill()
    worker.wait()

    db.session.rollback()
    db.session.expire_all()
    assert db.session.get_one(Message, message.id).media_file_id is None
    bubble = find_bubble(message.id)
    assert bubble is not None
    assert bubble.attachment is not None
    assert bubble.attachment.state == "coming"
    assert compare_store() == Comparison()

    # Its lease ends, and somebody else fetches the file from its beginning.
    with atomic():
        row = db.session.get_one(MediaFetch, message.id)
        assert row.status is FetchStatus.PROCESSING
        row.lease_until = utcnow() - timedelta(seconds=1)
    meta.scripts[:] = [link_to(meta, photo), answer(200, photo)]
    assert fetch(message).status is FetchStatus.DONE
    file = db.session.query(File).one()
    assert hash_of(folder / "files" / file.file_path) == file.sha256
    assert file.size_bytes == len(photo)
    assert compare_store() == Comparison(files=1)

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
