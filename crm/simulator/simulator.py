"""The simulated WhatsApp itself: what it holds, and how a send call is accepted."""

import fcntl
import hashlib
import json
import os
from collections import deque
from typing import Any

from crm.simulator import checks, webhooks, wire
from crm.simulator.bus import Bus
from crm.simulator.checks_template import match_template
from crm.simulator.config import Settings, SettingsError
from crm.simulator.customers import Customers
from crm.simulator.errors import known_error, unknown_object
from crm.simulator.faults import Faults
from crm.simulator.journal import Ledger
from crm.simulator.limits import Limits
from crm.simulator.media import MediaStore
from crm.simulator.outbox import Outbox
from crm.simulator.poster import Poster
from crm.simulator.receipts import Receipts
from crm.simulator.seed import TEMPLATES, read_history
from crm.simulator.timeline import Timeline
from crm.simulator.world import Row, World, now
from crm.simulator.wpp import Wpp, is_wpp

WINDOW_SECONDS = 24 * 3600


class Simulator:
    """One per process and data folder; everything else hangs on it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = _lock(settings)
        self.world = World(settings.data_dir)
        self.accepted = Ledger(settings.data_dir / "accepted.jsonl")
        self.acknowledged = Ledger(settings.data_dir / "webhooks.jsonl")
        self.faults = Faults()
        self._take_settings()
        self.bus = Bus()
        self.faults.on_change = self._tell_faults
        self.timeline = Timeline()
        self.media = MediaStore(self.world, settings)
        self.poster = Poster(settings.webhook_url)
        self.outbox = Outbox(
            self.world,
            poster=self.poster,
            secret=settings.app_secret,
            faults=self.faults,
            ledger=self.acknowledged,
            retry_seconds=settings.retry_seconds,
            retry_cap_seconds=settings.retry_cap_seconds,
        )
        self.outbox.on_call = self.bus.note_call
        self.outbox.on_acked = self._tell_acked
        self.receipts = Receipts(self)
        self.customers = Customers(self)
        self.wpp = Wpp(self)
        self._heal_ledger()
        self._seed()
        self.receipts.resume()

    # -- sending --------------------------------------------------------------------------------

    def send(self, number_id: str, body: Row, raw: bytes) -> tuple[Row, str, str]:
        """Accept or refuse one send call; returns (answer, wamid, the customer's wa_id).

        Raises GraphError. When it returns, the call is in the ledger on the disk.
        """
        number = self.world.numbers.get(number_id)
        if number is None or is_wpp(number):
            raise unknown_object(number_id, verb="post")
        kind = checks.check_send(body)
        customer = self._recipient(number, body)
        code = self.limits.over(number_id, customer["wa_id"])
        if code is not None:
            raise known_error(code)
        if self.enforce_window and self.window_refused_at_once and kind != "template":
            self.receipts.refuse_closed_window(number_id, customer["wa_id"])
        category, rendered = self._check_content(number, kind, body)
        message = self._message(number, customer, kind, body)
        if rendered:
            message["rendered"] = rendered
        message["pricing"] = webhooks.pricing(
            kind, category=category, window_open=self.window_open(number_id, customer["wa_id"])
        )
        self.receipts.decide_fate(message, customer)
        self.world.record({"e": "message", "message": message})
        self.accepted.append(ledger_row(message, body, raw))
        self.accepted.settle()
        self.world.conversation(number_id, customer["wa_id"]).typing_until = 0.0
        self.receipts.start(message)
        self.tell_message(message)
        return _answer(body, customer, message), message["wamid"], customer["wa_id"]

    def mark_read(self, number_id: str, body: Row) -> Row:
        """A mark-as-read call, perhaps with typing; returns the answer."""
        if number_id not in self.world.numbers:
            raise unknown_object(number_id, verb="post")
        wamid = checks.check_receipt(body)
        message = self.world.messages.get(wamid)
        if message is None or message["direction"] != "in" or message["number_id"] != number_id:
            raise known_error(131009, details="Message ID is not that of a message to this number.")
        self.world.record(
            {
                "e": "read_by_business",
                "number_id": number_id,
                "wa_id": message["wa_id"],
                "until": message["at"],
            }
        )
        where = {"number_id": number_id, "wa_id": message["wa_id"]}
        self.bus.tell("read", {**where, "until": message["at"]})
        if body.get("typing_indicator"):
            self.world.conversation(number_id, message["wa_id"]).typing_until = now() + 25
            self.bus.tell("typing", where)
        return {"success": True}

    def window_open(self, number_id: str, wa_id: str) -> bool:
        """Whether the customer wrote to this number within 24 hours."""
        last = self.world.conversation(number_id, wa_id).last_inbound
        return last is not None and now() - last < WINDOW_SECONDS

    def tell_message(self, message: Row) -> None:
        if self.bus.heard:
            self.bus.tell("message", {"message": message})

    # -- parts of sending -----------------------------------------------------------------------

    def _recipient(self, number: Row, body: Row) -> Row:
        if body.get("recipient_type") == "group":
            raise known_error(131000, details="Groups are not part of this simulation.")
        if not body.get("to"):
            wa_id = self.world.by_user_id.get(body["recipient"])
            if wa_id is None:
                raise known_error(131009, details="recipient is not a known user id.")
            return self.world.customers[wa_id]
        digits = wire.digits_of(body["to"])
        if not 7 <= len(digits) <= 15 or any(char.isalpha() for char in body["to"]):
            raise known_error(131009, details="Recipient phone number is not valid.")
        if digits == wire.digits_of(number["display_phone_number"]):
            raise known_error(131021)
        return self.customers.find_or_create(digits)

    def _check_content(self, number: Row, kind: str, body: Row) -> tuple[str, str]:
        if kind == "template":
            content = body["template"]
            template = self.world.find_template(
                number["waba_id"], content["name"], content["language"]["code"]
            )
            rendered = match_template(content, template)
            assert template is not None
            return template["category"].lower(), rendered
        if kind in checks.MEDIA_KINDS and "id" in body[kind]:
            self.media.check_sendable(body[kind]["id"], kind)
        return "service", ""

    def _message(self, number: Row, customer: Row, kind: str, body: Row) -> Row:
        message: Row = {
            "wamid": wire.new_wamid(customer["wa_id"], outbound=True),
            "number_id": number["id"],
            "wa_id": customer["wa_id"],
            "direction": "out",
            "type": kind,
            "at": now(),
            "status": "accepted",
            "content": body[kind],
        }
        if body.get("context"):
            message["context"] = {"id": body["context"].get("message_id")}
        if "biz_opaque_callback_data" in body:
            message["opaque"] = body["biz_opaque_callback_data"]
        return message

    # -- start and reset ------------------------------------------------------------------------

    def add_number(self, number: Row) -> None:
        """Register a business number, or change it."""
        self.world.record({"e": "number", "number": number})
        self.bus.tell("resync", {})

    def reset(self, *, ledgers: bool) -> None:
        """Start afresh: conversations, customers, templates, faults; the ledgers if asked."""
        self.timeline.clear()
        self.outbox.clear()
        self.faults.remove()
        self.customers.watching.clear()
        self.world.clear()
        self.world.journal.replace([])
        self._take_settings()
        self.media.clear()
        self.bus.calls.clear()
        self.wpp.sessions.clear()
        if ledgers:
            self.accepted.replace([])
            self.acknowledged.replace([])
        self._seed()
        self.bus.tell("resync", {})

    def change_settings(self, changes: Row) -> None:
        """Change what control.settings names; outlives kill -9."""
        self.world.record({"e": "settings", "set": changes})
        self._take_settings()

    def _take_settings(self) -> None:
        kept = self.world.settings
        self.delay_scale: float = kept.get("delay_scale", self.settings.delay_scale)
        self.enforce_window: bool = kept.get("enforce_window", True)
        self.window_refused_at_once: bool = kept.get("window_refused_at_once", False)
        self.wpp_echoes: bool = kept.get("wpp_echoes", True)
        self.limits = Limits(on=kept.get("limits", self.settings.limits))

    def _seed(self) -> None:
        for given in self.settings.numbers:
            known: Row = self.world.numbers.get(given["id"], {})
            # What a session at WPPConnect has learnt stays.
            learnt: Row = {key: known[key] for key in ("linked", "webhook") if key in known}
            number = {**given, **learnt}
            if known != number:
                self.world.record({"e": "number", "number": number})
        if self.world.seeded:
            return
        customers, messages = read_history(self.settings.history)
        for customer in customers:
            self.customers.introduce(customer)
        for message in messages:
            self.world.record({"e": "message", "message": {**message, "is_history": True}})
        wabas = {row["waba_id"] for row in self.settings.numbers if not is_wpp(row)}
        for waba_id in wabas:
            for template in TEMPLATES:
                row = {"status": "APPROVED", **template, "id": wire.new_numeric_id()}
                self.world.record({"e": "template", "template": {**row, "waba_id": waba_id}})
        self.world.record({"e": "seeded"})

    def _heal_ledger(self) -> None:
        """Add what a kill between journal and ledger left out: its ticks will still come."""
        last: deque[Row] = deque(self.accepted.rows(), maxlen=5000)
        known = {row["wamid"] for row in last}
        since = last[0]["at"] if len(last) == last.maxlen else 0.0
        for message in list(self.world.messages.values()):
            lost = message["direction"] == "out" and message["wamid"] not in known
            if message.get("is_history"):
                continue  # it was never sent through here
            if lost and message["at"] >= since:
                self.accepted.append({**ledger_row(message, {}, b""), "healed": True})

    def _tell_faults(self) -> None:
        if self.bus.heard:
            self.bus.tell("faults", {"faults": [fault.as_row() for fault in self.faults.on]})

    def _tell_acked(self, wamids: list[str]) -> None:
        if not self.bus.heard:
            return
        for wamid in wamids:
            message = self.world.messages.get(wamid)
            if message is not None and message["direction"] == "in":
                self.bus.tell("status", {"message": message})


def _answer(body: Row, customer: Row, message: Row) -> Row:
    contact: Row = {"input": body.get("to") or body["recipient"]}
    if customer.get("hidden"):
        contact["user_id"] = customer["user_id"]
    else:
        contact["wa_id"] = customer["wa_id"]
    row: Row = {"id": message["wamid"]}
    if message["type"] == "template":
        row["message_status"] = "accepted"
    return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [row]}


def ledger_row(message: Row, body: Row, raw: bytes) -> Row:
    content: Any = message["content"]
    return {
        "at": message["at"],
        "wamid": message["wamid"],
        "number_id": message["number_id"],
        "to": body.get("to") or body.get("recipient") or message["wa_id"],
        "wa_id": message["wa_id"],
        "type": message["type"],
        "biz_opaque_callback_data": message.get("opaque"),
        "text": content.get("body", "")[:200] if message["type"] == "text" else None,
        "body_sha256": hashlib.sha256(raw).hexdigest(),
        "content_sha256": hashlib.sha256(
            json.dumps(content, sort_keys=True).encode("utf-8", "surrogatepass")
        ).hexdigest(),
    }


def _lock(settings: Settings) -> int:
    """Hold the data folder: two simulators writing one journal would spoil it."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(settings.data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SettingsError(
            f"SIMULATOR_DATA_DIR={str(settings.data_dir)!r}: another simulator is using this "
            "folder. Stop it, or give this one another folder, for example "
            "SIMULATOR_DATA_DIR=var/simulator-2"
        ) from None
    return descriptor
