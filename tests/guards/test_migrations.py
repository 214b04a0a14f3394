"""The migrations: one line of them, named like their files, and the same schema as the models."""

from __future__ import annotations

import ast
import subprocess
import sys
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import flask_migrate
import pytest
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import URL, create_engine, inspect, text

from crm.db import MIGRATIONS, db

CHECKER = Path(__file__).parents[3] / "shared" / "check-data-model"

VERSIONS = sorted((MIGRATIONS / "versions").glob("*.py"))
# What the model asks for, in one look, for a checkout without the checker.
KEY_COLUMNS = {
    "users": {"email", "password_hash", "role_id", "agent_status", "max_concurrent_chats"},
    "campaigns": {"code", "business_hours", "routing_strategy", "sla_first_response_seconds"},
    "whatsapp_numbers": {
        "phone_number",
        "provider",
        "meta_phone_number_id",
        "webhook_verify_token",
    },
    "clients": {"phone_number", "lead_status", "custom_fields", "opt_in", "ltv"},
    "chats": {"client_id", "campaign_id", "assigned_agent_id", "status", "bot_context", "outcome"},
    "messages": {"chat_id", "direction", "message_type", "metadata", "whatsapp_message_id"},
    "message_queue": {"message_id", "scheduled_at", "attempts", "status"},
    "bot_sessions": {"chat_id", "flow_id", "current_node_key", "variables"},
    "agent_metrics": {"user_id", "campaign_id", "date", "hour", "chats_per_hour"},
    "audit_logs": {"user_id", "action", "changes", "metadata"},
}


@pytest.fixture
def scratch(migrated_app: Flask) -> Iterator[Flask]:
    """A bare application on an empty database of its own, beside the run's."""
    with migrated_app.app_context():
        url = db.engine.url
    name = f"scratch_{uuid.uuid4().hex}"
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    app = Flask(name)
    app.config["SQLALCHEMY_DATABASE_URI"] = url.set(database=name)
    db.init_app(app)
    flask_migrate.Migrate(app, db, directory=str(MIGRATIONS))
    try:
        with app.app_context():
            yield app
            db.session.remove()
            db.engine.dispose()
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


def scripts() -> ScriptDirectory:
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config)


def plain(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def test_there_is_one_head_and_it_is_the_last_file() -> None:
    assert scripts().get_heads() == [VERSIONS[-1].stem]


def test_each_revision_is_named_like_its_file_and_follows_the_one_before() -> None:
    for number, path in enumerate(VERSIONS, start=1):
        script = scripts().get_revision(path.stem)
        assert path.stem.startswith(f"{number:04d}_")
        assert len(path.stem) <= 32, "alembic_version.version_num holds 32 characters"
        assert script.down_revision == (VERSIONS[number - 2].stem if number > 1 else None)


def test_no_migration_imports_the_application() -> None:
    """The models move on; a migration says for ever what was true on its day."""
    for path in VERSIONS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            assert not any(name.split(".")[0] == "crm" for name in names), path.name


def test_the_models_ask_for_no_change(app: Flask) -> None:
    try:
        flask_migrate.check()
    except SystemExit:
        pytest.fail("the models and the migrations differ: `flask --app wsgi db check` says where")


CATALOGUE = {
    "column": """
        SELECT c.relname || '.' || a.attname,
               format_type(a.atttypid, a.atttypmod)
               || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
               || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped""",
    "constraint": """
        SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace""",
    "index": """
        SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'""",
}


def catalogue() -> dict[str, dict[str, str]]:
    """Every column, constraint and index of the current database, as Postgres spells them."""
    found = {}
    for kind, query in CATALOGUE.items():
        rows = db.session.execute(text(query)).all()
        found[kind] = {name: what for name, what in rows if "alembic_version" not in name}
    return found


def test_the_migrations_build_to_the_letter_what_the_models_say(app: Flask, scratch: Flask) -> None:
    """Also what alembic does not compare: CHECKs, predicates of indexes, defaults, ON DELETE."""
    db.create_all()
    wanted = catalogue()
    db.session.rollback()
    with app.app_context():
        have = catalogue()
    for kind in CATALOGUE:
        assert len(wanted[kind]) > 30
        assert have[kind] == wanted[kind], kind


def test_an_empty_database_is_brought_up_and_a_second_run_finds_nothing_to_do(
    scratch: Flask,
) -> None:
    for _ in range(2):
        flask_migrate.upgrade()
        version = db.session.scalar(text("SELECT version_num FROM alembic_version"))
        assert version == VERSIONS[-1].stem
        db.session.rollback()


def test_two_releases_that_start_together_take_turns(scratch: Flask) -> None:
    """In processes of their own: alembic keeps its context in module globals."""
    commands = [
        subprocess.Popen(
            [sys.executable, "-c", UPGRADE, plain(db.engine.url), str(MIGRATIONS)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for command in commands:
        _, said = command.communicate(timeout=60)
        assert command.returncode == 0, said
    assert db.session.scalar(text("SELECT count(*) FROM roles")) == 5


UPGRADE = """
import sys
import flask_migrate
from flask import Flask
from crm.db import db
import crm.models

app = Flask("release")
app.config["SQLALCHEMY_DATABASE_URI"] = sys.argv[1].replace("postgresql:", "postgresql+psycopg2:")
db.init_app(app)
flask_migrate.Migrate(app, db, directory=sys.argv[2])
with app.app_context():
    flask_migrate.upgrade()
"""


def test_a_migration_gives_up_rather_than_wait_behind_a_busy_table(scratch: Flask) -> None:
    flask_migrate.upgrade(revision="0001_schema")
    busy = create_engine(db.engine.url)
    with busy.connect() as connection:
        connection.execute(text("LOCK TABLE roles IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(Exception, match="lock timeout"):
            flask_migrate.upgrade()
        connection.rollback()
    busy.dispose()
    assert db.session.scalar(text("SELECT count(*) FROM roles")) == 0
    assert db.session.scalar(text("SELECT version_num FROM alembic_version")) == "0001_schema"
    db.session.rollback()
    flask_migrate.upgrade()
    assert db.session.scalar(text("SELECT count(*) FROM roles")) == 5


def test_every_moment_is_stored_with_its_zone(app: Flask) -> None:
    naive = db.session.execute(
        text(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND data_type = 'timestamp without time zone'"
        )
    ).all()
    assert naive == []


def test_the_database_holds_the_whole_data_model(app: Flask) -> None:
    if not CHECKER.exists():
        warnings.warn(
            f"{CHECKER} is missing: the schema is held against its key columns only", stacklevel=1
        )
        assert_key_columns()
        return
    done = subprocess.run(
        [sys.executable, str(CHECKER), plain(db.engine.url)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 differ" in done.stdout


def test_the_key_columns_are_there_where_the_checker_is_missing(app: Flask) -> None:
    assert_key_columns()


def assert_key_columns() -> None:
    inspector = inspect(db.engine)
    assert len(inspector.get_table_names()) >= 38
    for table, columns in KEY_COLUMNS.items():
        have = {column["name"] for column in inspector.get_columns(table)}
        assert columns <= have, f"{table}: {sorted(columns - have)} missing"


def test_the_system_user_is_there_and_cannot_log_in(app: Flask) -> None:
    rows = db.session.execute(
        text("SELECT email, status, password_hash FROM users WHERE is_system")
    ).all()
    assert rows == [("system@localhost", "inactive", "!")]
