"""What can go wrong on purpose: switched on for one number, one customer or all, once or always."""

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

# stage: before = nothing is accepted; fate = accepted, ends otherwise; answer = accepted, but the
# caller is not told properly; webhook = what the product receives; wpp_... = see wpp.py.
STAGES: dict[str, str] = {
    "rate_limit": "before",
    "pair_limit": "before",
    "token_expired": "before",
    "window_closed_at_once": "before",
    "refuse": "before",
    "server_error": "before",
    "unavailable": "before",
    "timeout": "before",
    "cut_before": "before",
    "slow": "before",
    "blocked": "fate",
    "undeliverable": "fate",
    "window_closed": "fate",
    "fail": "fate",
    "silent": "fate",
    "cut_reply": "answer",
    "hang_after_accept": "answer",
    "error_after_accept": "answer",
    "malformed_reply": "answer",
    "skip_delivered": "fate",
    "webhook_twice": "webhook",
    "webhook_shuffled": "webhook",
    "webhook_bad_signature": "webhook",
    "webhook_held": "webhook",
    # What `debug_token` says of the token.
    "token_scopes": "token",
    "token_expires": "token",
    # WPPConnect's own, each at a place of its own.
    "wpp_start": "wpp_start",
    "wpp_qr": "wpp_qr",
    "wpp_webhook": "wpp_webhook",
    "wpp_again": "wpp_again",
    "wpp_empty": "wpp_empty",
    "wpp_refuse": "wpp_refuse",
    "wpp_away": "wpp_away",
    "wpp_media": "wpp_media",
}
ERROR_CODES = {
    "rate_limit": 130429,
    "pair_limit": 131056,
    "window_closed_at_once": 131047,
    "undeliverable": 131026,
    "window_closed": 131047,
}


class FaultError(ValueError):
    """A fault was asked for that does not exist or makes no sense."""


@dataclass
class Fault:
    """One switch. `count` None means until switched off; `seconds` is for those that hang."""

    id: int
    kind: str
    number_id: str | None = None
    wa_id: str | None = None
    probability: float = 1.0
    count: int | None = None
    seconds: float = 30.0
    code: int | None = None
    used: int = field(default=0)

    @property
    def stage(self) -> str:
        return STAGES[self.kind]

    def matches(self, number_id: str, wa_id: str) -> bool:
        """Whether it is meant for this number and this customer."""
        return self.number_id in (None, number_id) and self.wa_id in (None, wa_id)

    def as_row(self) -> dict[str, Any]:
        return {**asdict(self), "stage": self.stage}


class Faults:
    """The switches that are on, oldest first; the first that fits is used."""

    def __init__(self) -> None:
        self.on: list[Fault] = []
        # Told after each change, uses included: a page shows what is left.
        self.on_change: Callable[[], None] = lambda: None
        self._last_id = 0
        self.random = random.Random()

    def add(self, row: dict[str, Any]) -> Fault:
        """Switch one on from loose JSON; raises FaultError in plain words."""
        kind = str(row.get("kind") or "")
        if kind not in STAGES:
            raise FaultError(f"kind must be one of {', '.join(sorted(STAGES))}")
        try:
            count = None if row.get("count") in (None, "") else int(row["count"])
            probability = float(row.get("probability", 1.0))
            seconds = float(row.get("seconds", 30.0))
            code = None if row.get("code") in (None, "") else int(row["code"])
        except (TypeError, ValueError):
            raise FaultError("count, probability, seconds and code must be numbers") from None
        if not 0 < probability <= 1:
            raise FaultError("probability must be above 0 and at most 1")
        if count is not None and count < 1:
            raise FaultError("count must be at least 1, or absent for always")
        if not 0 <= seconds <= 3600:
            raise FaultError("seconds must be from 0 to 3600")
        if kind in {"refuse", "fail"} and code is None:
            raise FaultError(f"{kind} needs a code, for example 131026")
        self._last_id += 1
        fault = Fault(
            id=self._last_id,
            kind=kind,
            number_id=_text(row.get("number_id")),
            wa_id=_text(row.get("wa_id")),
            probability=probability,
            count=count,
            seconds=seconds,
            code=code if code is not None else ERROR_CODES.get(kind),
        )
        self.on.append(fault)
        self.on_change()
        return fault

    def remove(self, *, fault_id: int | None = None, kind: str | None = None) -> int:
        """Switch off one, all of a kind, or all; returns how many."""
        before = len(self.on)
        self.on = [
            fault
            for fault in self.on
            if not (
                (fault_id is None and kind is None)
                or fault.id == fault_id
                or (kind is not None and fault.kind == kind)
            )
        ]
        self.on_change()
        return before - len(self.on)

    def take(self, stage: str, number_id: str, wa_id: str = "") -> Fault | None:
        """Use up one turn of the first fault of this stage that fits and whose dice fall so."""
        if not self.on:
            return None
        for fault in self.on:
            if fault.stage != stage or not fault.matches(number_id, wa_id):
                continue
            if fault.probability < 1 and self.random.random() >= fault.probability:
                continue
            fault.used += 1
            if fault.count is not None:
                fault.count -= 1
                if fault.count <= 0:
                    self.on.remove(fault)
            self.on_change()
            return fault
        return None

    def peek(self, kind: str, number_id: str) -> bool:
        """Whether a switch of this kind is on for the number, without using it up."""
        return any(fault.kind == kind and fault.matches(number_id, "") for fault in self.on)


def _text(value: Any) -> str | None:
    text = str(value).strip() if value is not None else ""
    return text or None
