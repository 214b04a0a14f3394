"""Waiting chats to agents: assignments a second with receipts, and what ten times as many cost.

The jobs' own unit (`drain_campaign` in a transaction of its own) serves a line of waiting
chats until everybody is full, in one process beside its Postgres, as the routing worker does. The
floor is what no assignment can do without: one UPDATE of a chat and one INSERT of its event, with a
receipt as large, committed in the same batches by plain psycopg2. Small is 100 agents and 1,000
chats, large ten times both; one assignment may cost 1.3 times as much at most.

    make bench ARGS=routing        or        python -m benchmarks.routing [--rounds 3] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import tempfile
import time
from pathlib import Path

import flask_migrate
import psycopg2
from cryptography.fernet import Fernet
from flask import Flask
from psycopg2.extras import Json, execute_values
from sqlalchemy import text

from crm import create_app, embedded
from crm.config import Config
from crm.db import atomic, db
from crm.services import routing
from crm.services.routing.assign import BATCH

SMALL, LARGE = (100, 1_000), (1_000, 10_000)
WANTED_RATE = 500
WANTED_GROWTH = 1.3
PLACES = 10

FILL = """
    INSERT INTO campaigns (name, code, bot_enabled, routing_strategy)
    VALUES ('Bench', 'BENCH', false, %(strategy)s);
    INSERT INTO whatsapp_numbers (phone_number, provider) VALUES ('+570', 'meta');
    INSERT INTO users (email, password_hash, first_name, last_name, role_id, agent_status,
                       max_concurrent_chats)
    SELECT 'a' || n || '@bench', '', 'Agente', 'Número ' || n,
           (SELECT id FROM roles WHERE name = 'agent'), 'available', %(places)s
      FROM generate_series(1, %(agents)s) n;
    INSERT INTO campaign_agents (campaign_id, user_id, max_concurrent_chats)
    SELECT (SELECT max(id) FROM campaigns), id, %(places)s FROM users WHERE NOT is_system;
    INSERT INTO clients (first_name, last_name, country)
    SELECT 'Cliente', 'Número ' || n, 'CO' FROM generate_series(1, %(chats)s) n;
    INSERT INTO chats (client_id, campaign_id, whatsapp_number_id, status, queued_at, case_number)
    SELECT id, (SELECT max(id) FROM campaigns), (SELECT max(id) FROM whatsapp_numbers), 'queued',
           now() - make_interval(secs => 3600 - id %% 3600), 'B-' || id FROM clients;
    ANALYZE;
"""
EMPTY = """
    DELETE FROM chat_events; DELETE FROM chats; DELETE FROM clients; DELETE FROM campaign_agents;
    DELETE FROM campaigns; DELETE FROM whatsapp_numbers; DELETE FROM agent_states;
    DELETE FROM users WHERE NOT is_system;
"""


def fill(agents: int, chats: int, strategy: str) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql(EMPTY)
        values = {"agents": agents, "chats": chats, "places": PLACES, "strategy": strategy}
        connection.exec_driver_sql(FILL, values)


def serve_line() -> tuple[int, float]:
    """Serve the whole line; how many assignments, and the seconds they took."""
    campaign_id = db.session.scalar(text("SELECT max(id) FROM campaigns"))
    db.session.rollback()
    began, assigned = time.perf_counter(), 0
    while True:
        with atomic():
            drained = routing.drain_campaign(campaign_id)
        db.session.remove()
        assigned += len(drained.assigned)
        if not drained.more:
            return assigned, time.perf_counter() - began


def check(agents: int, chats: int, assigned: int) -> None:
    """A bench that assigned wrongly measures nothing."""
    with db.engine.connect() as connection:
        fullest = connection.scalar(
            text("SELECT max(n) FROM (SELECT count(*) AS n FROM chats WHERE status = 'assigned' "
                 "GROUP BY assigned_agent_id) loads")
        )  # fmt: skip
        receipts = connection.scalar(
            text("SELECT count(*) FROM chat_events WHERE data->'routing'->>'chosen' IS NOT NULL")
        )
    expected = min(chats, agents * PLACES)
    if (assigned, receipts) != (expected, expected) or (fullest or 0) > PLACES:
        raise SystemExit(f"wrong: {assigned} assigned, {receipts} receipts, fullest {fullest}")


def run_floor(url: str, chats: int) -> float:
    """Seconds for the bare statements, in the same batches."""
    with db.engine.connect() as connection:
        data = connection.scalar(text("SELECT data FROM chat_events LIMIT 1"))
        ids = list(connection.scalars(text("SELECT id FROM chats ORDER BY id")))
    began = time.perf_counter()
    with psycopg2.connect(url) as raw, raw.cursor() as cursor:
        for start in range(0, chats, BATCH):
            part = ids[start : start + BATCH]
            cursor.execute("UPDATE chats SET version = version + 1 WHERE id = ANY(%s)", (part,))
            rows = [(chat_id, Json(data)) for chat_id in part]
            execute_values(
                cursor,
                "INSERT INTO chat_events (chat_id, kind, actor_kind, data) VALUES %s",
                rows,
                template="(%s, 'assigned', 'system', %s)",
            )
            raw.commit()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--strategy", default="round_robin")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="charla-bench-", ignore_cleanup_errors=True) as folder,
        embedded.servers(Path(folder) / "servers") as urls,
    ):
        app = create_app(
            Config.from_env(
                {
                    "DATABASE_URL": urls.database_url,
                    "REDIS_URL": urls.redis_url,
                    "SECRET_KEY": "only-for-the-benchmark-of-the-routing",
                    "CRM_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
                }
            )
        )
        with app.app_context():
            flask_migrate.upgrade()
            return measure(app, urls.database_url, options)


def measure(app: Flask, url: str, options: argparse.Namespace) -> int:
    sizes = {"small": SMALL, "large": LARGE}
    costs: dict[str, list[float]] = {name: [] for name in sizes}
    ratios: dict[str, list[float]] = {name: [] for name in sizes}
    for number in range(options.rounds + 1):
        for name, (agents, chats) in sizes.items():
            fill(agents, chats, options.strategy)
            profile = cProfile.Profile() if options.profile and number else None
            if profile:
                profile.enable()
            assigned, seconds = serve_line()
            if profile:
                profile.disable()
                pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
            check(agents, chats, assigned)
            floor = run_floor(url, chats)
            if number:  # the first round warms caches and plans
                costs[name].append(seconds / assigned)
                ratios[name].append(seconds / floor)
    for name in sizes:
        cost = statistics.median(costs[name])
        spread = ", ".join(f"{1 / each:.0f}" for each in sorted(costs[name], reverse=True))
        print(
            f"{name}: {1 / cost:.0f} assignments/s ({spread}), {cost * 1000:.2f} ms each, "
            f"{statistics.median(ratios[name]):.1f} of the floor's"
        )
    rate = 1 / statistics.median(costs["small"])
    growth = statistics.median(costs["large"]) / statistics.median(costs["small"])
    print(f"aim: {WANTED_RATE}/s, {rate:.0f}; growth tenfold {growth:.2f} (aim {WANTED_GROWTH})")
    return int(rate < WANTED_RATE or growth > WANTED_GROWTH)


if __name__ == "__main__":
    raise SystemExit(main())
