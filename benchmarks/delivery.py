"""Messages that leave per second through the simulated WhatsApp, beside a bare loop of requests.

Ours is the delivery job as the worker runs it (one process), on the embedded Postgres with fsync:
claim, lease, fence, call, outcome. The floor posts the same bodies to the same simulator with
`requests`, one session per thread and as many threads, and writes nothing down. Both in turns, in a
process of their own; what counts stands in the simulator's ledger, once.

    python -m benchmarks.delivery [--messages 3000] [--rounds 3] [--numbers 10] [--threads 240]
    python -m benchmarks.delivery --answer-seconds 0.2              as slow as Meta is
    python -m benchmarks.delivery --messages 100000 --rounds 1      for the memory
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import psutil
import psycopg2
import requests

from benchmarks import webhooks
from crm import embedded
from crm.lib.crypto import encrypt

AIM = 0.7
CHATS_PER_NUMBER = 50
TOKEN = "simulator-token"
FIRST_NUMBER = 100000000000001

PREPARE = """
    INSERT INTO campaigns (name, code, bot_enabled) VALUES ('Bench', 'B', false);
    INSERT INTO whatsapp_numbers (phone_number, provider, meta_phone_number_id, meta_access_token,
                                  status, rate_limit_per_minute, daily_message_limit)
    SELECT '+5760155501' || n, 'meta', (%(first)s + n - 1)::text, %(token)s, 'active', 0, NULL
    FROM generate_series(1, %(numbers)s) AS n;
    INSERT INTO clients (first_name, phone_number)
    SELECT 'Cliente ' || n, '+' || (573200000000 + n)
    FROM generate_series(1, %(numbers)s * %(chats)s) AS n;
    INSERT INTO client_identities (client_id, kind, value)
    SELECT id, 'wa_id', ltrim(phone_number, '+') FROM clients;
    INSERT INTO chats (client_id, campaign_id, whatsapp_number_id, case_number, status, owner,
                       last_inbound_at)
    SELECT id, 1, 1 + id %% %(numbers)s, 'B-' || id, 'active', 'human', now() FROM clients;
"""
QUEUE = """
    WITH written AS (
        INSERT INTO messages (chat_id, client_id, whatsapp_number_id, direction, message_type,
                              content, client_key, status, max_retries)
        SELECT c.id, c.client_id, c.whatsapp_number_id, 'outbound', 'text',
               'Su pedido ' || n || ' va en camino', gen_random_uuid(), 'pending', 6
        FROM generate_series(1, %(messages)s) AS n
        JOIN chats c ON c.id = (SELECT min(id) FROM chats) + n %% (SELECT count(*) FROM chats)
        ORDER BY n
        RETURNING id, chat_id, whatsapp_number_id
    )
    INSERT INTO message_queue (message_id, chat_id, whatsapp_number_id, priority)
    SELECT id, chat_id, whatsapp_number_id, 100 FROM written ORDER BY id
"""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=3000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--numbers", type=int, default=10)
    arguments.add_argument("--threads", type=int, default=240, help="of each side, as the job's")
    arguments.add_argument("--answer-seconds", type=float, default=0.0, help="of the simulator")
    arguments.add_argument("--role", choices=("bench", "ours", "floor"), default="bench")
    given = arguments.parse_args()
    if given.role == "ours":
        return ours(given.threads)
    if given.role == "floor":
        return floor(given.threads, given.messages, given.numbers)
    with (
        tempfile.TemporaryDirectory(prefix="charla-bench-", ignore_cleanup_errors=True) as folder,
        embedded.servers(Path(folder) / "servers") as urls,
        simulator(Path(folder) / "simulator", given.numbers, given.answer_seconds) as (url, ledger),
    ):
        environment = {**webhooks.settings(urls), "META_GRAPH_URL": f"{url}/v23.0"}
        prepare(environment, given.numbers)
        return run(given, environment, ledger)


def run(given: Any, environment: dict[str, str], ledger: Path) -> int:
    rates: dict[str, list[float]] = {"floor": [], "ours": []}
    play(given, environment, ledger, "ours", messages=300)
    for _ in range(given.rounds):
        for role in rates:
            rates[role].append(play(given, environment, ledger, role, messages=given.messages))
    ratios = [mine / base for mine, base in zip(rates["ours"], rates["floor"], strict=True)]
    ratio = statistics.median(ratios)
    print(
        f"delivery: {statistics.median(rates['ours']):.0f}/s, floor "
        f"{statistics.median(rates['floor']):.0f}/s, ratio {ratio:.2f} (aim {AIM}; rounds "
        f"{', '.join(f'{one:.2f}' for one in ratios)})"
    )
    return 1 if ratio < AIM else 0


def play(
    given: Any, environment: dict[str, str], ledger: Path, role: str, *, messages: int
) -> float:
    """One round of one side; messages per second, by the ledger and the clock of the process."""
    if role == "ours":
        execute(environment, QUEUE, messages=messages)
        execute(environment, "ANALYZE message_queue")
    start = ledger.stat().st_size if ledger.exists() else 0
    command = [sys.executable, "-m", "benchmarks.delivery", "--role", role]
    sizes = ["--messages", str(messages), "--numbers", str(given.numbers)]
    done = subprocess.run(
        [*command, *sizes, "--threads", str(given.threads)],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    with ledger.open("rb") as file:
        file.seek(start)
        texts = Counter(json.loads(line)["biz_opaque_callback_data"] for line in file)
    if len(texts) != messages or set(texts.values()) != {1}:
        sys.exit(f"{messages} messages, but {texts.total()} in the ledger ({len(texts)} of them)")
    if role == "ours":
        left = execute(environment, "SELECT count(*) FROM messages WHERE status <> 'sent'")
        if left != 0:
            sys.exit(f"{left} messages were sent and not written down")
    rate = messages / float(told["seconds"])
    more = {name: value for name, value in told.items() if name != "seconds"}
    print(f"  {role:<5} {rate:7.0f}/s   {more}", flush=True)
    return rate


def ours(threads: int) -> int:
    """The job in this process until nothing waits, as the delivery worker runs it."""
    from crm import create_app
    from crm.config import Config
    from crm.jobs import messages as job
    from crm.jobs import under_way
    from crm.lib.memory import kept_for_good, share_heaps

    under_way.THREADS = threads
    share_heaps()
    with kept_for_good():
        app = create_app(Config.from_env())
    process = psutil.Process()
    sizes = []
    with app.app_context():
        client = job.client_for(20)
        under_way.under_way()
        begun, processor = time.perf_counter(), time.process_time()
        sizes.append(process.memory_info().rss)
        while True:
            config: Config = app.config["CRM"]
            more = job.Drain(app, job.settings_of(config), client).run(first=1, seconds=10)
            sizes.append(process.memory_info().rss)
            if not more:
                break
        ended = time.perf_counter()
    mine = time.process_time() - processor
    print(
        json.dumps(
            {
                "seconds": ended - begun,
                "processor_seconds": round(mine, 2),
                "megabytes": [size // 1_000_000 for size in sizes],
            }
        )
    )
    return 0


def floor(threads: int, messages: int, numbers: int) -> int:
    """The same calls from as many threads, and nothing else."""
    base = os.environ["META_GRAPH_URL"]
    waiting: SimpleQueue[int] = SimpleQueue()
    for n in range(messages):
        waiting.put(n)
    stamp = time.time_ns()

    def work() -> None:
        session = requests.Session()
        session.trust_env = False
        while True:
            try:
                n = waiting.get_nowait()
            except Empty:
                return
            body = {
                "messaging_product": "whatsapp",
                "recipient_type": "individual",
                "to": str(573200000001 + n % (numbers * CHATS_PER_NUMBER)),
                "type": "text",
                "text": {"body": f"Su pedido {n} va en camino", "preview_url": True},
                "biz_opaque_callback_data": f"floor-{stamp}-{n}",
            }
            answer = session.post(
                f"{base}/{FIRST_NUMBER + n % numbers}/messages",
                json=body,
                headers={"Authorization": f"Bearer {TOKEN}"},
                timeout=20,
            )
            answer.raise_for_status()
            answer.json()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    begun, processor = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    told = {"seconds": time.perf_counter() - begun}
    print(json.dumps({**told, "processor_seconds": round(time.process_time() - processor, 2)}))
    return 0


@contextlib.contextmanager
def simulator(
    folder: Path, numbers: int, answer_seconds: float = 0.0
) -> Iterator[tuple[str, Path]]:
    """A WhatsApp of its own: no limits, no statuses (nobody listens); its address and ledger."""
    port = webhooks.free_port()
    rows = [
        {
            "id": str(FIRST_NUMBER + n),
            "display_phone_number": f"+57 601 555 {n:04d}",
            "verified_name": f"Línea {n}",
            "waba_id": "200000000000001",
        }
        for n in range(numbers)
    ]
    environment = {
        **os.environ,
        "SIMULATOR_PORT": str(port),
        "SIMULATOR_WEBHOOK_URL": "http://127.0.0.1:9/webhooks/meta",
        "SIMULATOR_DATA_DIR": str(folder),
        "SIMULATOR_TOKEN": TOKEN,
        "SIMULATOR_LIMITS": "0",
        "SIMULATOR_NUMBERS": json.dumps(rows),
        "META_APP_SECRET": webhooks.SECRET,
        "META_VERIFY_TOKEN": "bench",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "crm.simulator"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        webhooks.wait_for(port, process)
        asked: list[tuple[str, dict[str, Any]]] = [
            ("settings", {"enforce_window": False}),
            ("faults", {"kind": "silent"}),
        ]
        if answer_seconds:
            asked.append(("faults", {"kind": "slow", "seconds": answer_seconds}))
        for path, body in asked:
            requests.post(f"{url}/control/{path}", json=body, timeout=10).raise_for_status()
        yield url, folder / "accepted.jsonl"
    finally:
        process.terminate()
        process.wait(20)


def prepare(environment: dict[str, str], numbers: int) -> None:
    flask = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    subprocess.run(flask, check=True, env=environment, capture_output=True)
    token = encrypt(TOKEN, [environment["CRM_ENCRYPTION_KEYS"]])
    values = {"first": FIRST_NUMBER, "token": token, "numbers": numbers, "chats": CHATS_PER_NUMBER}
    execute(environment, PREPARE, **values)
    execute(environment, "ANALYZE")


def execute(environment: dict[str, str], sql: str, **values: Any) -> Any:
    connection = psycopg2.connect(environment["DATABASE_URL"])
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return cursor.fetchone()[0] if cursor.description else None
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
