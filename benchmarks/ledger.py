"""The ledger page's queries over a million deliveries, beside a bare look at as many rows.

Each list and count of the page runs as the page runs it, in turns with the floor: fifty-one ids
from the primary key's index alone, in the same session. Milliseconds are medians. A list that reads
the table from one end to the other shows at once.

    python -m benchmarks.ledger [--rows 1000000] [--rounds 30]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from benchmarks import webhooks
from benchmarks.delivery import execute
from crm import embedded

# Times the floor: a page of rows with their numbers and the sizes of their bodies is more than ids.
AIM = 10.0

FILL = """
    INSERT INTO whatsapp_numbers (phone_number, provider, status)
    SELECT '+5760155501' || n, 'meta', 'active' FROM generate_series(1, 10) n;
    INSERT INTO webhook_events (provider, whatsapp_number_id, body, status, unknown_count,
                                event_count, holds, received_at)
    SELECT 'meta', CASE WHEN n %% 10 > 0 THEN 1 + n %% 10 END, convert_to(repeat('x', 600), 'UTF8'),
           CASE WHEN n %% 4999 = 0 THEN 'failed' WHEN n %% 4987 = 0 THEN 'waiting'
                ELSE 'processed' END,
           (n %% 5003 = 0)::int, 1,
           CASE WHEN n %% 5009 = 0 THEN '{"template": [{"kind": "status"}]}'::jsonb
                WHEN n %% 4 = 0 THEN '{"message": [{"kind": "text", "count": 1, "who": "…4567"}]}'
                ELSE '{"receipt": [{"kind": "read", "count": 1, "who": "…4567"}]}' END,
           now() - interval '30 days' * (%(rows)s - n) / %(rows)s
    FROM generate_series(1, %(rows)s) n;
"""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=30)
    arguments.add_argument("--role", choices=("bench", "page"), default="bench")
    given = arguments.parse_args()
    if given.role == "page":
        return page(given.rounds)
    with (
        tempfile.TemporaryDirectory(prefix="charla-bench-", ignore_cleanup_errors=True) as folder,
        embedded.servers(Path(folder) / "servers") as urls,
    ):
        environment = webhooks.settings(urls)
        flask = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
        subprocess.run(flask, check=True, env=environment, capture_output=True)
        execute(environment, FILL, rows=given.rows)
        execute(environment, "ANALYZE webhook_events")
        command = [sys.executable, "-m", "benchmarks.ledger", "--role", "page"]
        return subprocess.run([*command, "--rounds", str(given.rounds)], env=environment).returncode


def page(rounds: int) -> int:
    """Every query of the page, in turns with the floor."""
    from sqlalchemy import text

    from crm import create_app
    from crm.config import Config
    from crm.db import db
    from crm.lib.clock import utcnow
    from crm.services.hourly import hour_of
    from crm.services.ledger import hours, reading
    from crm.services.ledger.reading import LedgerQuery

    floor_query = text("SELECT id FROM webhook_events ORDER BY id DESC LIMIT 51 OFFSET :skip")
    app = create_app(Config.from_env())
    with app.app_context():
        hours.COUNTED.count_hours(hour_of(utcnow()) - timedelta(days=30), utcnow())
        db.session.commit()
        middle = reading.list_deliveries(LedgerQuery(hour=hour_of(utcnow() - timedelta(days=15))))
        place = (middle[0][-1][0].received_at, middle[0][-1][0].id)
        queries = {
            "all": LedgerQuery(),
            "all, half way down": LedgerQuery(before=place),
            "processed": LedgerQuery(status="processed"),
            "trouble": LedgerQuery(status="trouble"),
            "waiting": LedgerQuery(status="waiting"),
            "unknown kinds": LedgerQuery(kind="unknown"),
            "an hour": LedgerQuery(hour=hour_of(utcnow() - timedelta(days=20))),
            "a number": LedgerQuery(number_id=3),
            "trouble of a number": LedgerQuery(status="trouble", number_id=3),
            "unknown of a number": LedgerQuery(kind="unknown", number_id=3),
            "messages": LedgerQuery(kind="message"),
            "templates": LedgerQuery(kind="template"),
            "templates of a number": LedgerQuery(kind="template", number_id=3),
            "processed of a number": LedgerQuery(status="processed", number_id=3),
        }
        work: dict[str, Callable[[], object]] = {
            name: (lambda query=query: reading.list_deliveries(query))  # type: ignore[misc]
            for name, query in queries.items()
        }
        work["what is open"] = reading.count_open
        work["chart of a day"] = lambda: hours.chart(hours=24)
        work["chart of a week"] = lambda: hours.chart(hours=168)
        work["one body"] = lambda: reading.read_body(place[1])

        def floor() -> object:
            return db.session.execute(floor_query, {"skip": 0}).all()

        times: dict[str, list[float]] = {name: [] for name in work}
        floors: list[float] = []
        for _ in range(rounds):
            floors.append(timed(floor))
            for name, run in work.items():
                times[name].append(timed(run))
                db.session.rollback()
                db.session.expunge_all()
    base = statistics.median(floors)
    print(f"  {'floor':<24}{base:8.2f} ms")
    worst = 0.0
    for name, some in times.items():
        mine = statistics.median(some)
        worst = max(worst, mine / base)
        print(f"  {name:<24}{mine:8.2f} ms   {mine / base:5.1f} of the floor's")
    print(f"ledger: the slowest is {worst:.1f} of the floor's (aim {AIM:.0f})")
    return 1 if worst > AIM else 0


def timed(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    sys.exit(main())
