"""From an event to the browsers: latency with 1,000 open sockets, beside a floor of the same run.

One gunicorn process (gevent) with the product's own settings holds 1,000 sockets of 250 agents; the
pages live in a process of their own and answer pings. Three ways are measured:

    everybody   the row of a waiting chat, which all 1,000 pages may see: from publish to each page
    floor       the same bytes from Redis through a bare websocket server to 1,000 sockets
    webhook     Meta's POST with a customer's message, to the pages of the agent who has the chat

    make bench ARGS=sockets        or        python -m benchmarks.sockets [--sockets 1000]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import redis

from benchmarks import webhooks
from benchmarks.socket_floor import CHANNEL as FLOOR_CHANNEL
from crm import embedded
from crm.events import CHANNEL, Audience, ChatChanged, encode
from crm.lib.crypto import hash_token

SOCKETS_PER_USER = 4
AIM_MS = 150.0
# A row as our template renders it is about this long.
FLOOR_BYTES = 2600

PEOPLE = """
    INSERT INTO users (email, password_hash, first_name, last_name, role_id, agent_status)
    SELECT 'bench' || n || '@example.com', 'x', 'Agente', 'Número ' || n,
           (SELECT id FROM roles WHERE name = 'agent'), 'available'
    FROM generate_series(1, %(people)s) AS n;
    INSERT INTO campaign_agents (campaign_id, user_id)
    SELECT 1, id FROM users WHERE email LIKE 'bench%%';
    INSERT INTO clients (first_name, last_name, phone_number)
    SELECT 'Cliente', 'Número ' || n, '+' || (573100000000 + n)
    FROM generate_series(1, %(people)s) AS n;
    INSERT INTO client_identities (client_id, kind, value)
    SELECT id, 'wa_id', ltrim(phone_number, '+') FROM clients;
    INSERT INTO chats (client_id, campaign_id, whatsapp_number_id, case_number, status,
                       assigned_agent_id, owner, assigned_at)
    SELECT client.id, 1, 1, 'B-' || client.id, 'active', agent.id, 'human', now()
    FROM clients client
    JOIN users agent ON agent.email = 'bench' || (client.phone_number::bigint - 573100000000)
                                              || '@example.com';
    WITH waiting AS (
        INSERT INTO clients (first_name, last_name)
        SELECT 'Quien', 'Espera ' || n FROM generate_series(1, %(waiting)s) AS n RETURNING id)
    INSERT INTO chats (client_id, campaign_id, whatsapp_number_id, case_number, status)
    SELECT id, 1, 1, 'W-' || id, 'queued' FROM waiting;
    INSERT INTO messages (chat_id, client_id, whatsapp_number_id, direction, content, status,
                          position)
    SELECT id, client_id, 1, 'inbound', 'Hola', 'delivered', now() FROM chats;
    UPDATE chats SET last_message_id = (SELECT max(id) FROM messages WHERE chat_id = chats.id),
                     message_count = 1, last_message_at = now(), last_inbound_at = now();
    ANALYZE;
"""


@dataclass(frozen=True)
class Latency:
    """Milliseconds from the cause to the pages; `reached` of `expected` arrivals."""

    values: list[float]
    expected: int

    def at(self, share: float) -> float:
        return sorted(self.values)[min(len(self.values) - 1, int(share * len(self.values)))]

    def __str__(self) -> str:
        return (
            f"p50 {self.at(0.5):6.1f} ms   p99 {self.at(0.99):6.1f} ms   most {self.at(1):6.1f} ms"
            f"   {len(self.values)} of {self.expected} arrivals"
        )


class Pages:
    """The process with all the sockets."""

    def __init__(self, port: int, wanted: list[dict[str, Any]], folder: Path) -> None:
        file = folder / "pages"
        file.write_text(json.dumps(wanted))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.pages", str(port), str(file)],
            cwd=webhooks.ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._read() != "ready":
            sys.exit("the pages could not connect")

    def arrivals(self) -> dict[str, list[int]]:
        """When each numbered message arrived, on each page; since the last call."""
        assert self.process.stdin
        self.process.stdin.write("arrivals\n")
        self.process.stdin.flush()
        answer = json.loads(self._read())
        if answer["closed"]:
            sys.exit(f"{answer['closed']} sockets were closed")
        return answer["arrivals"]

    def _read(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--events", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="charla-bench-", ignore_cleanup_errors=True) as folder,
        embedded.servers(Path(folder) / "servers") as urls,
    ):
        return run(given, Path(folder), webhooks.settings(urls))


def run(given: Any, folder: Path, environment: dict[str, str]) -> int:
    webhooks.prepare_database(environment)
    people = -(-given.sockets // SOCKETS_PER_USER)
    # A chat for each event: changes of one chat that follow closely are one row.
    wanted, waiting = prepare_people(environment, people, waiting=given.events)
    wanted = wanted[: given.sockets]
    redis_client = redis.Redis.from_url(environment["REDIS_URL"])
    found: dict[str, list[float]] = {}
    with (
        webhooks.server("wsgi:app", environment) as ours,
        webhooks.server("benchmarks.socket_floor:app", environment) as floor,
        pages(ours, wanted, folder) as own,
        pages(floor, wanted, folder) as bare,
    ):
        web, bare_web = worker_on(ours), worker_on(floor)
        print(f"  {given.sockets} sockets in one process: {megabytes(web)} MB")
        update = writer(environment)
        ways = {
            "floor": (bare, bare_web, floor_cause(redis_client), given.sockets),
            "everybody": (own, web, row_cause(redis_client, update, waiting), given.sockets),
            "webhook": (own, web, webhook_cause(ours, people), SOCKETS_PER_USER),
        }
        for _ in range(given.rounds):
            for name, (page, process, cause, expected) in ways.items():
                before = cpu_ms(process)
                latency = measure(page, cause, events=given.events, expected=expected)
                cpu = (cpu_ms(process) - before) / given.events
                for what, value in (("p50", latency.at(0.5)), ("p99", latency.at(0.99))):
                    found.setdefault(f"{name} {what}", []).append(value)
                found.setdefault(f"{name} cpu", []).append(cpu)
                print(f"  {name:<10} {latency}   {cpu:5.1f} ms of processor time each")
        print(f"  afterwards {megabytes(web)} MB")
    return conclude({name: statistics.median(values) for name, values in found.items()})


def conclude(found: dict[str, float]) -> int:
    """Latency is what people feel; processor time is what a busy machine does not falsify."""
    worst = max(found["everybody p99"], found["webhook p99"])
    ratio = {
        what: found[f"everybody {what}"] / found[f"floor {what}"] for what in ("p50", "p99", "cpu")
    }
    print(
        f"sockets: everybody p50 {found['everybody p50']:.0f} ms, p99 {found['everybody p99']:.0f} "
        f"ms, floor {found['floor p50']:.0f} and {found['floor p99']:.0f} ms: ratio "
        f"{ratio['p50']:.2f} and {ratio['p99']:.2f}; processor time {ratio['cpu']:.2f} of the "
        f"floor's; webhook to page p50 {found['webhook p50']:.0f} ms, p99 "
        f"{found['webhook p99']:.0f} ms (aim: p99 under {AIM_MS:.0f} ms)"
    )
    return 1 if worst > AIM_MS else 0


def measure(pages: Pages, cause: Callable[[int], int], *, events: int, expected: int) -> Latency:
    """Cause `events` events, one every 100 ms; `cause(number)` returns when it began, in ns."""
    pages.arrivals()
    begun: dict[str, int] = {}
    first = time.monotonic_ns() % 1_000_000_000 * 1000
    for number in range(first, first + events):
        begun[str(number)] = cause(number)
        time.sleep(0.1)
    time.sleep(1.5)
    arrivals = pages.arrivals()
    values = [
        (arrived - started) / 1e6
        for number, started in begun.items()
        for arrived in arrivals.get(number, ())
    ]
    if len(values) != events * expected:
        sys.exit(f"{events * expected - len(values)} of {events * expected} arrivals are missing")
    return Latency(values, events * expected)


def floor_cause(client: redis.Redis) -> Callable[[int], int]:
    filler = "x" * FLOOR_BYTES

    def cause(number: int) -> int:
        started = time.monotonic_ns()
        client.publish(FLOOR_CHANNEL, f"{filler}«{number}»".encode())
        return started

    return cause


def row_cause(
    client: redis.Redis, update: Callable[[int, int], None], waiting: list[int]
) -> Callable[[int], int]:
    """A waiting chat's last message changes; the row goes to everybody."""

    def cause(number: int) -> int:
        chat_id = waiting[number % len(waiting)]
        update(chat_id, number)
        started = time.monotonic_ns()
        event = encode(ChatChanged(chat_id), Audience(1, (), waiting=True))
        client.publish(CHANNEL, f"[{event}]")
        return started

    return cause


def webhook_cause(port: int, people: int) -> Callable[[int], int]:
    """A customer writes to the agent who has their chat, over HTTP as Meta does it."""
    connection = socket.create_connection(("127.0.0.1", port))

    def cause(number: int) -> int:
        sender = str(573100000001 + number % people)
        raw = webhooks.signed_post(sender, f"¿Me ayuda con el pedido «{number}»?")
        started = time.monotonic_ns()
        connection.sendall(raw)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        answer.read()
        if answer.status != 200:
            sys.exit(f"the webhook was answered with {answer.status}")
        return started

    return cause


def prepare_people(
    environment: dict[str, str], people: int, *, waiting: int
) -> tuple[list[dict[str, Any]], list[int]]:
    """Agents with a chat and a session each: what every page needs to open. And who waits."""
    connection = psycopg2.connect(environment["DATABASE_URL"])
    with connection, connection.cursor() as cursor:
        cursor.execute(PEOPLE, {"people": people, "waiting": waiting})
        cursor.execute("SELECT id FROM chats WHERE status = 'queued'")
        chats = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            "SELECT u.id, c.id FROM users u JOIN chats c ON c.assigned_agent_id = u.id ORDER BY 1"
        )
        rows = cursor.fetchall()
        for user_id, _chat in rows:
            cursor.execute(
                "INSERT INTO user_sessions (user_id, token, expires_at)"
                " VALUES (%s, %s, now() + interval '1 hour')",
                (user_id, hash_token(f"bench-{user_id}")),
            )
    connection.close()
    wanted = [
        {"token": f"bench-{user_id}", "chat_id": chat_id}
        for _ in range(SOCKETS_PER_USER)
        for user_id, chat_id in rows
    ]
    return wanted, chats


def writer(environment: dict[str, str]) -> Callable[[int, int], None]:
    connection = psycopg2.connect(environment["DATABASE_URL"])
    connection.autocommit = True
    cursor = connection.cursor()

    def update(chat_id: int, number: int) -> None:
        cursor.execute(
            "UPDATE messages SET content = %s WHERE chat_id = %s",
            (f"¿Hay alguien? «{number}»", chat_id),
        )

    return update


@contextlib.contextmanager
def pages(port: int, wanted: list[dict[str, Any]], folder: Path) -> Iterator[Pages]:
    opened = Pages(port, wanted, folder)
    try:
        yield opened
    finally:
        opened.close()


def worker_on(port: int) -> psutil.Process:
    """The worker of the gunicorn that listens on `port`."""
    for process in psutil.Process().children(recursive=True):
        parent = process.parent()
        with contextlib.suppress(psutil.Error):
            if process.environ().get("PORT") == str(port) and parent and parent.pid != os.getpid():
                return process
    sys.exit("gunicorn has no worker")


def megabytes(process: psutil.Process) -> int:
    return process.memory_info().rss // 1_000_000


def cpu_ms(process: psutil.Process) -> float:
    times = process.cpu_times()
    return (times.user + times.system) * 1000


if __name__ == "__main__":
    sys.exit(main())
