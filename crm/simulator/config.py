"""What the simulator reads from its environment, checked before anything starts."""

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DEFAULT_NUMBERS: list[dict[str, Any]] = [
    {
        "id": "100000000000001",
        "display_phone_number": "+57 601 555 0101",
        "verified_name": "Línea Ventas",
        "waba_id": "200000000000001",
    },
    {
        "id": "100000000000002",
        "display_phone_number": "+57 601 555 0102",
        "verified_name": "Línea Soporte",
        "waba_id": "200000000000001",
    },
    {
        "id": "100000000000003",
        "display_phone_number": "+57 601 555 0103",
        "verified_name": "Línea Mostrador",
        "waba_id": "0",
        "provider": "wppconnect",
        "session": "mostrador",
        # The phone was linked before: the session comes up without a QR code.
        "linked": True,
    },
]


class SettingsError(ValueError):
    """A setting is missing or wrong; the text is one line for a person."""


@dataclass(frozen=True)
class Settings:
    """One frozen reading of the environment.

    `delay_scale` multiplies every believable delay (0 = at once); `retry_seconds` is the first
    wait after a webhook that was not answered with 200, doubled up to `retry_cap_seconds`.
    `history` is a file with what lies in the phones at the very first start (`seed.read_history`).
    """

    host: str
    port: int
    webhook_url: str
    app_secret: str
    verify_token: str
    token: str
    data_dir: Path
    numbers: list[dict[str, Any]]
    delay_scale: float = 1.0
    retry_seconds: float = 2.0
    retry_cap_seconds: float = 120.0
    limits: bool = True
    history: Path | None = None

    @property
    def base_url(self) -> str:
        """Where a client reaches this process."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "Settings":
        """Read and check every setting; raises SettingsError naming the first wrong one."""
        env = os.environ if env is None else env
        return cls(
            host=_loopback(env.get("SIMULATOR_HOST") or "127.0.0.1"),
            port=_integer(env, "SIMULATOR_PORT", default=5090, low=1, high=65535),
            webhook_url=_webhook_url(env),
            # A comma list means rotation on the receiving side; Meta signs with one secret.
            app_secret=_first(env, "META_APP_SECRET", example="simulator-app-secret"),
            verify_token=_first(env, "META_VERIFY_TOKEN", example="simulator-verify-token"),
            token=env.get("SIMULATOR_TOKEN") or "simulator-token",
            data_dir=Path(env.get("SIMULATOR_DATA_DIR") or "var/simulator"),
            numbers=_numbers(env.get("SIMULATOR_NUMBERS") or ""),
            delay_scale=_number(env, "SIMULATOR_DELAY_SCALE", default=1.0),
            retry_seconds=_number(env, "SIMULATOR_RETRY_SECONDS", default=2.0, low=0.01),
            retry_cap_seconds=_number(env, "SIMULATOR_RETRY_CAP_SECONDS", default=120.0, low=0.01),
            limits=_switch(env, "SIMULATOR_LIMITS", default=True),
            history=Path(env["SIMULATOR_HISTORY"]) if env.get("SIMULATOR_HISTORY") else None,
        )


def _wrong(name: str, value: str, *, why: str, example: str) -> SettingsError:
    return SettingsError(f"{name}={value!r}: {why}. Example: {name}={example}")


def _loopback(value: str) -> str:
    # It accepts orders without a password (faults, reset), so it never listens to a network.
    if value == "localhost":
        return "127.0.0.1"
    try:
        if ipaddress.ip_address(value).is_loopback:
            return value
    except ValueError:
        pass
    raise _wrong(
        "SIMULATOR_HOST", value, why="the simulator listens on loopback only", example="127.0.0.1"
    )


def _integer(env: Mapping[str, str], name: str, *, default: int, low: int, high: int) -> int:
    raw = env.get(name) or str(default)
    try:
        value = int(raw)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise _wrong(
            name, raw, why=f"must be a whole number from {low} to {high}", example=str(default)
        )
    return value


def _number(env: Mapping[str, str], name: str, *, default: float, low: float = 0.0) -> float:
    raw = env.get(name) or str(default)
    try:
        value = float(raw)
    except ValueError:
        value = -1.0
    if not low <= value <= 1e6:
        raise _wrong(name, raw, why=f"must be a number of at least {low}", example=str(default))
    return value


def _switch(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    raw = (env.get(name) or ("1" if default else "0")).strip().lower()
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise _wrong(name, raw, why="must be 1 or 0", example="1")


def _first(env: Mapping[str, str], name: str, *, example: str) -> str:
    value = (env.get(name) or "").split(",")[0].strip()
    if not value:
        raise SettingsError(
            f"{name} is missing: the simulator signs its webhooks and answers the handshake as "
            f"Meta does. Example: {name}={example}"
        )
    return value


def _webhook_url(env: Mapping[str, str]) -> str:
    value = env.get("SIMULATOR_WEBHOOK_URL") or "http://127.0.0.1:8000/webhooks/meta"
    parts = urlsplit(value)
    if parts.scheme != "http" or not parts.hostname:
        raise _wrong(
            "SIMULATOR_WEBHOOK_URL",
            value,
            why="must be a plain http address on this machine or network",
            example="http://127.0.0.1:8000/webhooks/meta",
        )
    return value


def _numbers(raw: str) -> list[dict[str, Any]]:
    if not raw:
        return [dict(number) for number in DEFAULT_NUMBERS]
    example = json.dumps(DEFAULT_NUMBERS[:1], ensure_ascii=False)
    try:
        rows = json.loads(raw)
    except ValueError as error:
        raise _wrong(
            "SIMULATOR_NUMBERS", raw[:80], why=f"is not JSON ({error})", example=example
        ) from None
    if not isinstance(rows, list) or not rows:
        raise _wrong(
            "SIMULATOR_NUMBERS", raw[:80], why="must be a list of numbers", example=example
        )
    return [number_from(row) for row in rows]


def number_from(row: Any) -> dict[str, Any]:
    """A business number from loose JSON; raises SettingsError that says what is wrong."""
    if not isinstance(row, dict):
        raise SettingsError("a number must be an object with id and display_phone_number")
    found: dict[str, Any] = {
        "id": str(row.get("id") or "").strip(),
        "display_phone_number": str(row.get("display_phone_number") or "").strip(),
        "verified_name": str(row.get("verified_name") or row.get("name") or "").strip(),
        "waba_id": str(row.get("waba_id") or DEFAULT_NUMBERS[0]["waba_id"]).strip(),
    }
    if not (found["id"].isdigit() and found["waba_id"].isdigit()):
        raise SettingsError("a number's id and waba_id must be digits, as Meta's are")
    if sum(char.isdigit() for char in found["display_phone_number"]) < 7:
        raise SettingsError(
            "display_phone_number must be a phone number, for example +57 601 555 0101"
        )
    if row.get("provider") == "wppconnect":
        session = str(row.get("session") or "").strip()
        if not session:
            raise SettingsError("a number of WPPConnect needs the name of its session")
        linked = row.get("linked") is True
        found |= {"provider": "wppconnect", "session": session, "waba_id": "0", "linked": linked}
    found["verified_name"] = found["verified_name"] or found["display_phone_number"]
    return found
