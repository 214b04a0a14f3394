"""The doctor finds what is wrong and says what to do, in one line each."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from cryptography.fernet import Fernet
from flask import Flask
from rq import Worker
from rq.serializers import JSONSerializer
from sqlalchemy import text

from crm.config import Config
from crm.db import atomic, db
from crm.doorbell import QUEUES
from crm.extensions import file_store, redis_client
from crm.lib.clock import utcnow
from crm.lib.crypto import encrypt
from crm.lib.file_store import LocalStore
from crm.models import NumberStatus, Provider, SessionState, WebhookEvent, WhatsappNumber
from crm.services.doctor import Finding, examine
from crm.services.wppconnect.sessions import ensure_session
from tests import factories
from tests.cast import make_cast


def findings(app: Flask, **changes: object) -> dict[str, Finding]:
    config: Config = app.config["CRM"]
    return {finding.subject: finding for finding in examine(replace(config, **changes))}  # type: ignore[arg-type]


def start_workers() -> None:
    for queue in QUEUES:
        given = {"connection": redis_client.client, "serializer": JSONSerializer}
        Worker([queue], name=f"{queue}-test", **given).register_birth()


def test_a_healthy_installation_has_nothing_to_say(app: Flask) -> None:
    with atomic():
        make_cast()
    start_workers()
    assert [finding for finding in findings(app).values() if not finding.fine] == []


def test_missing_meta_secrets_are_named_with_what_they_cost(app: Flask) -> None:
    found = findings(app, meta_app_secrets=(), meta_verify_tokens=())
    assert not found["META_APP_SECRET"].fine
    assert "503" in found["META_APP_SECRET"].words
    assert not found["META_VERIFY_TOKEN"].fine


def test_a_database_behind_its_code_is_told_to_upgrade(app: Flask) -> None:
    newest = db.session.scalar(text("SELECT version_num FROM alembic_version"))
    try:
        db.session.execute(text("UPDATE alembic_version SET version_num = '0001_schema'"))
        found = findings(app)["Migrations"]
    finally:
        db.session.rollback()
    assert not found.fine
    assert "db upgrade" in found.words
    assert newest in found.words


def test_a_secret_whose_key_is_gone_names_its_number(app: Flask) -> None:
    with atomic():
        number = factories.make_number()
        number.meta_access_token = encrypt("token", [Fernet.generate_key().decode()])
    found = findings(app)["CRM_ENCRYPTION_KEYS"]
    assert not found.fine
    assert number.phone_number in found.words


def test_an_active_number_without_a_campaign_is_named(app: Flask) -> None:
    with atomic():
        db.session.add(
            WhatsappNumber(
                phone_number="+576015550199", provider="meta", status=NumberStatus.ACTIVE
            )
        )
    found = findings(app)["Numbers"]
    assert not found.fine
    assert "+576015550199" in found.words


def test_a_message_that_should_have_left_long_ago_points_at_worker_and_clock(app: Flask) -> None:
    with atomic():
        cast = make_cast()
        chat = factories.make_chat(campaign=cast.sales, number=cast.number)
        message = factories.make_message(chat, direction="outbound")
        db.session.execute(
            text(
                "INSERT INTO message_queue (message_id, chat_id, whatsapp_number_id, scheduled_at) "
                "VALUES (:message, :chat, :number, now() - interval '5 minutes')"
            ),
            {"message": message.id, "chat": chat.id, "number": cast.number.id},
        )
    found = findings(app)["Delivery"]
    assert not found.fine
    assert "clock" in found.words


def test_a_database_that_does_not_answer_is_one_finding_not_a_crash(app: Flask) -> None:
    with db.engine.connect() as other:
        other.exec_driver_sql("BEGIN")
        other.exec_driver_sql("LOCK TABLE whatsapp_numbers IN ACCESS EXCLUSIVE MODE")
        db.session.execute(text("SET lock_timeout = '100ms'"))
        found = findings(app)
        other.exec_driver_sql("ROLLBACK")
    assert not found["Postgres"].fine


def test_the_command_ends_with_one_when_something_is_wrong(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["doctor"])
    assert "META_APP_SECRET" in result.output
    assert result.exit_code == (1 if "BAD" in result.output else 0)


def test_a_phone_whose_server_cannot_reach_us_is_named_with_the_setting(app: Flask) -> None:
    with atomic():
        number = factories.make_number(
            provider=Provider.WPPCONNECT, wppconnect_server_url="https://wpp.example.com"
        )
        session = ensure_session(number, keys=app.config["CRM"].encryption_keys)
        session.is_wanted, session.state = True, SessionState.CONNECTED
    found = findings(app)["WPPConnect"]
    assert not found.fine
    assert "CRM_WEBHOOK_URL" in found.words
    assert findings(app, public_url="https://crm.example.com")["WPPConnect"].fine
    with atomic():
        session.state = SessionState.LOST
    found = findings(app, public_url="https://crm.example.com")["WPPConnect"]
    assert number.phone_number in found.words


def test_files_that_cannot_be_kept_are_named_with_their_place(app: Flask, tmp_path: Path) -> None:
    before = file_store._open
    assert before is not None
    assert findings(app)["Files"].fine
    (tmp_path / "file").write_text("a file where the folder should be")
    file_store.bind(lambda: LocalStore(tmp_path / "file" / "store"))
    try:
        found = findings(app)["Files"]
    finally:
        file_store.bind(before)
    assert not found.fine
    assert "CRM_FILES" in found.words
    assert not findings(app, is_hosted=True)["Files"].fine


def test_queues_without_a_worker_are_named(app: Flask) -> None:
    found = findings(app)["Workers"]
    assert not found.fine
    assert "delivery, routing" in found.words


def test_deliveries_that_failed_or_wait_are_counted(app: Flask) -> None:
    with atomic():
        for status in ("failed", "waiting", "waiting"):
            db.session.add(WebhookEvent(provider="meta", body=b"{}", status=status))
    assert "1 deliveries failed and 2 wait" in findings(app)["Ledger"].words


def test_a_number_at_which_nothing_ever_arrived_is_named(app: Flask) -> None:
    with atomic():
        number = factories.make_number(campaign=factories.make_campaign())
        number.created_at = utcnow() - timedelta(days=2)
    assert number.phone_number in findings(app)["Webhook"].words


def test_an_address_without_https_is_named(app: Flask) -> None:
    assert not findings(app, public_url="http://crm.example.com")["HTTPS"].fine
    assert findings(app, public_url="https://crm.example.com")["HTTPS"].fine
    assert findings(app, public_url="http://localhost:8000")["HTTPS"].fine
