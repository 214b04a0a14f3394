"""What happens to an accepted message: sent, delivered, read, failed; each with its webhook."""

import random
from typing import TYPE_CHECKING

from crm.simulator import webhooks
from crm.simulator.errors import known_error, status_error
from crm.simulator.world import Row, now

if TYPE_CHECKING:
    from crm.simulator.simulator import Simulator

# Seconds as people see them on a phone; multiplied by the delay scale.
DELAYS = {"sent": (0.2, 0.6), "delivered": (0.4, 1.2), "read": (0.9, 2.2), "failed": (0.3, 0.9)}


class Receipts:
    """The life of outbound messages."""

    def __init__(self, simulator: "Simulator") -> None:
        self._sim = simulator
        self._random = random.Random()

    def decide_fate(self, message: Row, customer: Row) -> None:
        """Write into the message how it will end, while the faults of the moment hold.

        Raises GraphError where the window is set to be refused at once.
        """
        sim = self._sim
        number_id, wa_id = message["number_id"], message["wa_id"]
        fault = sim.faults.take("fate", number_id, wa_id)
        if fault is not None:
            if fault.kind in ("blocked", "silent", "skip_delivered"):
                message["fate"] = fault.kind
            elif fault.kind != "window_closed" or message["type"] != "template":
                message["fate"] = f"failed:{fault.code}"
        meta = sim.world.numbers[number_id].get("provider") != "wppconnect"
        closed = meta and sim.enforce_window and not sim.window_open(number_id, wa_id)
        if closed and message["type"] != "template" and "fate" not in message:
            message["fate"] = "failed:131047"
        if number_id in customer.get("blocked", ()) and "fate" not in message:
            message["fate"] = "blocked"

    def refuse_closed_window(self, number_id: str, wa_id: str) -> None:
        """Raise the 131047 of a closed window."""
        if not self._sim.window_open(number_id, wa_id):
            raise known_error(131047)

    def start(self, message: Row) -> None:
        """Begin the life of a message that has just been accepted."""
        fate = message.get("fate", "")
        if fate == "silent":
            return
        if fate.startswith("failed:"):
            self._later("failed", self._fail, message["wamid"])
        else:
            self._later("sent", self._sent, message["wamid"])

    def resume(self) -> None:
        """After a restart: go on where each message stood."""
        for message in list(self._sim.world.messages.values()):
            if message["direction"] != "out":
                continue
            if message["status"] == "accepted":
                self.start(message)
            elif message["status"] == "sent":
                self._later("delivered", self._deliver, message["wamid"])

    def phone_online(self, wa_id: str) -> None:
        """The phone is back: what waited is delivered."""
        for message in self._all(wa_id):
            if message["status"] == "sent":
                self._later("delivered", self._deliver, message["wamid"])

    def chat_opened(self, number_id: str, wa_id: str) -> None:
        """The customer looks at the chat: what was delivered is read."""
        for message in self._all(wa_id):
            if message["number_id"] == number_id and message["status"] == "delivered":
                self._later("read", self._read, message["wamid"])

    def played(self, wamid: str) -> bool:
        """The customer listens to a voice note; False where the message is no such thing."""
        message = self._sim.world.messages.get(wamid)
        if message is None or message["direction"] != "out" or message["type"] != "audio":
            return False
        heard = message["content"].get("voice") and message["status"] in ("delivered", "read")
        if heard and self._sim.world.customers[message["wa_id"]].get("receipts", True):
            self._set(message, "played")
        return True

    # -- steps ----------------------------------------------------------------------------------

    def _all(self, wa_id: str) -> list[Row]:
        return [
            message
            for (_, owner), chat in self._sim.world.conversations.items()
            if owner == wa_id
            for message in chat.messages
            if message["direction"] == "out"
        ]

    def _later(self, step: str, call: object, wamid: str) -> None:
        low, high = DELAYS[step]
        wait = self._random.uniform(low, high) * self._sim.delay_scale
        self._sim.timeline.after(wait, call, wamid)  # type: ignore[arg-type]

    def _set(self, message: Row, status: str, *, errors: list[Row] | None = None) -> None:
        sim = self._sim
        at = now()
        customer = sim.world.customers.get(message["wa_id"])
        number = sim.world.numbers.get(message["number_id"])
        if customer is None or number is None:
            return  # a reset took them
        event: Row = {"e": "status", "wamid": message["wamid"], "status": status, "at": at}
        if errors:
            event["errors"] = errors
        wpp = number.get("provider") == "wppconnect"
        if not wpp and number["waba_id"] not in sim.world.unsubscribed:
            event["out"] = sim.outbox.row(
                number["id"],
                "messages",
                webhooks.status_part(customer, message, status, at=at, errors=errors or []),
                wamid=message["wamid"],
            )
        sim.world.record(event)
        if "out" in event:
            sim.outbox.schedule(event["out"])
        if wpp and sim.wpp.is_connected(number["id"]):
            sim.wpp.tell_ack(message)
        if sim.bus.heard:
            sim.bus.tell("status", {"message": message})

    def _fail(self, wamid: str) -> None:
        message = self._sim.world.messages.get(wamid)
        if message is None or message["status"] != "accepted":
            return
        code = int(message["fate"].partition(":")[2])
        self._set(message, "failed", errors=[status_error(code)])

    def _sent(self, wamid: str) -> None:
        message = self._sim.world.messages.get(wamid)
        if message is None or message["status"] != "accepted":
            return
        self._set(message, "sent")
        self._later("delivered", self._deliver, wamid)

    def _deliver(self, wamid: str) -> None:
        sim = self._sim
        message = sim.world.messages.get(wamid)
        if message is None or message["status"] != "sent" or message.get("fate") == "blocked":
            return
        customer = sim.world.customers.get(message["wa_id"])
        if customer is None or not customer.get("online", True):
            return
        if message.get("fate") == "skip_delivered":
            # Meta leaves `delivered` out when the customer has the chat open: read implies it.
            self._set(message, "read")
            return
        self._set(message, "delivered")
        if sim.customers.looks_at(message["number_id"], message["wa_id"]):
            self._later("read", self._read, wamid)

    def _read(self, wamid: str) -> None:
        message = self._sim.world.messages.get(wamid)
        if message is None or message["status"] != "delivered":
            return
        customer = self._sim.world.customers.get(message["wa_id"])
        if customer is not None and customer.get("receipts", True):
            self._set(message, "read")
