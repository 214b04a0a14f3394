"""How migrations run: one at a time, each in a transaction of its own, and never in anybody's way."""

import re

from alembic import context
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import Connection, create_engine, pool, text

from crm.db import db

OLDEST_SERVER = 15  # UNIQUE NULLS NOT DISTINCT, on which two of our keys stand

# DDL that does not get its lock at once gives up, and is run again later. Waiting would be worse: all
# that comes after it, reads too, would queue up behind the one who waits.
LOCK_TIMEOUT = "3s"
# Two releases that start together: the second waits for the first, then finds nothing to do.
TURN_TIMEOUT = "120s"
TURN = 7_214_003_115  # any number, the same for all of us


def next_revision_id(context_, revision, directives) -> None:
    """Number a new migration after the head: 0002_x is followed by 0003_<message>."""
    script = directives[0]
    if script.upgrade_ops.is_empty() and getattr(context.config.cmd_opts, "autogenerate", False):
        directives[:] = []
        return
    head = ScriptDirectory.from_config(context.config).get_current_head()
    number = int(head.split("_")[0]) + 1 if head else 1
    slug = re.sub(r"[^a-z0-9]+", "_", (script.message or "change").lower()).strip("_")
    # alembic_version.version_num holds 32 characters.
    script.rev_id = f"{number:04d}_{slug}"[:32].rstrip("_")


def configure(**where) -> None:
    context.configure(
        target_metadata=db.metadata,
        compare_type=True,
        compare_server_default=False,  # Postgres respells defaults; a test compares them instead
        transaction_per_migration=True,
        process_revision_directives=next_revision_id,
        **where,
    )


def check_server(connection: Connection) -> None:
    version = connection.dialect.server_version_info or (0,)
    if version[0] < OLDEST_SERVER:
        raise CommandError(
            f"Charla needs PostgreSQL {OLDEST_SERVER} or newer; this server is "
            f"{'.'.join(map(str, version))}. Upgrade it, or point DATABASE_URL at a newer one."
        )


def run_online() -> None:
    # Not the application's engine: its time limits are made for requests, and a migration that
    # rewrites a table may take longer than they allow.
    engine = create_engine(
        current_app.extensions["migrate"].db.engine.url,
        poolclass=pool.NullPool,
        connect_args={"application_name": "charla-migrations", "connect_timeout": 10},
    )
    with engine.connect() as connection:
        check_server(connection)
        connection.execute(text(f"SET lock_timeout = '{TURN_TIMEOUT}'"))
        connection.execute(text("SELECT pg_advisory_lock(:turn)"), {"turn": TURN})
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.commit()
        configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()


def run_offline() -> None:
    """Print the SQL instead of running it (`flask db upgrade --sql`)."""
    configure(
        url=current_app.extensions["migrate"].db.engine.url,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
