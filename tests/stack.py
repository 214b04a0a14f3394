"""The whole product for a test: `flask local run` with its own servers, ports and simulator.

The tests that use it see what a newcomer sees after `make run`; they kill what a crash would kill.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg2
import requests

from crm import embedded
from tests.simulator.server import free_port

ROOT = Path(__file__).parents[1]
PASSWORD = "demo-clave-larga"
START_SECONDS = 60


@dataclass
class RunningStack:
    """A started product. `settings` is what `flask local env` prints."""

    process: subprocess.Popen[bytes]
    settings: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings['PORT']}"

    @property
    def simulator_url(self) -> str:
        return f"http://127.0.0.1:{self.settings['SIMULATOR_PORT']}"

    def query(self, sql: str, *values: object) -> list[tuple]:
        """Rows straight from the stack's database."""
        address = self.settings["DATABASE_URL"].replace("+psycopg2", "")
        with contextlib.closing(psycopg2.connect(address)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                return cursor.fetchall() if cursor.description else []

    def processes(self, *words: str) -> list[psutil.Process]:
        """The stack's processes whose command line holds every one of `words`."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if all(word in line for word in words):
                    found.append(process)
        return found


@contextlib.contextmanager
def running_stack(folder: Path, **environment: str) -> Iterator[RunningStack]:
    """Start the product on servers of its own, wait until it is up, stop it at the end.

    Servers of its own, because its workers and its clock would take the jobs that other tests of
    the run ring for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with embedded.servers(folder / "lent-servers", durable=False) as servers:
        settings = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CRM_", "META_", "SIMULATOR_"))
        } | {
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "CRM_DATA_DIR": str(folder),
            "CRM_DEMO_PASSWORD": PASSWORD,
            "PORT": str(free_port()),
            "SIMULATOR_PORT": str(free_port()),
            "CRM_SWEEP_SECONDS": "1",
            "CRM_LEASE_SECONDS": "5",
            "CRM_ACCESS_CHECK_SECONDS": "1",
            "SIMULATOR_DELAY_SCALE": "0.1",
            **environment,
        }
        log = folder / "stack.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "flask", "--app", "wsgi", "local", "run"],
                cwd=ROOT,
                env=settings,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until_up(process, f"http://127.0.0.1:{settings['PORT']}/readyz", log)
            yield RunningStack(process, settings_of(folder, settings))
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def settings_of(folder: Path, given: dict[str, str]) -> dict[str, str]:
    lines = (folder / "local.env").read_text().splitlines()
    return given | dict(line.split("=", 1) for line in lines if "=" in line)


def wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=2).status_code == 200 and b"Password" in log.read_bytes():
                return
        time.sleep(0.1)
    raise AssertionError(f"the stack did not come up:\n{log.read_text(errors='replace')[-4000:]}")
