"""Whether this installation is alive, and whether it is ready to work."""

import structlog
from flask import Blueprint
from flask.typing import ResponseReturnValue
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from crm.db import db
from crm.extensions import redis_client
from crm.permissions import public

blueprint = Blueprint("health", __name__)
log = structlog.get_logger(__name__)


@blueprint.get("/healthz")
@public
def alive() -> ResponseReturnValue:
    """This process answers. Asks nothing else, so that a slow database restarts nobody."""
    return {"status": "alive"}


@blueprint.get("/readyz")
@public
def ready() -> ResponseReturnValue:
    """Database and Redis answer; 503 with the names of those that do not."""
    away = []
    try:
        db.session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        log.warning("database_away", error=type(error).__name__)
        away.append("database")
    try:
        redis_client.ping()
    except RedisError as error:
        log.warning("redis_away", error=type(error).__name__)
        away.append("redis")
    return {"status": "not ready" if away else "ready", "away": away}, 503 if away else 200
