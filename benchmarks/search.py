"""The inbox's search over a million messages, beside the same list without one.

A hundred thousand chats of forty thousand customers, six of seven closed; words as often as in real
talk (Zipf), in capitals and with accents too. Each search runs as the list runs it (a page of
fifty chats, with the message found in each), for who sees everything and for one of forty
agents, in turns with the floor: the first page of all open chats. Milliseconds are medians.

    make bench ARGS=search        or        python -m benchmarks.search [--messages 1000000]
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import flask_migrate
from sqlalchemy import ColumnElement, text, true

from benchmarks import webhooks
from crm import create_app, embedded
from crm.config import Config
from crm.db import atomic, db
from crm.models import Chat
from crm.services.inbox.rows import Filters, list_chats
from crm.services.messages import words

# Times the floor, for the slowest search.
AIM = 10.0
CHATS_EACH, MESSAGES_EACH = 2.5, 10
VOCABULARY = 30_000
SYLLABLES = (
    "ca", "ción", "fe", "lo", "mar", "ni", "ño", "pá", "qui", "ra", "se", "ta", "tu", "vér", "za",
    "llo",
)  # fmt: skip

FILL = """
    INSERT INTO campaigns (name, code, bot_enabled) VALUES ('Bench', 'BENCH', false);
    INSERT INTO whatsapp_numbers (phone_number, provider) VALUES ('+570', 'meta');
    INSERT INTO users (email, password_hash, first_name, last_name, role_id)
    SELECT 'a' || n || '@bench', '', 'Agente', 'Número ' || n,
           (SELECT id FROM roles WHERE name = 'agent') FROM generate_series(1, 40) n;
    INSERT INTO clients (first_name, last_name, phone_number, country)
    SELECT (ARRAY['María','José','Luz Dary','Óscar','Ximena','Juan'])[1 + n %% 6],
           (ARRAY['Gómez','Restrepo','Ñáñez','Quintero'])[1 + n %% 4] || ' ' || n,
           '+57300' || lpad(n::text, 7, '0'), 'CO' FROM generate_series(1, %(clients)s) n;
    INSERT INTO chats (client_id, campaign_id, whatsapp_number_id, status, closed_at, case_number,
                       assigned_agent_id)
    SELECT 1 + n %% %(clients)s, (SELECT max(id) FROM campaigns),
           (SELECT max(id) FROM whatsapp_numbers),
           CASE WHEN n %% 7 = 0 AND n > %(clients)s * 3 / 2 THEN 'assigned' ELSE 'closed' END,
           CASE WHEN n %% 7 = 0 AND n > %(clients)s * 3 / 2 THEN NULL ELSE now() END,
           'BENCH-2026-' || lpad(n::text, 6, '0'),
           (SELECT min(id) FROM users WHERE NOT is_system) + n / 7 %% 40
      FROM generate_series(1, %(chats)s) n;
"""
LAST = """
    UPDATE chats SET last_message_id = last.id, last_message_at = last.created_at
      FROM (SELECT DISTINCT ON (chat_id) chat_id, id, created_at FROM messages
             ORDER BY chat_id, id DESC) last WHERE last.chat_id = chats.id
"""


def sentences(count: int, dice: random.Random) -> Iterator[str]:
    vocabulary = ["".join(dice.choices(SYLLABLES, k=dice.randint(1, 4))) for _ in range(VOCABULARY)]
    weights = list(accumulate(1 / (place + 1) for place in range(VOCABULARY)))
    for _ in range(count):
        yield " ".join(
            dice.choices(vocabulary, cum_weights=weights, k=dice.randint(2, 25))
        ).capitalize()


def fill(messages: int) -> None:
    chats = messages // MESSAGES_EACH
    clients = int(chats / CHATS_EACH)
    dice, lines = random.Random(7), io.StringIO()
    for place, said in enumerate(sentences(messages, dice)):
        if place % 5003 == 0:
            said += " garantía extendida"
        chat = 1 + place % chats
        lines.write(f"{chat}\t{1 + chat % clients}\t1\tinbound\t{said}\n")
    lines.seek(0)
    with db.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql(FILL, {"clients": clients, "chats": chats})
        cursor = connection.connection.cursor()
        cursor.copy_expert(
            "COPY messages (chat_id, client_id, whatsapp_number_id, direction, content) FROM STDIN",
            lines,
        )
        connection.exec_driver_sql(LAST)
    began = time.perf_counter()
    while read_all():
        pass
    print(f"  {messages:,} messages' words read in {time.perf_counter() - began:.0f} s")
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql("VACUUM ANALYZE")


def read_all() -> bool:
    with atomic():
        return words.read_some()


def run(visible: ColumnElement[bool], user_id: int, asked: str | None) -> tuple[float, int]:
    """Milliseconds of one page, and how many chats it showed."""
    begun = time.perf_counter()
    page = list_chats(visible, user_id=user_id, tab="all", filters=Filters(text=asked))
    spent = (time.perf_counter() - begun) * 1000
    db.session.rollback()
    return spent, len(page.rows)


def measure(rounds: int) -> float:
    agent = db.session.scalars(text("SELECT min(id) FROM users WHERE NOT is_system")).one()
    often = db.session.scalars(
        text("SELECT split_part(content, ' ', 2) FROM messages ORDER BY id LIMIT 1")
    ).one()
    searches = {
        "a word in 200 messages": "GARANTIA extendida",
        "a frequent word": often,
        "a beginning": "garant",
        "a name": "nanez",
        "a case": "2026-000777",
        "a phone": "300 0000777",
        "nothing": "xyzzy plugh",
    }
    groups = {
        "all": true(),
        "own": Chat.assigned_agent_id == agent,
    }
    floors: list[float] = []
    times: dict[str, list[float]] = {}
    shown: dict[str, int] = {}
    for _ in range(rounds):
        floors.append(run(true(), agent, None)[0])
        for who, visible in groups.items():
            for what, asked in searches.items():
                spent, count = run(visible, agent, asked)
                times.setdefault(f"{what}, {who}", []).append(spent)
                shown[f"{what}, {who}"] = count
    base = statistics.median(floors)
    print(f"  {'floor':<30}{base:9.1f} ms")
    for name, some in times.items():
        mine = statistics.median(some)
        print(f"  {name:<30}{mine:9.1f} ms {mine / base:7.1f} of the floor's, {shown[name]} chats")
    return max(statistics.median(some) for some in times.values()) / base


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="charla-bench-", ignore_cleanup_errors=True) as folder,
        embedded.servers(Path(folder) / "servers") as urls,
        create_app(Config.from_env(webhooks.settings(urls))).app_context(),
    ):
        flask_migrate.upgrade()
        fill(given.messages)
        worst = measure(given.rounds)
    print(f"search: the slowest is {worst:.1f} of the floor's (aim {AIM:.0f})")
    return int(worst > AIM)


if __name__ == "__main__":
    raise SystemExit(main())
