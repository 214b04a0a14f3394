"""The settings of the local stack: what the environment says, and for the rest what is kept.

Secrets are generated once and kept in the data folder, readable for us alone. A value from the
environment wins for this run and is not kept.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet

from crm.config import Config, ConfigError, integer
from crm.embedded.places import make_folder

DEFAULT_PORT = 8000
GRAPH_VERSION = "v23.0"
# Words without look-alike letters, joined: easy to read from a terminal and to type.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True)
class LocalSettings:
    """Where the local stack lives and what its processes get as their environment."""

    folder: Path
    port: int
    simulator_port: int
    environment: dict[str, str]
    kept: dict[str, str]
    owns_servers: bool

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def simulator_address(self) -> str:
        return f"http://localhost:{self.simulator_port}"


def data_folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("CRM_DATA_DIR") or "var").expanduser().resolve()


def load(environ: Mapping[str, str]) -> LocalSettings:
    """Read, complete and keep. The addresses of embedded servers come later, once they run.

    Raises ConfigError with one line for people.
    """
    folder = data_folder(environ)
    given = [name for name in ("DATABASE_URL", "REDIS_URL") if environ.get(name, "").strip()]
    if len(given) == 1:
        raise ConfigError(
            f"{given[0]} is set without the other of DATABASE_URL and REDIS_URL; "
            "set both to use servers of your own, or none to let Charla start its own."
        )
    port = integer(environ, "PORT", DEFAULT_PORT, low=1, high=65534)
    simulator_port = integer(environ, "SIMULATOR_PORT", port + 1, low=1, high=65535)
    values = dict(environ)
    kept = kept_secrets(folder)
    for name, value in kept.items():
        if not values.get(name, "").strip():
            values[name] = value
    values |= {
        "PORT": str(port),
        "CRM_DATA_DIR": str(folder),
        "SIMULATOR_PORT": str(simulator_port),
        "SIMULATOR_WEBHOOK_URL": f"http://127.0.0.1:{port}/webhooks/meta",
        "SIMULATOR_DATA_DIR": str(folder / "simulator"),
        "SIMULATOR_HISTORY": str(folder / "demo-phones.json"),
    }
    # The simulated WPPConnect server is an address inside; the operator's own list wins.
    values.setdefault("CRM_TRUSTED_HOSTS", "127.0.0.1,localhost")
    # Only this machine may come in, unless it is asked for: the phone page has no login.
    values.setdefault("CRM_BIND", "127.0.0.1")
    values.setdefault("META_GRAPH_URL", f"http://127.0.0.1:{simulator_port}/{GRAPH_VERSION}")
    # What is wrong stops the start here, and not when servers run whose addresses come later.
    later = {} if given else {"DATABASE_URL": "postgresql://later", "REDIS_URL": "redis://later"}
    Config.from_env(values | later)
    return LocalSettings(folder, port, simulator_port, values, kept, owns_servers=not given)


def keep(folder: Path, kept: Mapping[str, str]) -> None:
    """Write the secrets that stay."""
    write_lines(folder / "secrets.env", kept)


def kept_secrets(folder: Path) -> dict[str, str]:
    """The generated secrets of this folder, made at the first call."""
    make_folder(folder)
    kept = read_lines(folder / "secrets.env")
    fresh = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "CRM_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "META_APP_SECRET": secrets.token_hex(16),
        "META_VERIFY_TOKEN": secrets.token_urlsafe(24),
        "CRM_DEMO_PASSWORD": "-".join(
            "".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(3)
        ),
    }
    if fresh.keys() - kept.keys():
        kept = fresh | kept
        keep(folder, kept)
    return kept


def read_lines(path: Path) -> dict[str, str]:
    """KEY=value lines; an absent file has none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def write_lines(path: Path, values: Mapping[str, str]) -> None:
    """Write at once or not at all, readable for us alone."""
    draft = path.with_name(f"{path.name}.new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())
    draft.replace(path)
