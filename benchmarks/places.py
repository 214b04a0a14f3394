"""How long a chat waits once an agent is free for it: through the ring, the worker, the assignment.

A routing worker of the product's own serves its queue in a process beside; here agents with one
place each close their chats, alone and many at once, while a line waits behind. Judged from the log
in Postgres's time: from each closing to what the freed agent gets next. Then the same with every
ring of the closings lost and the product's clock beside, which finds what waits.

    make bench ARGS=places        or        python -m benchmarks.places [--closings 300]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

import flask_migrate
from cryptography.fernet import Fernet
from sqlalchemy import text

from benchmarks.routing import fill
from crm import create_app, doorbell, embedded
from crm.config import Config
from crm.db import atomic, db
from crm.jobs.clock import run_clock
from crm.jobs.worker import serve_queue
from crm.models import Chat
from crm.services import chats

AGENTS = 40
MOST_SECONDS = 2.0
BURSTS = (1, 1, 1, 10, 30)

# From each closing to the same agent's next assignment.
WAITS = """
    SELECT extract(epoch FROM (
             SELECT min(next.created_at) FROM chat_events next
              WHERE next.kind = 'assigned' AND next.created_at > closed.created_at
                AND next.data->>'agent' = closed.data->>'agent_before') - closed.created_at)
      FROM chat_events closed WHERE closed.kind = 'closed' ORDER BY closed.id
"""
HELD = "SELECT id FROM chats WHERE status = 'assigned'"


def serve(settings: dict[str, str]) -> None:
    """The worker, without its log: only the figures are wanted here."""
    be_silent()
    serve_queue(create_app(Config.from_env(settings)), "routing")


def look(settings: dict[str, str]) -> None:
    """The clock."""
    be_silent()
    run_clock(create_app(Config.from_env(settings)))


def be_silent() -> None:
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)


def wait_until_full() -> None:
    """Everybody has a chat again: until then the next burst would find nobody to close for."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        held = db.session.scalar(text(f"SELECT count(*) FROM ({HELD}) held"))
        db.session.rollback()
        if held == AGENTS:
            return
        time.sleep(0.01)
    raise SystemExit("a free place was not filled within a minute")


def close(count: int, dice: random.Random) -> None:
    for chat_id in dice.sample(list(db.session.scalars(text(HELD))), count):
        db.session.rollback()
        with atomic():
            chat = db.session.get_one(Chat, chat_id)
            chats.close_chat(chat, actor=chats.SYSTEM, reason="resolved")


def measure(closings: int) -> list[float]:
    fill(AGENTS, AGENTS + closings, "round_robin")
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE users SET max_concurrent_chats = 1 WHERE NOT is_system"))
    doorbell.ring("routing.drain", db.session.scalar(text("SELECT max(id) FROM campaigns")))
    dice, done = random.Random(5), 0
    while done < closings:
        wait_until_full()
        count = min(dice.choice(BURSTS), closings - done)
        close(count, dice)
        done += count
    wait_until_full()
    return sorted(float(row) for row in db.session.scalars(text(WAITS)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--closings", type=int, default=300)
    closings = parser.parse_args().closings
    with (
        tempfile.TemporaryDirectory(prefix="charla-bench-", ignore_cleanup_errors=True) as folder,
        embedded.servers(Path(folder) / "servers") as urls,
    ):
        settings = {
            "DATABASE_URL": urls.database_url,
            "REDIS_URL": urls.redis_url,
            "SECRET_KEY": "only-for-the-benchmark-of-the-places",
            "CRM_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        }
        worker, clock = (
            multiprocessing.get_context("spawn").Process(
                target=target, args=(settings,), daemon=True
            )
            for target in (serve, look)
        )
        with create_app(Config.from_env(settings)).app_context():
            flask_migrate.upgrade()
            worker.start()
            try:
                rung = measure(closings)
                tell("filled", rung)
                clock.start()
                doorbell.ring = lambda _name, _key: False  # lost, all of them
                lost = measure(closings)
                tell("with every ring lost filled", lost)
            finally:
                for process in (worker, clock):
                    if process.pid is not None:
                        process.kill()
    return int(max(rung[-1], lost[-1]) > MOST_SECONDS)


def tell(what: str, waits: list[float]) -> None:
    late = waits[int(len(waits) * 0.99)]
    print(
        f"{len(waits)} free places: {what} after {statistics.median(waits) * 1000:.0f} ms at p50, "
        f"{late * 1000:.0f} ms at p99, {waits[-1] * 1000:.0f} ms at most (aim {MOST_SECONDS:.0f} s)"
    )


if __name__ == "__main__":
    raise SystemExit(main())
