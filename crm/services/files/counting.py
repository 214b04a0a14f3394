"""How often files are opened: counted in Redis, written in one statement each minute.

A row that is written at every look would be the busiest of the database. What Redis loses is a
figure of a minute.
"""

from __future__ import annotations

import json

import structlog
from redis.exceptions import RedisError
from sqlalchemy import text

from crm.db import db
from crm.extensions import redis_client

log = structlog.get_logger(__name__)
KEY = "crm:files:opened"
TAKEN = "crm:files:opened:taken"

WRITE = text("""
    UPDATE files SET access_count = access_count + seen.times, last_accessed_at = now()
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS seen(id int, times int)
    WHERE files.id = seen.id
""")


def count_access(file_id: int) -> None:
    """Somebody opened (not: glanced at the thumbnail of) this file."""
    try:
        redis_client.hincrby(KEY, str(file_id), 1)
    except RedisError:
        pass  # a figure, not the truth


def flush_access() -> int:
    """Write what was counted; how many files that were. Inside a transaction of the caller."""
    try:
        redis_client.rename(KEY, TAKEN)
    except RedisError:
        return 0  # nothing was counted (there is no such key), or Redis is away
    counted = redis_client.hgetall(TAKEN)
    redis_client.delete(TAKEN)
    rows = [{"id": int(key), "times": int(times)} for key, times in counted.items()]
    db.session.execute(WRITE, {"rows": json.dumps(rows)})
    return len(rows)
