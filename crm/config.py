"""The settings, read from the environment once, by helpers that refuse nonsense.

`Config.from_env()` raises `ConfigError` with one line that says which setting is wrong, why, and
what a right one looks like. Everything else in `crm` receives values from here; nobody else reads
`os.environ`.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet

DEFAULT_GRAPH_URL = "https://graph.facebook.com/v23.0"


class ConfigError(Exception):
    """A setting is missing or wrong; the message is one line for the operator."""


@dataclass(frozen=True)
class MailServer:
    """Where e-mails go out. `security`: starttls, tls or none (a server on this machine)."""

    host: str
    sender: str
    port: int = 587
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    security: str = "starttls"


@dataclass(frozen=True)
class Config:
    """All settings. Times are in seconds; lists come from comma-separated values."""

    # The addresses hold passwords.
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    secret_key: str = field(repr=False)
    encryption_keys: tuple[str, ...] = field(repr=False)
    port: int = 8000
    data_dir: Path = Path("var")
    files: str = ""
    files_endpoint: str | None = None
    # Heroku: each process has a disk of its own, gone with it.
    is_hosted: bool = False
    demo_password: str | None = field(default=None, repr=False)
    audit_secret: str | None = field(default=None, repr=False)
    mail_server: MailServer | None = None
    public_url: str | None = None
    meta_app_secrets: tuple[str, ...] = field(default=(), repr=False)
    meta_verify_tokens: tuple[str, ...] = field(default=(), repr=False)
    meta_graph_url: str = DEFAULT_GRAPH_URL
    trusted_hosts: tuple[str, ...] = ()
    webhook_url: str | None = None
    default_locale: str = "es"
    default_time_zone: str = "America/Bogota"
    proxy_hops: int = 0
    https: bool = False
    session_idle_seconds: int = 8 * 3600
    session_absolute_seconds: int = 12 * 3600
    lease_seconds: float = 30
    sweep_seconds: float = 5
    uncertain_hold_seconds: float = 30
    retry_base_seconds: float = 2
    provider_seconds: float = 20
    access_check_seconds: float = 5
    absent_seconds: float = 120
    ledger_days: int = 30
    metrics_token: str | None = None
    wppconnect_check_seconds: float = 60
    wppconnect_stuck_seconds: float = 150
    wppconnect_gap_seconds: float = 300
    database_pool_size: int = 10
    testing: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Config:
        """Read and check every setting; raises ConfigError on the first wrong one."""
        env = os.environ if environ is None else environ
        config = cls(
            database_url=postgres_url(env),
            redis_url=redis_url(env),
            secret_key=secret_key(env),
            encryption_keys=encryption_keys(env),
            port=integer(env, "PORT", 8000, low=1, high=65535),
            data_dir=Path(env.get("CRM_DATA_DIR") or "var").expanduser(),
            files=files_address(env),
            is_hosted=bool(env.get("DYNO")),
            files_endpoint=web_url(env, "CRM_FILES_ENDPOINT", "") or None,
            demo_password=demo_password(env),
            audit_secret=env.get("CRM_AUDIT_KEY", "").strip() or None,
            mail_server=mail_server(env),
            public_url=web_url(env, "CRM_PUBLIC_URL", "") or None,
            meta_app_secrets=comma_list(env, "META_APP_SECRET"),
            meta_verify_tokens=comma_list(env, "META_VERIFY_TOKEN"),
            meta_graph_url=web_url(env, "META_GRAPH_URL", DEFAULT_GRAPH_URL),
            trusted_hosts=comma_list(env, "CRM_TRUSTED_HOSTS"),
            webhook_url=web_url(env, "CRM_WEBHOOK_URL", "") or None,
            proxy_hops=integer(env, "CRM_PROXY_HOPS", 1 if env.get("DYNO") else 0, low=0, high=5),
            https=boolean(env, "CRM_HTTPS", bool(env.get("DYNO"))),
            session_idle_seconds=integer(env, "CRM_SESSION_IDLE_SECONDS", 8 * 3600, low=60),
            session_absolute_seconds=integer(env, "CRM_SESSION_SECONDS", 12 * 3600, low=300),
            lease_seconds=seconds(env, "CRM_LEASE_SECONDS", 30),
            sweep_seconds=seconds(env, "CRM_SWEEP_SECONDS", 5),
            uncertain_hold_seconds=seconds(env, "CRM_UNCERTAIN_HOLD_SECONDS", 30),
            retry_base_seconds=seconds(env, "CRM_RETRY_BASE_SECONDS", 2),
            provider_seconds=seconds(env, "CRM_PROVIDER_SECONDS", 20),
            access_check_seconds=seconds(env, "CRM_ACCESS_CHECK_SECONDS", 5),
            absent_seconds=seconds(env, "CRM_ABSENT_SECONDS", 120),
            metrics_token=metrics_token(env),
            ledger_days=integer(env, "CRM_LEDGER_DAYS", 30, low=30, high=3650),
            wppconnect_check_seconds=seconds(env, "CRM_WPPCONNECT_CHECK_SECONDS", 60),
            wppconnect_stuck_seconds=seconds(env, "CRM_WPPCONNECT_STUCK_SECONDS", 150),
            wppconnect_gap_seconds=seconds(env, "CRM_WPPCONNECT_GAP_SECONDS", 300),
            database_pool_size=integer(env, "CRM_DATABASE_POOL_SIZE", 10, low=1, high=200),
            testing=boolean(env, "CRM_TESTING", False),
        )
        config.validate()
        return config

    def validate(self) -> None:
        """Hold the settings against each other."""
        if self.session_idle_seconds > self.session_absolute_seconds:
            raise ConfigError(
                "CRM_SESSION_IDLE_SECONDS is longer than CRM_SESSION_SECONDS; "
                "the idle limit must be the shorter one, e.g. 28800 and 43200."
            )
        if self.mail_server and not self.public_url:
            # A link in an e-mail must not follow the Host header of whoever asked for it.
            raise ConfigError(
                "CRM_PUBLIC_URL is not set and SMTP_HOST is; links in e-mails need the address of "
                "this installation, e.g. CRM_PUBLIC_URL=https://crm.example.com"
            )

    @property
    def audit_key(self) -> bytes:
        """Seals the audit trail. Made from the secret key unless CRM_AUDIT_KEY names its own."""
        given = self.audit_secret or self.secret_key
        return hmac.new(given.encode(), b"charla audit trail", hashlib.sha256).digest()

    @property
    def webhook_base(self) -> str:
        """Where a WPPConnect server reaches us; without a setting, on this machine."""
        return self.webhook_url or self.public_url or f"http://127.0.0.1:{self.port}"

    @property
    def arrivals_dir(self) -> Path:
        """Files that came in with a POST, until the media job has taken them."""
        return self.data_dir / "arrivals"

    @property
    def session_cookie_name(self) -> str:
        """`__Host-` asks for HTTPS, which a local start does not have."""
        return "__Host-sid" if self.https else "sid"


def comma_list(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in env.get(name, "").split(",") if part.strip())


def required(env: Mapping[str, str], name: str, example: str) -> str:
    value = env.get(name, "").strip()
    if not value:
        raise ConfigError(f"{name} is not set; set it, e.g. {name}={example}")
    return value


def integer(
    env: Mapping[str, str], name: str, default: int, *, low: int = 0, high: int = 10**9
) -> int:
    raw = env.get(name, "").strip()
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise ConfigError(f"{name}={raw!r} is not a whole number, e.g. {name}={default}") from None
    if not low <= value <= high:
        raise ConfigError(f"{name}={value} is outside {low} to {high}, e.g. {name}={default}")
    return value


def seconds(env: Mapping[str, str], name: str, default: float) -> float:
    raw = env.get(name, "").strip()
    if not raw:
        return default
    try:
        value = float(raw)
    except ValueError:
        value = -1
    if not 0 < value < 10**7:
        raise ConfigError(f"{name}={raw!r} is not a number of seconds, e.g. {name}={default}")
    return value


def boolean(env: Mapping[str, str], name: str, default: bool) -> bool:
    raw = env.get(name, "").strip().lower()
    if not raw:
        return default
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise ConfigError(f"{name}={raw!r} is neither true nor false, e.g. {name}=true")


def web_url(env: Mapping[str, str], name: str, default: str) -> str:
    """The address without a slash at its end; `default` ("" is allowed) where it is not set."""
    value = env.get(name, "").strip().rstrip("/") or default
    if not value:
        return value
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(
            f"{name}={value!r} is not a web address, e.g. {name}={default or 'https://crm.example.com'}"
        )
    return value


def postgres_url(env: Mapping[str, str]) -> str:
    """The database address with its driver named.

    Hosts still hand out `postgres://`, and since SQLAlchemy 2.1 a bare `postgresql://` means
    psycopg 3; we run psycopg2.
    """
    example = "postgresql://charla:secret@localhost:5432/charla"
    value = required(env, "DATABASE_URL", example)
    scheme, _, rest = value.partition("://")
    if scheme not in {"postgres", "postgresql", "postgresql+psycopg2"} or not rest:
        raise ConfigError(
            f"DATABASE_URL starts with {scheme + '://'!r}; Charla needs Postgres, "
            f"e.g. DATABASE_URL={example}"
        )
    return f"postgresql+psycopg2://{rest}"


def redis_url(env: Mapping[str, str]) -> str:
    example = "redis://localhost:6379/0"
    value = required(env, "REDIS_URL", example)
    if value.partition("://")[0] not in {"redis", "rediss", "unix"}:
        raise ConfigError(f"REDIS_URL is not a Redis address, e.g. REDIS_URL={example}")
    if value.startswith("rediss://") and env.get("DYNO") and "ssl_cert_reqs" not in value:
        # Heroku's Redis speaks TLS with a certificate of its own making and sets this variable
        # itself, so nobody could add the parameter there.
        value += ("&" if "?" in value else "?") + "ssl_cert_reqs=none"
    return value


def secret_key(env: Mapping[str, str]) -> str:
    example = "$(python -c 'import secrets; print(secrets.token_urlsafe(48))')"
    value = required(env, "SECRET_KEY", example)
    if len(value) < 32:
        raise ConfigError(
            f"SECRET_KEY has {len(value)} characters and needs at least 32, e.g. {example}"
        )
    return value


def encryption_keys(env: Mapping[str, str]) -> tuple[str, ...]:
    """Fernet keys, newest first; the first encrypts, all decrypt (rotation)."""
    name = "CRM_ENCRYPTION_KEYS"
    command = "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"
    example = f"$(python -c '{command}')"
    required(env, name, example)
    keys = comma_list(env, name)
    for position, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError:
            raise ConfigError(
                f"{name}: key {position} of {len(keys)} is not a Fernet key "
                f"(32 bytes, url-safe base64), e.g. {example}"
            ) from None
    return keys


def files_address(env: Mapping[str, str]) -> str:
    """Empty for a folder below CRM_DATA_DIR, or "s3://bucket/prefix"."""
    name = "CRM_FILES"
    value = env.get(name, "").strip().rstrip("/")
    if not value:
        return ""
    parts = urlsplit(value)
    if parts.scheme != "s3" or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc):
        raise ConfigError(f"{name}={value!r} is not a bucket, e.g. {name}=s3://my-bucket/charla")
    if importlib.util.find_spec("boto3") is None:
        raise ConfigError(f"{name} names a bucket; run pip install -r requirements-s3.txt first.")
    return value


def metrics_token(env: Mapping[str, str]) -> str | None:
    """None: /metrics does not exist."""
    value = env.get("CRM_METRICS_TOKEN", "").strip()
    if value and len(value) < 16:
        raise ConfigError(
            f"CRM_METRICS_TOKEN has {len(value)} characters and needs at least 16, e.g. "
            "$(python -c 'import secrets; print(secrets.token_urlsafe(24))')"
        )
    return value or None


def demo_password(env: Mapping[str, str]) -> str | None:
    value = env.get("CRM_DEMO_PASSWORD", "")
    if value and len(value) < 10:
        raise ConfigError(
            "CRM_DEMO_PASSWORD has fewer than 10 characters, e.g. CRM_DEMO_PASSWORD=prueba-charla-1"
        )
    return value or None


def mail_server(env: Mapping[str, str]) -> MailServer | None:
    """None without SMTP_HOST: links are then shown to the admin, who passes them on."""
    host = env.get("SMTP_HOST", "").strip()
    if not host:
        return None
    security = env.get("SMTP_SECURITY", "").strip().lower() or "starttls"
    if security not in {"starttls", "tls", "none"}:
        raise ConfigError(
            f"SMTP_SECURITY={security!r} is none of starttls, tls and none, "
            "e.g. SMTP_SECURITY=starttls"
        )
    sender = required(env, "SMTP_FROM", "Charla <charla@example.com>")
    if "@" not in sender or any(char in sender for char in "\r\n"):
        raise ConfigError(
            f"SMTP_FROM={sender!r} is not an e-mail, e.g. SMTP_FROM=charla@example.com"
        )
    return MailServer(
        host=host,
        sender=sender,
        port=integer(env, "SMTP_PORT", 465 if security == "tls" else 587, low=1, high=65535),
        user=env.get("SMTP_USER", "").strip() or None,
        password=env.get("SMTP_PASSWORD", "") or None,
        security=security,
    )
