"""Whether this installation is alive, ready to work, and how it does: for machines."""

import hmac
from collections.abc import Iterator

import structlog
from flask import Blueprint, Response, abort, current_app, request
from flask.typing import ResponseReturnValue
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from crm.db import db
from crm.extensions import redis_client
from crm.permissions import public
from crm.services import operations

blueprint = Blueprint("health", __name__)
log = structlog.get_logger(__name__)

Gauge = tuple[str, str, dict[str, str], float]
"""(name without our prefix, what it means, labels, value)."""


@blueprint.get("/healthz")
@public
def alive() -> ResponseReturnValue:
    """This process answers. Asks nothing else, so that a slow database restarts nobody."""
    return {"status": "alive"}


@blueprint.get("/readyz")
@public
def ready() -> ResponseReturnValue:
    """503 with the names of the servers that do not answer.

    Workers and the oldest due message are told beside it and decide nothing: a web process without
    workers still has to take in what customers write.
    """
    away = []
    answer: dict[str, object] = {}
    try:
        db.session.execute(text("SELECT 1"))
        due, oldest = operations.find_due()
        answer |= {"due": due, "oldest_due_seconds": round(oldest)}
    except SQLAlchemyError as error:
        log.warning("database_away", error=type(error).__name__)
        away.append("database")
    try:
        redis_client.ping()
        answer["workers"] = operations.find_workers()
    except RedisError as error:
        log.warning("redis_away", error=type(error).__name__)
        away.append("redis")
    answer |= {"status": "not ready" if away else "ready", "away": away}
    return answer, 503 if away else 200


@blueprint.get("/metrics")
@public
def metrics() -> ResponseReturnValue:
    """Prometheus' text format, for who knows CRM_METRICS_TOKEN; without one set it does not exist.

    Only what the database and Redis say, so that any of the web processes may answer.
    """
    token = current_app.config["CRM"].metrics_token
    if not token:
        abort(404)
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if not hmac.compare_digest(given.encode(), token.encode()):
        return {"error": "wrong token"}, 401
    lines = "\n".join(write_gauges(gauges()))
    return Response(f"{lines}\n", mimetype="text/plain; version=0.0.4; charset=utf-8")


def gauges() -> Iterator[Gauge]:
    pulse = operations.read_pulse()
    yield "due_messages", "Messages that should have left already.", {}, pulse.due
    yield "oldest_due_seconds", "For how long the oldest of them.", {}, pulse.oldest_due_seconds
    for name, words, counts in (
        ("queued_messages", "Messages on their way out, by state.", pulse.queue),
        ("open_chats", "Open chats, by state.", pulse.chats),
        ("numbers", "WhatsApp numbers, by state.", pulse.numbers),
        ("open_alarms", "Open alarms, by severity.", pulse.alarms),
        ("open_deliveries", "Deliveries that ask for somebody, up to 1000.", pulse.ledger),
        ("workers", "Workers, by queue.", operations.count_workers() or {}),
    ):
        label = "queue" if name == "workers" else "state"
        for value, count in sorted(counts.items()):
            yield name, words, {label: value}, count


def write_gauges(found: Iterator[Gauge]) -> Iterator[str]:
    """The text format; its values and labels are words of ours, so nothing needs escaping."""
    last = ""
    for name, words, labels, value in found:
        if name != last:
            yield f"# HELP charla_{name} {words}"
            yield f"# TYPE charla_{name} gauge"
            last = name
        inside = ",".join(f'{label}="{text}"' for label, text in labels.items())
        yield f"charla_{name}{f'{{{inside}}}' if inside else ''} {value:g}"
