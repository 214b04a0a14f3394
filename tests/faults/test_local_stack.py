"""`make run`: what it starts, what it says, and that nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

from crm import embedded
from crm.doorbell import QUEUES
from tests.faults.processes import FLASK, ROOT, LocalStack, kill, processes_of, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose stack ran once: later starts find migrations and demo data there."""
    return tmp_path_factory.mktemp("local") / "data"


@pytest.fixture
def stack(prepared: Path) -> Iterator[LocalStack]:
    stack = LocalStack(prepared)
    yield stack
    stack.stop()
    wait_until(lambda: not processes_of(prepared), f"all ended: {processes_of(prepared)}")


def count_chats(env: dict[str, str]) -> int:
    connection = psycopg2.connect(env["DATABASE_URL"])
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM chats")
            row = cursor.fetchone()
            return int(row[0]) if row else 0
    finally:
        connection.close()


def test_make_run_says_where_it_is_and_kill_9_of_make_takes_everything_along(
    stack: LocalStack,
) -> None:
    stack.start(["make", "run"]).wait_until_up()
    said = stack.said()
    assert f"http://localhost:{stack.port}" in said
    assert f"http://localhost:{stack.environment['SIMULATOR_PORT']}" in said
    assert said.count("@demo.charla.local") == 5
    env = stack.local_env()
    assert env["CRM_DEMO_PASSWORD"] in said
    assert stack.get("/login") == 200
    assert count_chats(env) > 0
    # Secrets stay with us: no other user of the machine reads them.
    for name in ("secrets.env", "local.env", "log/web.log"):
        assert (stack.folder / name).stat().st_mode & 0o077 == 0, name

    # A second one in the same folder is sent away with a clear word, and harms nothing.
    second = subprocess.run(
        [*FLASK, "local", "run"],
        cwd=ROOT,
        env={**stack.environment, "PORT": "8999"},
        capture_output=True,
        text=True,
    )
    assert second.returncode == 1
    assert f"already at http://localhost:{stack.port}" in second.stderr
    assert stack.local_env() == env
    assert stack.get("/healthz") == 200

    assert stack.process is not None
    kill(stack.process.pid)
    stack.process.wait()
    wait_until(lambda: not processes_of(stack.folder), f"gone: {processes_of(stack.folder)}")


def test_whatever_is_killed_comes_back_and_the_next_start_finds_its_data(
    stack: LocalStack,
) -> None:
    stack.start().wait_until_up()
    before = stack.local_env()
    chats = count_chats(before)
    assert set(stack.children()) == {"servers", "web", "worker", "clock", "simulator"}

    # The forks under `worker` and the processes under gunicorn are nobody's children then.
    worker, web = stack.children()["worker"], stack.children()["web"]
    wait_until(lambda: len(worker.children()) == len(QUEUES), "one process per queue")
    wait_until(web.children, "a process that serves")
    forks = worker.children() + web.children()
    kill(worker.pid)
    kill(web.pid)
    _, alive = psutil.wait_procs(forks, timeout=30)
    assert not alive

    def all_new(old: set[int]) -> bool:
        now = {name: process.pid for name, process in stack.children().items()}
        return len(now) == 5 and not set(now.values()) & old

    wait_until(lambda: all_new({worker.pid, web.pid}), "both came back")
    every = {process.pid for process in stack.children().values()}
    for pid in every:
        kill(pid)
    wait_until(lambda: all_new(every), "five new processes")
    wait_until(lambda: stack.get("/readyz") == 200, "web, Postgres and Redis answer again")

    # The supervisor itself: nothing is left, and nothing is lost.
    assert stack.process is not None
    kill(stack.process.pid)
    stack.process.wait()
    wait_until(lambda: not processes_of(stack.folder), f"gone: {processes_of(stack.folder)}")
    stack.start().wait_until_up()
    after = stack.local_env()
    assert after == before, "secrets and addresses are the same as before"
    assert count_chats(after) == chats
    assert after["CRM_DEMO_PASSWORD"] in stack.said()

    # Ctrl-C stops it in good order, without a trace.
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(60) == 0
    assert "Charla has stopped." in stack.said()
    assert processes_of(stack.folder) == []
    assert stack.local_env() == {}


def test_a_taken_port_gets_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        stack = LocalStack(tmp_path / "data")
        stack.environment["PORT"] = str(taken.getsockname()[1])
        process = stack.start().process
        assert process is not None
        assert process.wait(60) == 1
    assert stack.said().count("\n") == 1
    assert f"Port {taken_port(stack)} is taken by another program" in stack.said()
    assert processes_of(tmp_path) == []


def taken_port(stack: LocalStack) -> str:
    return stack.environment["PORT"]


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}, "set both"),
        ({"PORT": "80x"}, "PORT='80x' is not a whole number"),
        ({"CRM_DEMO_PASSWORD": "short"}, "CRM_DEMO_PASSWORD has fewer than 10 characters"),
        (
            {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"},
            "the Postgres of DATABASE_URL does not answer",
        ),
    ],
)
def test_a_wrong_setting_stops_the_start_with_a_word(
    tmp_path: Path, settings: dict[str, str], word: str
) -> None:
    stack = LocalStack(tmp_path / "data", settings=settings)
    process = stack.start().process
    assert process is not None
    assert process.wait(60) == 1
    assert word in stack.said()
    assert "Traceback" not in stack.said()
    wait_until(lambda: not processes_of(tmp_path), "nothing is left")


def test_with_addresses_given_it_starts_no_servers_and_leaves_foreign_data_alone(
    tmp_path: Path,
) -> None:
    with embedded.servers(tmp_path / "elsewhere", durable=False) as urls:
        settings = {"DATABASE_URL": urls.database_url, "REDIS_URL": urls.redis_url}
        stack = LocalStack(
            tmp_path / "data", settings={**settings, "CRM_DEMO_PASSWORD": "a-word-of-my-own"}
        )
        try:
            stack.start().wait_until_up()
            assert set(stack.children()) == {"web", "worker", "clock", "simulator"}
            assert "a-word-of-my-own" in stack.said()
            assert not (tmp_path / "data" / "servers").exists()
            assert stack.get("/login") == 200
            assert stack.process is not None
            stack.process.terminate()
            assert stack.process.wait(60) == 0
            assert "Charla has stopped." in stack.said()
            assert processes_of(tmp_path / "data") == []
        finally:
            stack.stop()
        # The servers that were lent to it run on.
        psycopg2.connect(urls.database_url).close()


def test_a_copy_of_the_folder_of_a_checkout_does_not_share_its_data(tmp_path: Path) -> None:
    """As root the data may lie elsewhere, behind a link that a copy takes along."""
    if os.geteuid() != 0:
        pytest.skip("only root keeps data behind a link")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    one, two = closed / "one", closed / "two"
    try:
        with embedded.servers(one) as urls:
            connection = psycopg2.connect(urls.database_url)
            connection.autocommit = True
            connection.cursor().execute("CREATE TABLE mine ()")
            connection.close()
        assert (one / "postgres").is_symlink()
        assert closed.stat().st_mode & 0o777 == 0o700, "permissions of others stay as they are"
        subprocess.run(["cp", "-a", str(one), str(two)], check=True)
        with embedded.servers(one) as first, embedded.servers(two) as second:
            assert first.database_url != second.database_url
            assert has_table(first.database_url)
            assert not has_table(second.database_url)
    finally:
        for folder in (one, two):
            if (folder / "postgres").is_symlink():
                target = Path(os.readlink(folder / "postgres"))
                subprocess.run(["rm", "-rf", str(target), f"{target}.folder"], check=True)


def has_table(url: str) -> bool:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('mine') IS NOT NULL")
            row = cursor.fetchone()
            return bool(row and row[0])
    finally:
        connection.close()
