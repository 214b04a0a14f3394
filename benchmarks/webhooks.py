"""Webhook messages stored per second, as a ratio to a floor of the same run.

Both servers are gunicorn with the product's own gunicorn.conf.py (one gevent worker each), on the
same embedded Postgres, under the same load generator in a process of its own, in turns: floor,
ours, floor, ours. The floor is a bare Flask application with one raw INSERT per request (floor.py).
Every delivery is one signed text message of its own, spread over CLIENTS customers. What counts is
a message that was answered with 200 and stands in the table.

    python -m benchmarks.webhooks [--seconds 4] [--rounds 3] [--connections 16 64] [--bare]
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import hmac
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
from cryptography.fernet import Fernet

from crm import embedded

ROOT = Path(__file__).parent.parent
SECRET = "bench-app-secret"
PHONE_NUMBER_ID = "880000000000101"
CLIENTS = 500
CONNECTIONS = (16, 64)
AIMS = {16: 0.5, 64: 0.8}
# More than any round can use; a round that runs out says so.
BODIES_PER_SECOND = 6000

_serial = itertools.count(1)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=4)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--connections", type=int, nargs="*", default=CONNECTIONS)
    arguments.add_argument("--bare", action="store_true", help="a floor without Flask")
    given = arguments.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="charla-bench-", ignore_cleanup_errors=True) as folder,
        embedded.servers(Path(folder) / "servers") as urls,
    ):
        return run(given, Path(folder), settings(urls))


def settings(urls: embedded.Urls) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": urls.database_url,
        "REDIS_URL": urls.redis_url,
        "SECRET_KEY": "bench-secret-key-of-more-than-32-characters",
        "CRM_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "CRM_BIND": "127.0.0.1",
        "META_APP_SECRET": SECRET,
        "META_VERIFY_TOKEN": "bench",
    }


def run(given: Any, folder: Path, environment: dict[str, str]) -> int:
    prepare_database(environment)
    missed = False
    with (
        server("wsgi:app", environment) as ours,
        server(f"benchmarks.floor:{'bare' if given.bare else 'app'}", environment) as floor,
    ):
        warm_up(ours, floor, folder, environment)
        for connections in given.connections:
            rates: dict[str, list[float]] = {"floor": [], "ours": []}
            for _ in range(given.rounds):
                for name, port in (("floor", floor), ("ours", ours)):
                    result = measure(port, connections, given.seconds, folder, environment)
                    rates[name].append(result["rate"])
                    print(f"  {connections:>3} connections  {name:<5} {result['shown']}")
            ratios = [mine / base for mine, base in zip(rates["ours"], rates["floor"], strict=True)]
            ratio = statistics.median(ratios)
            aim = AIMS.get(connections, 0.0)
            missed = missed or ratio < aim
            print(
                f"webhooks at {connections} connections: {statistics.median(rates['ours']):.0f}/s, "
                f"floor {statistics.median(rates['floor']):.0f}/s, ratio {ratio:.2f} "
                f"(aim {aim}; rounds {', '.join(f'{one:.2f}' for one in ratios)})"
            )
    return 1 if missed else 0


def prepare_database(environment: dict[str, str]) -> None:
    """The real schema, one number with its campaign, and the floor's table."""
    flask = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    subprocess.run(flask, check=True, env=environment, cwd=ROOT, capture_output=True)
    execute(
        environment,
        "CREATE TABLE bench_floor (id bigserial PRIMARY KEY, body bytea NOT NULL,"
        " received_at timestamptz NOT NULL DEFAULT now())",
        "INSERT INTO campaigns (name, code, bot_enabled) VALUES ('Bench', 'B', false)",
        "INSERT INTO whatsapp_numbers (phone_number, provider, meta_phone_number_id, status)"
        f" VALUES ('+576015550101', 'meta', '{PHONE_NUMBER_ID}', 'active')",
        "INSERT INTO campaign_numbers (campaign_id, whatsapp_number_id) VALUES (1, 1)",
    )


def warm_up(ours: int, floor: int, folder: Path, environment: dict[str, str]) -> None:
    """Every customer has written once, and somebody has their chat: the state of a working day."""
    measure(ours, 16, 60, folder, environment, bodies=CLIENTS * 2)
    measure(floor, 16, 60, folder, environment, bodies=CLIENTS * 2)
    execute(environment, "UPDATE chats SET status = 'active', owner = 'human'", "ANALYZE")


def measure(
    port: int,
    connections: int,
    seconds: float,
    folder: Path,
    environment: dict[str, str],
    *,
    bodies: int | None = None,
) -> dict[str, Any]:
    """One round: `rate` is what was stored per second, counted in the tables."""
    file = folder / "requests"
    count = bodies or int(seconds * BODIES_PER_SECOND)
    file.write_bytes(b"\n".join(base64.b64encode(request()) for _ in range(count)))
    before = stored(environment)
    command = [sys.executable, "-m", "benchmarks.load"]
    arguments = [str(port), str(connections), str(seconds), str(file)]
    done = subprocess.run(
        [*command, *arguments], check=True, capture_output=True, cwd=ROOT, env=environment
    )
    result: dict[str, Any] = json.loads(done.stdout)
    added = stored(environment) - before
    answered = result["answers"].get("200", 0)
    if result["answers"] != {"200": added}:
        sys.exit(f"answers {result['answers']}, but {added} rows were stored")
    if result["left"] == 0 and bodies is None:
        sys.exit("the bodies ran out: raise BODIES_PER_SECOND")
    result["rate"] = added / result["seconds"]
    result["shown"] = (
        f"{result['rate']:7.0f}/s   p50 {result['p50']} ms   p99 {result['p99']} ms   "
        f"{answered} stored"
    )
    return result


def request() -> bytes:
    """One signed POST with one new text message."""
    n = next(_serial)
    sender = str(573000000000 + n * 7 % CLIENTS)
    text = f"Hola, ¿tienen disponible el número {n}? Lo necesito para mañana."
    return signed_post(sender, text)


def signed_post(sender: str, text: str) -> bytes:
    """The whole request in which Meta delivers one new message."""
    message = {
        "from": sender,
        "id": f"wamid.BENCH{os.getpid()}N{next(_serial):012d}",
        "timestamp": str(int(time.time())),
        "type": "text",
        "text": {"body": text},
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "576015550101", "phone_number_id": PHONE_NUMBER_ID},
        "contacts": [{"profile": {"name": "Lucía Peña"}, "wa_id": sender}],
        "messages": [message],
    }
    entry = {"id": "770000000000001", "changes": [{"value": value, "field": "messages"}]}
    body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        "POST /webhooks/meta HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"X-Hub-Signature-256: sha256={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextlib.contextmanager
def server(application: str, environment: dict[str, str]) -> Iterator[int]:
    """gunicorn with the product's own settings; its port."""
    port = free_port()
    gunicorn = [sys.executable, "-m", "gunicorn"]
    config = "gunicorn.conf.py" if application == "wsgi:app" else "benchmarks/floor_conf.py"
    process = subprocess.Popen(
        [*gunicorn, "-c", config, application],
        env={**environment, "PORT": str(port)},
        cwd=ROOT,
    )
    try:
        wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            sys.exit("gunicorn did not start")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.1)
    sys.exit("gunicorn does not listen")


def execute(environment: dict[str, str], *statements: str) -> Any:
    """Run statements; the first row of the last one, where it has any."""
    connection = psycopg2.connect(environment["DATABASE_URL"])
    try:
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchone() if cursor.description else None
    finally:
        connection.close()


def stored(environment: dict[str, str]) -> int:
    """Messages of ours plus rows of the floor's."""
    query = "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM bench_floor)"
    return int(execute(environment, query)[0])


if __name__ == "__main__":
    sys.exit(main())
