"""What the simulator knows: numbers, customers, conversations, templates, media, the outbox.

Memory is a function of the journal: `record(event)` writes a line, then `apply` changes memory;
a restart applies the same lines again. Nothing here waits, sends or decides.
"""

import time
from pathlib import Path
from typing import Any

from crm.simulator.journal import Log

KEPT_MESSAGES = 300  # a conversation's memory; the ledgers keep all
COMPACT_BYTES = 64 * 1024 * 1024

Row = dict[str, Any]


class Conversation:
    """One customer's chat with one business number, as their phone holds it."""

    def __init__(self, number_id: str, wa_id: str) -> None:
        self.number_id = number_id
        self.wa_id = wa_id
        self.messages: list[Row] = []
        self.last_inbound: float | None = None
        self.unread = 0
        self.typing_until = 0.0


class World:
    """The memory. Rows are plain dicts with the journal's own keys."""

    def __init__(self, data_dir: Path) -> None:
        self.journal = Log(data_dir / "journal.jsonl")
        self.clear()
        for event in self.journal.rows():
            self.apply(event)
        self._compact()

    def _compact(self) -> None:
        self.journal.replace(self.snapshot())
        # What is left may itself be large: wait until as much again has come.
        self._compact_at = max(COMPACT_BYTES, 2 * self.journal.size)

    def clear(self) -> None:
        """Forget everything (memory only)."""
        self.numbers: dict[str, Row] = {}
        self.customers: dict[str, Row] = {}
        self.by_user_id: dict[str, str] = {}
        self.conversations: dict[tuple[str, str], Conversation] = {}
        self.messages: dict[str, Row] = {}
        self.templates: dict[str, Row] = {}
        self.media: dict[str, Row] = {}
        self.outbox: dict[int, Row] = {}
        self.unsubscribed: set[str] = set()
        self.settings: Row = {}
        self.last_out_id = 0
        self.seeded = False

    def record(self, event: Row) -> None:
        """Write the event down, then let it happen."""
        self.journal.append(event)
        self.apply(event)
        if self.journal.size > self._compact_at:
            self._compact()

    def apply(self, event: Row) -> None:
        """Change memory by one journal line. Lines of unknown kind are a newer version's."""
        handler = getattr(self, "_on_" + event["e"], None)
        if handler is not None:
            handler(event)

    # -- reading --------------------------------------------------------------------------------

    def conversation(self, number_id: str, wa_id: str) -> Conversation:
        """The conversation of these two, made on first use."""
        key = (number_id, wa_id)
        found = self.conversations.get(key)
        if found is None:
            found = self.conversations[key] = Conversation(number_id, wa_id)
        return found

    def find_template(self, waba_id: str, name: str, language: str) -> Row | None:
        """The template of this account, name and exact language."""
        for row in self.templates.values():
            if (row["waba_id"], row["name"], row["language"]) == (waba_id, name, language):
                return row
        return None

    def next_out_id(self) -> int:
        self.last_out_id += 1
        return self.last_out_id

    def snapshot(self) -> list[Row]:
        """The shortest journal that rebuilds this memory."""
        rows: list[Row] = [{"e": "counter", "last_out_id": self.last_out_id}]
        if self.seeded:
            rows.append({"e": "seeded"})
        if self.settings:
            rows.append({"e": "settings", "set": dict(self.settings)})
        rows += [{"e": "number", "number": row} for row in self.numbers.values()]
        rows += [{"e": "customer", "customer": row} for row in self.customers.values()]
        rows += [{"e": "template", "template": row} for row in self.templates.values()]
        rows += [{"e": "media", "media": row} for row in self.media.values()]
        rows += [{"e": "subscribed", "waba_id": waba, "on": False} for waba in self.unsubscribed]
        for chat in self.conversations.values():
            rows += [{"e": "message", "message": row} for row in chat.messages]
            rows.append(
                {
                    "e": "chat",
                    "number_id": chat.number_id,
                    "wa_id": chat.wa_id,
                    "last_inbound": chat.last_inbound,
                    "unread": chat.unread,
                }
            )
        rows += [{"e": "out", "out": row} for row in self.outbox.values()]
        return rows

    # -- one method per kind of line ------------------------------------------------------------

    def _on_counter(self, event: Row) -> None:
        self.last_out_id = max(self.last_out_id, event["last_out_id"])

    def _on_seeded(self, event: Row) -> None:
        self.seeded = True

    def _on_settings(self, event: Row) -> None:
        self.settings.update(event["set"])

    def _on_number(self, event: Row) -> None:
        self.numbers[event["number"]["id"]] = event["number"]

    def _on_customer(self, event: Row) -> None:
        customer = event["customer"]
        self.customers[customer["wa_id"]] = customer
        self.by_user_id[customer["user_id"]] = customer["wa_id"]

    def _on_message(self, event: Row) -> None:
        message = event["message"]
        chat = self.conversation(message["number_id"], message["wa_id"])
        chat.messages.append(message)
        self.messages[message["wamid"]] = message
        if message["direction"] == "in":
            chat.last_inbound = max(chat.last_inbound or 0.0, message["at"])
        elif message["status"] not in ("failed", "read"):
            chat.unread += 1
        if "out" in event:
            self._on_out(event)
        if len(chat.messages) > KEPT_MESSAGES + 50:
            for old in chat.messages[:50]:
                self.messages.pop(old["wamid"], None)
            del chat.messages[:50]

    def _on_chat(self, event: Row) -> None:
        chat = self.conversation(event["number_id"], event["wa_id"])
        chat.last_inbound = event["last_inbound"]
        chat.unread = event.get("unread", chat.unread)

    def _on_seen(self, event: Row) -> None:
        self.conversation(event["number_id"], event["wa_id"]).unread = 0

    def _on_status(self, event: Row) -> None:
        message = self.messages.get(event["wamid"])
        if message is not None:
            message["status"] = event["status"]
            if event.get("errors"):
                message["errors"] = event["errors"]
        if "out" in event:
            self._on_out(event)

    def _on_mark(self, event: Row) -> None:
        message = self.messages.get(event["wamid"])
        if message is not None:
            message.update(event["set"])

    def _on_read_by_business(self, event: Row) -> None:
        chat = self.conversation(event["number_id"], event["wa_id"])
        for message in reversed(chat.messages):
            if message["direction"] == "in" and message["at"] <= event["until"]:
                if message["status"] == "read":
                    break
                message["status"] = "read"

    def _on_out(self, event: Row) -> None:
        row = event["out"]
        self.outbox[row["id"]] = row
        self.last_out_id = max(self.last_out_id, row["id"])

    def _on_acked(self, event: Row) -> None:
        for out_id in event["ids"]:
            row = self.outbox.pop(out_id, None)
            message = self.messages.get(row.get("wamid", "")) if row else None
            if message is not None and message["status"] == "sending":
                message["status"] = "delivered"

    def _on_template(self, event: Row) -> None:
        self.templates[event["template"]["id"]] = event["template"]

    def _on_template_deleted(self, event: Row) -> None:
        self.templates.pop(event["id"], None)

    def _on_media(self, event: Row) -> None:
        self.media[event["media"]["id"]] = event["media"]

    def _on_media_deleted(self, event: Row) -> None:
        self.media.pop(event["id"], None)

    def _on_subscribed(self, event: Row) -> None:
        if event["on"]:
            self.unsubscribed.discard(event["waba_id"])
        else:
            self.unsubscribed.add(event["waba_id"])


def now() -> float:
    """Seconds since 1970; Meta's `timestamp` is its whole part."""
    return time.time()
