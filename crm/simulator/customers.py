"""The people with the phones: who they are, what they write, what they look at."""

from typing import TYPE_CHECKING, Any

from crm.simulator import webhooks, wire, wpp_shapes
from crm.simulator.world import Row, now

if TYPE_CHECKING:
    from crm.simulator.simulator import Simulator

CONTENT_TYPES = {
    "text",
    "image",
    "audio",
    "video",
    "document",
    "sticker",
    "location",
    "contacts",
    "interactive",
    "button",
    "reaction",
    "order",
    "unsupported",
    "request_welcome",
}
COUNTRIES = {"57": "CO", "52": "MX", "54": "AR", "55": "BR", "51": "PE", "56": "CL", "34": "ES"}


class CustomerError(ValueError):
    """A request about a customer that cannot be met; the text is for a person."""


class Customers:
    """Customers act here; each change goes to the journal and, if it concerns it, to the CRM."""

    def __init__(self, simulator: "Simulator") -> None:
        self._sim = simulator
        # Page id -> chats that it shows; not in the journal: pages come back by themselves.
        self.watching: dict[str, set[tuple[str, str]]] = {}

    # -- who ------------------------------------------------------------------------------------

    def load(self, wa_id: str) -> Row:
        """The customer of this number; raises CustomerError."""
        found = self._sim.world.customers.get(wa_id)
        if found is None:
            raise CustomerError(f"There is no customer {wa_id}.")
        return found

    def find_or_create(self, digits: str, *, name: str = "") -> Row:
        """The customer behind a number as dialled; anybody may turn up on WhatsApp."""
        for variant in _variants(digits):
            found = self._sim.world.customers.get(variant)
            if found is not None:
                if name and name != found["name"]:
                    return self.change(found["wa_id"], name=name)
                return found
        return self.introduce({"wa_id": digits, "name": name or f"+{digits}"})

    def introduce(self, given: Row) -> Row:
        """A new customer: `wa_id`, `name`, and whatever else differs from the usual."""
        customer = {
            "user_id": wire.new_user_id(COUNTRIES.get(given["wa_id"][:2], "US")),
            "online": True,
            "receipts": True,
            "blocked": [],
            "hidden": False,
            **given,
        }
        self._sim.world.record({"e": "customer", "customer": customer})
        if self._sim.bus.heard:
            self._sim.bus.tell("customer", {"customer": customer})
        return customer

    def change(self, wa_id: str, **changes: Any) -> Row:
        """Change name, username, online, receipts, hidden or blocked (a list of number ids)."""
        sim = self._sim
        before = self.load(wa_id)
        allowed = {"name", "username", "online", "receipts", "hidden", "blocked"}
        unknown = set(changes) - allowed
        if unknown:
            raise CustomerError(f"A customer has no {min(unknown)}.")
        for key in ("online", "receipts", "hidden"):
            if key in changes and not isinstance(changes[key], bool):
                raise CustomerError(f"{key} must be true or false.")
        if "name" in changes and not str(changes["name"]).strip():
            raise CustomerError("The name must not be empty.")
        if "blocked" in changes and not isinstance(changes["blocked"], list):
            raise CustomerError("blocked must be a list of number ids.")
        customer = {**before, **changes}
        sim.world.record({"e": "customer", "customer": customer})
        if customer["online"] and not before["online"]:
            sim.receipts.phone_online(wa_id)
        sim.bus.tell("customer", {"customer": customer})
        return customer

    # -- what they do ---------------------------------------------------------------------------

    def say(
        self,
        number_id: str,
        wa_id: str,
        *,
        kind: str,
        content: Any,
        context: Row | None = None,
        extra: Row | None = None,
        at: float | None = None,
    ) -> Row:
        """The customer writes to a business number; returns the message.

        `content` is the object under the type's own name in Meta's webhook; `extra` may hold
        `errors` (unsupported) or `referral`.
        """
        sim = self._sim
        customer = self.load(wa_id)
        number = sim.world.numbers.get(number_id)
        if number is None:
            raise CustomerError(f"There is no business number {number_id}.")
        if kind not in CONTENT_TYPES:
            raise CustomerError(f"kind must be one of {', '.join(sorted(CONTENT_TYPES))}")
        wpp = number.get("provider") == "wppconnect"
        message: Row = {
            "wamid": wpp_shapes.new_id(wpp_shapes.wid(customer), mine=False)
            if wpp
            else wire.new_wamid(wa_id, outbound=False),
            "number_id": number_id,
            "wa_id": wa_id,
            "direction": "in",
            "type": kind,
            "at": now() if at is None else at,
            # With WPPConnect the line's own phone has it at once, whatever the CRM does.
            "status": "delivered" if wpp else "sending",
            "content": content,
            **(extra or {}),
        }
        if context:
            message["context"] = context
        event: Row = {"e": "message", "message": message}
        if wpp:
            sim.world.record(event)
            if sim.wpp.is_connected(number_id):
                sim.wpp.tell_message(message)
            sim.tell_message(message)
            return message
        if number["waba_id"] not in sim.world.unsubscribed:
            event["out"] = sim.outbox.row(
                number_id,
                "messages",
                webhooks.message_part(customer, message),
                wamid=message["wamid"],
            )
        sim.world.record(event)
        if "out" in event:
            sim.outbox.schedule(event["out"], delay=0.25 * sim.delay_scale)
        sim.tell_message(message)
        return message

    def quote(self, number_id: str, wamid: str) -> Row:
        """The context of an answer to a message of this chat."""
        sim = self._sim
        message = sim.world.messages.get(wamid)
        if message is None:
            raise CustomerError("The quoted message is not in this phone any more.")
        author = (
            wire.digits_of(sim.world.numbers[number_id]["display_phone_number"])
            if message["direction"] == "out"
            else message["wa_id"]
        )
        return {"from": author, "id": wamid}

    def press(self, number_id: str, wa_id: str, *, wamid: str, choice: str) -> Row:
        """Press a button or choose a list row of a message from the business."""
        message = self._sim.world.messages.get(wamid)
        if message is None or message["direction"] != "out":
            raise CustomerError("That message has no buttons.")
        for kind, content in choices(message, self._sim):
            reply = content.get("button_reply") or content.get("list_reply") or content
            if choice in (reply.get("id"), reply.get("payload")):
                return self.say(
                    number_id,
                    wa_id,
                    kind=kind,
                    content=content,
                    context=self.quote(number_id, wamid),
                )
        raise CustomerError(f"That message has no choice {choice}.")

    def watch(self, page: str, chats: set[tuple[str, str]]) -> None:
        """Which (number id, customer) chats a page shows; opening one reads what was delivered."""
        new = chats - self.watching.get(page, set())
        if chats:
            self.watching[page] = chats
        else:
            self.watching.pop(page, None)
        for number_id, wa_id in new:
            chat = self._sim.world.conversations.get((number_id, wa_id))
            if chat is None:
                continue
            if chat.unread:
                self._sim.world.record({"e": "seen", "number_id": number_id, "wa_id": wa_id})
            self._sim.receipts.chat_opened(number_id, wa_id)

    def look(self, number_id: str, wa_id: str, *, on: bool) -> None:
        """Open or leave a chat without a page."""
        chats = set(self.watching.get("", ()))
        if on:
            # Looking again reads again, as somebody does who comes back to the chat.
            self.watch("", chats - {(number_id, wa_id)})
            self.watch("", chats | {(number_id, wa_id)})
        else:
            self.watch("", chats - {(number_id, wa_id)})

    def looks_at(self, number_id: str, wa_id: str) -> bool:
        return any((number_id, wa_id) in chats for chats in self.watching.values())

    def move_window(self, number_id: str, wa_id: str, *, hours: float) -> None:
        """Set the customer's last word so many hours back (24 or more closes the window)."""
        self.load(wa_id)
        if number_id not in self._sim.world.numbers:
            raise CustomerError(f"There is no business number {number_id}.")
        self._sim.world.record(
            {
                "e": "chat",
                "number_id": number_id,
                "wa_id": wa_id,
                "last_inbound": now() - hours * 3600,
            }
        )
        self._sim.bus.tell("resync", {})


def choices(message: Row, simulator: "Simulator") -> list[tuple[str, Row]]:
    """What a customer may press on a message: (type of the answer, its content)."""
    content = message["content"]
    if message["type"] == "interactive":
        action = content.get("action") or {}
        rows = [("button_reply", button["reply"]) for button in action.get("buttons") or []]
        for section in action.get("sections") or []:
            rows += [("list_reply", row) for row in section.get("rows") or []]
        return [("interactive", {"type": kind, kind: dict(row)}) for kind, row in rows]
    if message["type"] == "template":
        return [("button", row) for row in _template_buttons(message, simulator)]
    return []


def _template_buttons(message: Row, simulator: "Simulator") -> list[Row]:
    number = simulator.world.numbers[message["number_id"]]
    content = message["content"]
    template = simulator.world.find_template(
        number["waba_id"], content["name"], content["language"]["code"]
    )
    buttons: list[Row] = []
    for component in (template or {}).get("components", []):
        if component["type"].upper() == "BUTTONS":
            buttons = component["buttons"]
    payloads = {}
    for component in content.get("components", []):
        if str(component["type"]).lower() == "button" and component.get("parameters"):
            payloads[str(component["index"])] = component["parameters"][0].get("payload")
    return [
        {"payload": payloads.get(str(index)) or button["text"], "text": button["text"]}
        for index, button in enumerate(buttons)
        if button["type"].upper() == "QUICK_REPLY"
    ]


def _variants(digits: str) -> list[str]:
    """The same person as dialled elsewhere: Mexico's 1, Argentina's 9, Brazil's ninth digit."""
    found = [digits]
    if digits.startswith("521") and len(digits) == 13:
        found.append("52" + digits[3:])
    elif digits.startswith("52") and len(digits) == 12:
        found.append("521" + digits[2:])
    elif digits.startswith("549") and len(digits) == 13:
        found.append("54" + digits[3:])
    elif digits.startswith("54") and len(digits) == 12:
        found.append("549" + digits[2:])
    elif digits.startswith("55") and len(digits) == 13 and digits[4] == "9":
        found.append(digits[:4] + digits[5:])
    elif digits.startswith("55") and len(digits) == 12:
        found.append(digits[:4] + "9" + digits[4:])
    return found
