"""Starts a simulator of its own for a test: a real process on a free port.

    with simulator_server(webhook_url=url) as sim:
        sim.say(wa_id="573001112233", name="Ana", text="Hola")
        ...  # the product under test calls sim.graph_url with sim.token
        assert [row["text"] for row in sim.accepted()] == ["Buenos días"]

Ticks come at once (`delays=0`), Meta's rate limits are off unless asked for, and a webhook that
was refused is tried again after 0.1 s. The folder of its ledgers is `sim.data_dir`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
NUMBER = "100000000000001"
NUMBER_2 = "100000000000002"
WPP_NUMBER = "100000000000003"
WABA = "200000000000001"
Row = dict[str, Any]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class SimulatorServer:
    """A running simulator; every method is one call of its control API."""

    def __init__(self, *, port: int | None, data_dir: Path, environment: dict[str, str]) -> None:
        self.data_dir = data_dir
        self.token = "simulator-token"
        self.app_secret = environment["META_APP_SECRET"]
        self.verify_token = environment["META_VERIFY_TOKEN"]
        self._environment = environment
        self._session = requests.Session()
        self._move(port or free_port())
        self._may_move = port is None
        self.process: subprocess.Popen[bytes] | None = None

    def _move(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.graph_url = f"{self.url}/v23.0"

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it and wait until it answers.

        A free port may be taken by somebody else a moment later; the first start then moves to
        another, later ones keep theirs because the product knows it by then.
        """
        for _ in range(5):
            environment = {**self._environment, "SIMULATOR_PORT": str(self.port)}
            self.process = subprocess.Popen(
                [sys.executable, "-m", "crm.simulator"], cwd=ROOT, env=environment
            )
            if self._answers(self.process):
                self._may_move = False
                return
            if not self._may_move:
                break
            self._move(free_port())
        raise RuntimeError(f"the simulator ended with {self.process.returncode}")

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait for an answer of this very process; False when it ended instead."""
        deadline = time.monotonic() + 60
        while process.poll() is None:
            try:
                state = requests.get(f"{self.url}/control/state", timeout=5)
                if state.status_code == 200 and state.json().get("process") == process.pid:
                    return True
            except (requests.RequestException, ValueError):
                pass  # not there yet, or somebody else's
            if time.monotonic() > deadline:
                self.stop()
                raise TimeoutError("the simulator does not answer")
            time.sleep(0.05)
        return False

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, then kill -9 if it does not go."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()

    def restart(self) -> None:
        """kill -9 and start again on the same port and folder."""
        self.kill()
        self.start()

    # -- orders ---------------------------------------------------------------------------------

    def control(self, method: str, path: str, body: Row | None = None, **query: Any) -> Any:
        """Any control call; raises RuntimeError with the simulator's own words."""
        answer = self._session.request(
            method, f"{self.url}/control/{path}", json=body, params=query, timeout=30
        )
        if answer.status_code != 200:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def reset(self, *, ledgers: bool = True) -> None:
        """Forget conversations, customers, faults and (by default) the ledgers."""
        self.control("POST", "reset", {"ledgers": ledgers})

    def add_number(self, number_id: str, display_phone_number: str, **more: str) -> Row:
        """Register a business number (verified_name, waba_id)."""
        row = {"id": number_id, "display_phone_number": display_phone_number, **more}
        return self.control("POST", "numbers", row)

    def add_customer(self, wa_id: str, name: str, **more: Any) -> Row:
        """Create a customer (username, online, receipts, hidden)."""
        return self.control("POST", "customers", {"wa_id": wa_id, "name": name, **more})

    def change_customer(self, wa_id: str, **changes: Any) -> Row:
        """Change name, username, online, receipts, hidden, blocked (a list of number ids)."""
        return self.control("PATCH", f"customers/{wa_id}", changes)

    def say(self, *, wa_id: str, number_id: str = NUMBER, name: str = "", **content: Any) -> Row:
        """A customer writes: text=..., sample="photo", kind=...+content=..., quote=wamid, at=...

        Returns the message; its id is row["wamid"].
        """
        return self.control(
            "POST", "say", {"number_id": number_id, "wa_id": wa_id, "name": name, **content}
        )

    def press(self, *, wa_id: str, wamid: str, choice: str, number_id: str = NUMBER) -> Row:
        """Press a button or choose a list row by its id."""
        body = {"number_id": number_id, "wa_id": wa_id, "wamid": wamid, "choice": choice}
        return self.control("POST", "press", body)

    def look(self, *, wa_id: str, number_id: str = NUMBER, on: bool = True) -> None:
        """The customer opens the chat (what was delivered becomes read) or leaves it."""
        self.control("POST", "look", {"number_id": number_id, "wa_id": wa_id, "on": on})

    def play(self, wamid: str) -> None:
        """The customer listens to a voice note of the business."""
        self.control("POST", "played", {"wamid": wamid})

    def move_window(self, *, wa_id: str, number_id: str = NUMBER, hours: float = 25) -> None:
        """Put the customer's last word so many hours back."""
        body = {"number_id": number_id, "wa_id": wa_id, "hours": hours}
        self.control("POST", "window", body)

    def webhook(self, value: Row, *, field: str = "messages", number_id: str = NUMBER) -> None:
        """Have any update delivered: value without metadata, signed, retried."""
        self.control("POST", "webhook", {"number_id": number_id, "field": field, "value": value})

    def set_fault(self, kind: str, **more: Any) -> Row:
        """Switch a fault on: number_id, wa_id, probability, count, seconds, code."""
        return self.control("POST", "faults", {"kind": kind, **more})

    def clear_faults(self, kind: str | None = None) -> None:
        """Switch off all faults, or those of a kind."""
        self.control("DELETE", "faults", **({"kind": kind} if kind else {}))

    def settings(self, **changes: Any) -> Row:
        """Change delay_scale, limits, enforce_window, window_refused_at_once."""
        return self.control("POST", "settings", changes)

    def verify(self, **body: Any) -> Row:
        """Do the GET handshake with the product: {"ok", "status", "answer"}."""
        return self.control("POST", "verify", body)

    def hurry(self) -> None:
        """Try every waiting webhook now."""
        self.control("POST", "outbox/hurry", {})

    # -- reading --------------------------------------------------------------------------------

    def state(self) -> Row:
        return self.control("GET", "state")

    def accepted(self) -> list[Row]:
        """The ledger of accepted sends, oldest first (the file, so it works after a kill too)."""
        return _lines(self.data_dir / "accepted.jsonl")

    def acknowledged(self) -> list[Row]:
        """The ledger of webhooks that were answered with 200, oldest first."""
        return _lines(self.data_dir / "webhooks.jsonl")

    def waiting(self) -> list[Row]:
        """Webhooks not yet answered with 200."""
        return self.control("GET", "outbox")["waiting"]

    def calls(self) -> list[Row]:
        """The last 150 calls in both directions, newest first."""
        return self.control("GET", "calls")["calls"]

    def phone(self, wa_id: str, number_id: str | None = None) -> Row:
        """What a phone shows: {"customer", "chats"} or, with a number, {"customer", "chat"}."""
        return self.control("GET", f"phones/{wa_id}" + (f"/{number_id}" if number_id else ""))

    def messages(self, wa_id: str, number_id: str = NUMBER) -> list[Row]:
        """The messages of one chat, oldest first."""
        return self.phone(wa_id, number_id)["chat"]["messages"]

    def wait_until_quiet(self, *, seconds: float = 30) -> None:
        """Wait until every webhook was answered with 200; raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while self.state()["waiting_webhooks"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"still waiting: {self.waiting()[:3]}")
            time.sleep(0.05)


def _lines(path: Path) -> list[Row]:
    return [
        json.loads(line)
        for line in path.read_bytes().splitlines(keepends=True)
        if line.endswith(b"\n")
    ]


@contextmanager
def simulator_server(
    *,
    webhook_url: str = "http://127.0.0.1:9/webhooks/meta",
    delays: float = 0,
    limits: bool = False,
    app_secret: str = "test-app-secret",
    verify_token: str = "test-verify-token",
    numbers: list[Row] | None = None,
    data_dir: Path | None = None,
    port: int | None = None,
    retry_seconds: float = 0.1,
    retry_cap_seconds: float = 1.0,
    history: Path | None = None,
) -> Iterator[SimulatorServer]:
    """A simulator for the length of a `with`; everything it keeps lies in a temporary folder.

    `app_secret` and `verify_token` must be those of the product under test.
    """
    with tempfile.TemporaryDirectory(prefix="charla-simulator-") as folder:
        environment = {
            **os.environ,
            "SIMULATOR_HOST": "127.0.0.1",
            "SIMULATOR_WEBHOOK_URL": webhook_url,
            "SIMULATOR_DATA_DIR": str(data_dir or folder),
            "SIMULATOR_TOKEN": "simulator-token",
            "SIMULATOR_DELAY_SCALE": str(delays),
            "SIMULATOR_LIMITS": "1" if limits else "0",
            "SIMULATOR_RETRY_SECONDS": str(retry_seconds),
            "SIMULATOR_RETRY_CAP_SECONDS": str(retry_cap_seconds),
            "SIMULATOR_NUMBERS": json.dumps(numbers) if numbers else "",
            "SIMULATOR_HISTORY": str(history or ""),
            "META_APP_SECRET": app_secret,
            "META_VERIFY_TOKEN": verify_token,
        }
        server = SimulatorServer(
            port=port, data_dir=Path(data_dir or folder), environment=environment
        )
        try:
            server.start()
            yield server
        finally:
            server.stop()
