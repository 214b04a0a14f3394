"""Examines an installation and says in plain words what is wrong with it."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from redis.exceptions import RedisError
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from crm.config import Config
from crm.db import MIGRATIONS, db
from crm.extensions import file_store, redis_client
from crm.lib.crypto import DecryptionError, decrypt
from crm.lib.file_store import StoreError
from crm.models import (
    Campaign,
    CampaignNumber,
    CampaignStatus,
    NumberStatus,
    Provider,
    SessionState,
    WebhookEvent,
    WhatsappNumber,
    WppconnectSession,
)
from crm.services import operations
from crm.services.ledger.reading import count_open

OLDEST_DUE_SECONDS = 60
LEAST_OPEN_FILES = 4096
OLDEST_POSTGRES = 15


@dataclass(frozen=True)
class Finding:
    subject: str
    fine: bool
    words: str


def examine(config: Config) -> list[Finding]:
    """Every check, in order; one that cannot be made because a server is away says so once."""
    findings = [
        *meta_settings(config), redis_findings(), workers(), file_store_findings(config),
        https(config), open_files(),
    ]  # fmt: skip
    try:
        secrets, sessions = stored_secrets(config), phone_sessions(config)
        checks = (
            postgres, migrations, secrets, numbers, sessions, delivery, ledger, arrivals,
        )  # fmt: skip
        findings.extend(check() for check in checks)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().split("\n")[0]
        findings.append(Finding("Postgres", False, f"does not answer: {reason}"))
        db.session.rollback()
    return findings


def meta_settings(config: Config) -> Iterator[Finding]:
    for name, values, without in (
        ("META_APP_SECRET", config.meta_app_secrets, "cannot check Meta's signatures"),
        ("META_VERIFY_TOKEN", config.meta_verify_tokens, "cannot answer Meta's handshake"),
    ):
        words = (
            f"{len(values)} set"
            if values
            else (
                f"not set: /webhooks/meta {without} and answers 503 for every number without one "
                "of its own. Take it from the app's dashboard at Meta."
            )
        )
        yield Finding(name, bool(values), words)


def redis_findings() -> Finding:
    try:
        policy = redis_client.config_get("maxmemory-policy").get("maxmemory-policy", "noeviction")
    except RedisError as error:
        return Finding("Redis", False, f"does not answer ({type(error).__name__}): check REDIS_URL")
    if policy != "noeviction":
        words = f"maxmemory-policy is {policy}; set noeviction, or rings may vanish under load"
        return Finding("Redis", False, words)
    return Finding("Redis", True, "answers")


def file_store_findings(config: Config) -> Finding:
    """Writes, reads and removes a small file where the files lie."""
    place = config.files or str(config.data_dir / "files")
    try:
        file_store.store.check()
    except StoreError as error:
        words = f"cannot be written ({error}): make room, or check the rights and CRM_FILES"
        return Finding("Files", False, f"{place} {words}")
    if config.is_hosted and not config.files:
        words = "is this process's own disk, which vanishes with it: set CRM_FILES to a bucket"
        return Finding("Files", False, f"{place} {words}")
    return Finding("Files", True, f"{place} takes and gives")


def postgres() -> Finding:
    version = int(db.session.scalar(text("SHOW server_version_num")) or 0) // 10000
    fine = version >= OLDEST_POSTGRES
    need = "" if fine else f"; Charla needs {OLDEST_POSTGRES} or newer"
    return Finding("Postgres", fine, f"answers, version {version}{need}")


def migrations() -> Finding:
    newest = max(path.stem for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    if db.session.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        current = None
    else:
        current = db.session.scalar(text("SELECT version_num FROM alembic_version"))
    if current == newest:
        return Finding("Migrations", True, f"at the newest, {newest}")
    words = f"at {current}, the newest is {newest}: run `flask --app wsgi db upgrade`"
    return Finding("Migrations", False, words)


def stored_secrets(config: Config) -> Callable[[], Finding]:
    def check() -> Finding:
        closed = []
        for number in db.session.scalars(select(WhatsappNumber)):
            for secret in (
                number.meta_access_token,
                number.meta_app_secret,
                number.wppconnect_api_key,
            ):
                try:
                    if secret:
                        decrypt(secret, config.encryption_keys)
                except DecryptionError:
                    closed.append(number.phone_number)
        if closed:
            words = f"those of {', '.join(sorted(set(closed)))} do not open: a key is missing"
            return Finding("CRM_ENCRYPTION_KEYS", False, words)
        return Finding("CRM_ENCRYPTION_KEYS", True, "open every stored secret")

    return check


def numbers() -> Finding:
    """An active number without an active campaign keeps its customers' messages in the ledger."""
    served = (
        select(CampaignNumber.whatsapp_number_id)
        .join(Campaign, Campaign.id == CampaignNumber.campaign_id)
        .where(Campaign.status == CampaignStatus.ACTIVE, Campaign.deleted_at.is_(None))
    )
    orphans = db.session.scalars(
        select(WhatsappNumber.phone_number).where(
            WhatsappNumber.status == NumberStatus.ACTIVE,
            WhatsappNumber.deleted_at.is_(None),
            WhatsappNumber.id.not_in(served),
        )
    ).all()
    if orphans:
        words = f"{', '.join(orphans)} have no active campaign: their messages wait in the ledger"
        return Finding("Numbers", False, words)
    return Finding("Numbers", True, "every active number has an active campaign")


def phone_sessions(config: Config) -> Callable[[], Finding]:
    """A server elsewhere cannot post to our loopback; a session that is wanted should be up."""

    def check() -> Finding:
        rows = db.session.execute(
            select(
                WhatsappNumber.phone_number,
                WhatsappNumber.wppconnect_server_url,
                WppconnectSession.state,
            )
            .join(WppconnectSession, WppconnectSession.whatsapp_number_id == WhatsappNumber.id)
            .where(WhatsappNumber.deleted_at.is_(None), WppconnectSession.is_wanted)
            .order_by(WhatsappNumber.id)
        ).all()
        ours = config.webhook_base
        if _is_here(ours) and any(not _is_here(row.wppconnect_server_url or "") for row in rows):
            words = (
                f"servers are told to post to {ours}, which is only this machine: "
                "set CRM_WEBHOOK_URL or CRM_PUBLIC_URL"
            )
            return Finding("WPPConnect", False, words)
        down = [row.phone_number for row in rows if row.state is not SessionState.CONNECTED]
        if down:
            words = f"{', '.join(down)} not connected: open the number in the settings"
            return Finding("WPPConnect", False, words)
        return Finding("WPPConnect", True, f"{len(rows)} sessions connected")

    return check


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def delivery() -> Finding:
    """The oldest message that should have left: the one figure that shows a dead worker."""
    _due, age = operations.find_due()
    if age > OLDEST_DUE_SECONDS:
        words = f"the oldest message waits for {int(age)} s: are worker and clock running?"
        return Finding("Delivery", False, words)
    return Finding("Delivery", True, "nothing waits for longer than it should")


def ledger() -> Finding:
    """Deliveries that failed or wait hold words of customers that nobody sees."""
    counts = count_open()
    if not any(counts.values()):
        return Finding("Ledger", True, "every delivery is processed")
    words = (
        f"{counts['trouble']} deliveries failed and {counts['waiting']} wait for a number or a "
        "campaign: open the ledger in the settings"
    )
    return Finding("Ledger", False, words)


def arrivals() -> Finding:
    """A number that is switched on and has never got anything: its webhook may lead elsewhere."""
    seen = select(WebhookEvent.id).where(WebhookEvent.whatsapp_number_id == WhatsappNumber.id)
    silent = db.session.scalars(
        select(WhatsappNumber.phone_number)
        .where(
            WhatsappNumber.status == NumberStatus.ACTIVE,
            WhatsappNumber.provider == Provider.META,
            WhatsappNumber.deleted_at.is_(None),
            WhatsappNumber.last_message_at.is_(None),
            WhatsappNumber.created_at < func.now() - text("interval '1 day'"),
            ~seen.exists(),
        )
        .order_by(WhatsappNumber.id)
    ).all()
    if silent:
        words = f"nothing has ever arrived at {', '.join(silent)}: test the connection on its page"
        return Finding("Webhook", False, words)
    return Finding("Webhook", True, "every active number has got something, or is new")


def workers() -> Finding:
    """Each queue needs a worker; with Redis away that has been said already."""
    counts = operations.count_workers()
    if counts is None:
        return Finding("Workers", False, "cannot be asked while Redis does not answer")
    lacking = [name for name, count in counts.items() if not count]
    if lacking:
        words = f"nobody works on {', '.join(lacking)}: start `flask --app wsgi worker`"
        return Finding("Workers", False, words)
    return Finding("Workers", True, f"{sum(counts.values())} at work")


def https(config: Config) -> Finding:
    """Meta delivers, and browsers give microphone and notifications, only over HTTPS."""
    address = config.public_url or ""
    if config.https or address.startswith("https://") or _is_here(address or "http://localhost"):
        return Finding("HTTPS", True, "on, or this is only your own machine")
    words = f"{address} is no HTTPS address: Meta does not deliver to it; set CRM_HTTPS behind TLS"
    return Finding("HTTPS", False, words)


def open_files() -> Finding:
    """A thousand open pages are a thousand open files."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < LEAST_OPEN_FILES:
        words = f"only {soft} allowed; raise it (ulimit -n {LEAST_OPEN_FILES}) for many open pages"
        return Finding("Open files", False, words)
    return Finding("Open files", True, "enough are allowed")
