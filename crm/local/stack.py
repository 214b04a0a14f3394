"""The local stack: servers, web, workers, clock and the simulated WhatsApp under one supervisor."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from crm import create_app, embedded, log
from crm.config import Config
from crm.jobs.supervisor import Child, Supervisor
from crm.local import servers
from crm.local.accounts import DemoAccounts, find_accounts
from crm.local.settings import LocalSettings, keep, read_lines, write_lines

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 90
# The pid of `make`, set by the Makefile: killed with -9 it leaves its children, so they watch it.
STOP_WITH_PARENT = "CRM_STOP_WITH_PARENT"
LOG_BYTES = 10 * 1024 * 1024


class StackError(Exception):
    """The stack cannot run; the text is one line for people."""


class StoppedEarly(Exception):
    """Somebody asked us to end before we were up."""


class Stack:
    """`run()` brings everything up, says where it is, and stays until it is told to end."""

    def __init__(self, settings: LocalSettings) -> None:
        self.settings = settings
        self.parent = os.environ.get(STOP_WITH_PARENT)
        self.supervisor = Supervisor(
            say=lambda text: say(f"  {text}"), each_round=self._stop_with_parent
        )

    def run(self) -> None:
        os.umask(0o077)
        with only_one(self.settings):
            check_port("PORT", self.settings.port)
            check_port("SIMULATOR_PORT", self.settings.simulator_port)
            try:
                self._bring_up()
                self.supervisor.run()
            except StoppedEarly:
                pass
            finally:
                say("Charla is stopping ...")
                environment_file(self.settings.folder).unlink(missing_ok=True)
                self.supervisor.stop_all()
        say("Charla has stopped.")

    def _bring_up(self) -> None:
        if self.settings.owns_servers:
            self._start_servers()
        else:
            say("Using the Postgres and Redis of DATABASE_URL and REDIS_URL.")
            servers.check_servers(self.settings.environment)
        web, *others = processes(self.settings)
        is_current = servers.is_current(self.settings.environment)
        # With nothing to migrate the web process loads the application while we look around here;
        # the others wait until the page is there.
        if is_current:
            self.supervisor.add(web)
        accounts = self._accounts() if is_current else DemoAccounts()
        if not accounts.people:
            self._prepare()
            accounts = self._accounts()
        if not is_current:
            self.supervisor.add(web)
        self._wait_for_web()
        for child in others:
            self.supervisor.add(child)
        environment = shown_environment(self.settings.environment)
        write_lines(environment_file(self.settings.folder), environment)
        say(welcome(self.settings, accounts))

    def _accounts(self) -> DemoAccounts:
        environment, kept = self.settings.environment, self.settings.kept
        passwords = (kept["CRM_DEMO_PASSWORD"], environment["CRM_DEMO_PASSWORD"])
        return find_accounts(environment, passwords)

    def _prepare(self) -> None:
        """Migrations, and the demo data for a database that nobody uses yet."""
        # Imported here, with the application: a later start finds all of it done and needs neither.
        from crm.local import preparation

        # On this terminal somebody reads; what is routine stands in the logs of the processes.
        log.configure(logging.WARNING)
        environment, kept = self.settings.environment, self.settings.kept
        app = create_app(Config.from_env(environment))
        preparation.migrate(app)
        before = dict(kept)
        preparation.load_demo(app, environment, kept)
        if kept != before:
            keep(self.settings.folder, kept)

    def _start_servers(self) -> None:
        folder = self.settings.folder / "servers"
        embedded.make_folder(folder)
        self.supervisor.add(
            Child(
                name="servers",
                command=embedded.guard_command(folder, parent=os.getpid()),
                log=log_file(self.settings, "servers"),
                grace=25,
                # The guard takes the servers along in good order; SIGKILL would leave them no time.
                signal_when_orphaned=15,
            )
        )
        for _ in self._rounds(embedded.START_SECONDS, "The embedded servers do not start"):
            guard = self.supervisor.pids().get("servers", 0)
            urls = embedded.ready_urls(folder, guard=guard)
            if urls is not None:
                self.settings.environment["DATABASE_URL"] = urls.database_url
                self.settings.environment["REDIS_URL"] = urls.redis_url
                return

    def _wait_for_web(self) -> None:
        url = f"http://127.0.0.1:{self.settings.port}/healthz"
        log = log_file(self.settings, "web")
        for _ in self._rounds(READY_SECONDS, f"The web process does not answer; see {log}"):
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
                return

    def _rounds(self, seconds: float, failure: str) -> Iterator[None]:
        """Rounds of waiting in which the supervisor goes on with its work."""
        deadline = time.monotonic() + seconds
        while True:
            yield
            if time.monotonic() > deadline:
                raise StackError(failure)
            self.supervisor.wait(0.05)
            self.supervisor.keep()
            if self.supervisor.stopping:
                raise StoppedEarly

    def _stop_with_parent(self) -> None:
        if self.parent and str(os.getppid()) != self.parent:
            self.supervisor.stop()


def processes(settings: LocalSettings) -> list[Child]:
    """What the Procfile names, and the simulator; the same commands, so that nothing differs."""
    flask = [sys.executable, "-m", "flask", "--app", "wsgi"]
    commands = {
        "web": [sys.executable, "-m", "gunicorn", "wsgi:app"],
        "worker": [*flask, "worker"],
        "clock": [*flask, "clock"],
        "simulator": [sys.executable, "-m", "crm.simulator"],
    }
    return [
        Child(
            name=name,
            command=command,
            env=settings.environment,
            cwd=ROOT,
            log=log_file(settings, name),
            stage=1,
            grace=25 if name == "worker" else 10,
        )
        for name, command in commands.items()
    ]


def log_file(settings: LocalSettings, name: str) -> Path:
    """The child's log; a big one makes place once, when the stack starts."""
    folder = settings.folder / "log"
    embedded.make_folder(folder)
    path = folder / f"{name}.log"
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
    return path


@contextlib.contextmanager
def only_one(settings: LocalSettings) -> Iterator[None]:
    """Hold the data folder. The kernel drops the lock with the process, so it is never stale."""
    with open(settings.folder / "stack.lock", "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            port = read_lines(environment_file(settings.folder)).get("PORT")
            where = f" at http://localhost:{port}" if port else ""
            raise StackError(
                f"Charla runs from this folder already{where}; stop that one first, or set "
                "CRM_DATA_DIR and PORT for a second one beside it."
            ) from None
        yield


def check_port(name: str, port: int) -> None:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with contextlib.closing(socket.socket(family)) as probe:
            # As the servers do it: a port in TIME_WAIT of the last run is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno == errno.EACCES:
                    raise StackError(
                        f"Port {port} needs more rights than we have; take one above 1023, "
                        f"e.g. {name}=8000 make run"
                    ) from None
                if error.errno == errno.EADDRINUSE:
                    raise StackError(
                        f"Port {port} is taken by another program; stop that one, or choose "
                        f"another port, e.g. {name}={port + 10} make run"
                    ) from None


def environment_file(folder: Path) -> Path:
    """Where a running stack leaves its settings for `flask local env`."""
    return folder / "local.env"


def shown_environment(environment: dict[str, str]) -> dict[str, str]:
    """Our own settings out of the whole environment, in the order of their names."""
    prefixes = ("CRM_", "META_", "SIMULATOR_", "WEB_")
    names = {"PORT", "DATABASE_URL", "REDIS_URL", "SECRET_KEY"}
    return {
        name: value
        for name, value in sorted(environment.items())
        if (name in names or name.startswith(prefixes)) and name != STOP_WITH_PARENT
    }


def find_environment(folder: Path) -> dict[str, str] | None:
    """The settings of the stack that runs from this folder; None without one."""
    values = read_lines(environment_file(folder))
    if not values:
        return None
    try:
        with open(folder / "stack.lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return values
    except FileNotFoundError:
        pass
    return None


def welcome(settings: LocalSettings, accounts: DemoAccounts) -> str:
    lines = [
        "",
        f"  Charla        {settings.address}",
        f"  WhatsApp      {settings.simulator_address}   (a simulated phone: write as a customer)",
        "",
    ]
    lines += [f"  {line}" for line in accounts.lines()]
    lines += ["", f"  Logs in {shorten(settings.folder / 'log')}; Ctrl-C stops everything.", ""]
    return "\n".join(lines)


def shorten(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def say(text: str) -> None:
    """To the terminal; a terminal that is gone must not end the stack in the middle of its stop."""
    with contextlib.suppress(OSError, ValueError):
        print(text, flush=True)
