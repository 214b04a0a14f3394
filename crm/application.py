"""Puts the house together: one Flask application from settings, extensions and doors."""

from __future__ import annotations

from functools import partial

import structlog
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from crm import blueprints, cli, log, models  # noqa: F401 - models fill the metadata
from crm.blueprints import assets, errors, headers, locale, uploads
from crm.config import Config
from crm.db import MIGRATIONS, db
from crm.extensions import (
    babel,
    csrf,
    file_store,
    htmx,
    login_manager,
    migrate,
    redis_client,
    sock,
)
from crm.jobs import commands
from crm.lib.file_store import open_store
from crm.lib.pooled import look_before_use, note_return
from crm.realtime import socket

MEGABYTE = 1024 * 1024


def create_app(config: Config | None = None) -> Flask:
    """The application; without `config` it is read from the environment.

    Raises ConfigError for a wrong setting. Nothing is connected yet: database and Redis are met at
    the first use, so that a start does not fail because one of them is a second late.
    """
    config = config or Config.from_env()
    log.configure()
    app = Flask("crm", static_folder="static", static_url_path=assets.versioned_path())
    app.config.from_mapping(flask_settings(config))
    app.config["CRM"] = config
    # On the application, not in the module: a test or a command may make a second application.
    redis_client.bind(config.redis_url)
    file_store.bind(
        partial(
            open_store,
            config.files,
            folder=config.data_dir / "files",
            endpoint=config.files_endpoint,
        )
    )
    db.init_app(app)
    migrate.init_app(app, db, directory=str(MIGRATIONS))
    csrf.init_app(app)
    htmx.init_app(app)
    login_manager.init_app(app)
    babel.init_app(
        app, locale_selector=locale.select_locale, timezone_selector=locale.select_time_zone
    )
    blueprints.register(app)
    socket.register(app)
    sock.init_app(app)
    errors.register(app)
    headers.register(app)
    uploads.register(app)
    cli.register(app)
    commands.register(app)
    assets.serve(app)
    if config.proxy_hops:
        hops = config.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    structlog.get_logger(__name__).debug("application_ready")
    return app


def flask_settings(config: Config) -> dict[str, object]:
    """What Flask and its extensions read, made from our settings."""
    return {
        "SECRET_KEY": config.secret_key,
        "TESTING": config.testing,
        "MAX_CONTENT_LENGTH": 3 * MEGABYTE,
        "SESSION_COOKIE_NAME": "__Host-session" if config.https else "session",
        "SESSION_COOKIE_SECURE": config.https,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "PREFERRED_URL_SCHEME": "https" if config.https else "http",
        # A form stays open for a shift; the session it belongs to ends it.
        "WTF_CSRF_TIME_LIMIT": None,
        "BABEL_DEFAULT_LOCALE": config.default_locale,
        "BABEL_DEFAULT_TIMEZONE": config.default_time_zone,
        "SOCK_SERVER_OPTIONS": {"ping_interval": 25, "max_message_size": 65536},
        "SQLALCHEMY_DATABASE_URI": config.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": {
            "pool_size": config.database_pool_size,
            "max_overflow": config.database_pool_size,
            # Many UPDATEs of one flush leave together, instead of a round trip for each.
            "executemany_mode": "values_plus_batch",
            "pool_timeout": 5,
            "pool_events": [(look_before_use, "checkout"), (note_return, "checkin")],
            # An error's text goes to logs; the values in a statement are customers' words.
            "hide_parameters": True,
            "connect_args": {
                "connect_timeout": 5,
                # A server that vanished without a word is noticed in a minute, not in two hours.
                "keepalives_idle": 30,
                "keepalives_interval": 10,
                "keepalives_count": 3,
                "tcp_user_timeout": 60_000,
                "application_name": "charla",
                # Nothing of ours needs longer; a forgotten transaction must not hold locks.
                "options": "-c statement_timeout=10s -c lock_timeout=5s "
                "-c idle_in_transaction_session_timeout=30s -c timezone=UTC",
            },
        },
    }
