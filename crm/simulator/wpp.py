"""WPPConnect Server, simulated: sessions that live and die, events that are posted once.

A number with `provider: wppconnect` speaks through here instead of through Meta's outbox. As with
the real server there is no signature, no order and no second try: what the CRM did not take is only
in the phone's history.
"""

import time
from typing import TYPE_CHECKING, Any

import gevent
import segno

from crm.simulator import wire, wpp_shapes
from crm.simulator.customers import CustomerError
from crm.simulator.poster import Poster
from crm.simulator.world import Row, now

if TYPE_CHECKING:
    from crm.simulator.simulator import Simulator

# Seconds, multiplied by the delay scale.
STARTING = 1.0
# Seconds as they are: a person holds the phone. The last is for the fault.
QR_TURNS, QR_CLOSES, QR_CLOSES_SOON = 20.0, 60.0, 1.5
FIRST_NUMBER = 300_000_000_000_000


def is_wpp(number: Row | None) -> bool:
    return number is not None and number.get("provider") == "wppconnect"


class Session:
    """What runs of one session; what is kept of it stands in its number's row."""

    def __init__(self, number_id: str) -> None:
        self.number_id = number_id
        self.status: str | None = None
        self.qr: str | None = None
        self.url_code: str | None = None
        # Goes up with each start and stop, so that steps of an earlier life do nothing.
        self.life = 0
        self.is_stuck = False


class Wpp:
    """The sessions of all WPPConnect numbers."""

    def __init__(self, simulator: "Simulator") -> None:
        self._sim = simulator
        self.sessions: dict[str, Session] = {}
        self._posters: dict[str, Poster] = {}

    # -- finding -----------------------------------------------------------------------------------

    def number_of(self, name: str) -> Row | None:
        for number in self._sim.world.numbers.values():
            if is_wpp(number) and number.get("session") == name:
                return number
        return None

    def find_or_create(self, name: str) -> Row:
        """The number of a session; an unknown name is a new one, without a phone so far."""
        found = self.number_of(name)
        if found is not None:
            return found
        taken = [int(row) for row in self._sim.world.numbers if int(row) > FIRST_NUMBER]
        count = max(taken, default=FIRST_NUMBER) - FIRST_NUMBER + 1
        number = {
            "id": str(FIRST_NUMBER + count),
            "display_phone_number": f"+57 601 555 {3000 + count}",
            "verified_name": name,
            "waba_id": "0",
            "provider": "wppconnect",
            "session": name,
        }
        self._sim.add_number(number)
        return number

    def session(self, number_id: str) -> Session:
        return self.sessions.setdefault(number_id, Session(number_id))

    def is_connected(self, number_id: str) -> bool:
        return self.session(number_id).status == "CONNECTED"

    def token_of(self, name: str) -> str:
        return wire.signature(self._sim.settings.token, name.encode())[7:60]

    # -- life --------------------------------------------------------------------------------------

    def start(self, number: Row, webhook: str) -> None:
        """As start-session: nothing while it runs; the webhook given now replaces the kept one."""
        session = self.session(number["id"])
        if session.status not in (None, "CLOSED"):
            return
        self._keep(number, webhook=webhook)
        session.life += 1
        session.status, session.qr = "INITIALIZING", None
        session.is_stuck = self._sim.faults.take("wpp_start", number["id"]) is not None
        if not session.is_stuck:
            self._later(STARTING, self._started, number["id"], session.life)
        self.tell(number["id"])

    def _started(self, number_id: str, life: int) -> None:
        session, number = self.session(number_id), self._sim.world.numbers.get(number_id)
        if number is None or session.life != life:
            return
        if number.get("linked"):
            self._connect(number, "inChat")
            return
        session.status = "QRCODE"
        self.post(number_id, "status-find", {"status": "notLogged"})
        self._turn(number_id, life)
        expires = self._sim.faults.take("wpp_qr", number_id) is not None
        wait = QR_CLOSES_SOON if expires else QR_CLOSES
        self._sim.timeline.after(wait, self._expire, number_id, life)

    def _turn(self, number_id: str, life: int) -> None:
        """A new QR code every 20 seconds."""
        session = self.session(number_id)
        if session.life != life or session.status != "QRCODE":
            return
        session.url_code = f"2@{wire.new_trace_id()},{wire.new_trace_id()}=="
        session.qr = segno.make(session.url_code, error="m").png_data_uri(scale=6, border=2)
        bare = session.qr.removeprefix("data:image/png;base64,")
        self.post(number_id, "qrcode", {"qrcode": bare, "urlcode": session.url_code})
        self._sim.timeline.after(QR_TURNS, self._turn, number_id, life)
        self.tell(number_id)

    def _expire(self, number_id: str, life: int) -> None:
        session = self.session(number_id)
        if session.life == life and session.status == "QRCODE":
            self._close(number_id)
            self.post(number_id, "status-find", {"status": "autocloseCalled"})

    def scan(self, number_id: str, *, phone: str = "") -> None:
        """Somebody holds the line's phone (or another one: `phone`, digits) before the QR code."""
        number = self._known(number_id)
        if self.session(number_id).status != "QRCODE":
            raise CustomerError("That line shows no QR code now. Start the session in Charla.")
        self.post(number_id, "status-find", {"status": "qrReadSuccess"})
        self._connect(self._keep(number, linked=True, own_phone=phone), "inChat")

    def _connect(self, number: Row, word: str) -> None:
        session = self.session(number["id"])
        session.status, session.qr, session.url_code = "CONNECTED", None, None
        session.life += 1
        self.post(number["id"], "status-find", {"status": word})
        self.tell(number["id"])

    def close(self, number_id: str) -> bool:
        """As close-session; False where the real server answers 500 (and resets all the same)."""
        session = self.session(number_id)
        good = session.status is not None and session.status != "INITIALIZING"
        self._close(number_id)
        if good:
            name = self._known(number_id)["session"]
            words = {"message": f"Session: {name} disconnected", "connected": False}
            self.post(number_id, "closesession", words)
        return good

    def log_out(self, number_id: str) -> None:
        number = self._known(number_id)
        self._keep(number, linked=False)
        self._close(number_id)
        words = {"message": f"Session: {number['session']} logged out", "connected": False}
        self.post(number_id, "logoutsession", words)

    def unlink(self, number_id: str) -> None:
        """The line's owner removes the linked device on the phone."""
        self._keep(self._known(number_id), linked=False)
        self._close(number_id)
        self.post(number_id, "status-find", {"status": "disconnectedMobile"})

    def lose(self, number_id: str) -> None:
        """The browser dies, or the server restarts: nobody is told."""
        self._known(number_id)
        session = self.session(number_id)
        session.life += 1
        session.status, session.qr = None, None
        self.tell(number_id)

    def _close(self, number_id: str) -> None:
        session = self.session(number_id)
        session.life += 1
        session.status, session.qr, session.url_code = "CLOSED", None, None
        session.is_stuck = False
        self.tell(number_id)

    def state(self, number: Row) -> Row:
        """What status-session answers."""
        session = self.session(number["id"])
        if session.status in (None, "CLOSED"):
            return {"status": "CLOSED", "qrcode": None}
        return {
            "status": session.status,
            "qrcode": session.qr,
            "urlcode": session.url_code,
            "version": "2.10.4",
        }

    def tell(self, number_id: str) -> None:
        if self._sim.bus.heard:
            self._sim.bus.tell("resync", {})

    def _keep(self, number: Row, **changes: Any) -> Row:
        changed = {**number, **changes}
        self._sim.world.record({"e": "number", "number": changed})
        return changed

    def _known(self, number_id: str) -> Row:
        number = self._sim.world.numbers.get(number_id)
        if number is None or not is_wpp(number):
            raise CustomerError(f"There is no WPPConnect line {number_id}.")
        return number

    def _later(self, seconds: float, call: Any, *arguments: Any) -> None:
        self._sim.timeline.after(seconds * self._sim.delay_scale, call, *arguments)

    # -- messages ----------------------------------------------------------------------------------

    def tell_message(self, message: Row, event: str = "onmessage") -> None:
        """A message of a customer, or (onselfmessage) one of the line's own phone."""
        sim = self._sim
        number = sim.world.numbers[message["number_id"]]
        customer = sim.world.customers[message["wa_id"]]
        if message["type"] == "reaction":
            self.post(number["id"], "onreactionmessage", wpp_shapes.reaction(customer, message))
            return
        shape = wpp_shapes.message(number, customer, message, media=self._file(message))
        self.post(number["id"], event, shape, wamid=message["wamid"])

    def tell_ack(self, message: Row) -> None:
        number = self._sim.world.numbers[message["number_id"]]
        customer = self._sim.world.customers[message["wa_id"]]
        self.post(number["id"], "onack", wpp_shapes.ack(number, customer, message))

    def write(self, number_id: str, customer: Row, content: Row) -> Row:
        """Somebody writes on the line's own phone; the CRM hears of it as onselfmessage."""
        self._known(number_id)
        message: Row = {
            "wamid": wpp_shapes.new_id(wpp_shapes.wid(customer), mine=True),
            "number_id": number_id,
            "wa_id": customer["wa_id"],
            "direction": "out",
            "type": "text",
            "at": now(),
            "status": "accepted",
            "content": content,
            "pricing": {},
        }
        self._sim.world.record({"e": "message", "message": message})
        self._sim.receipts.start(message)
        self._sim.tell_message(message)
        if self.is_connected(number_id) and self._sim.wpp_echoes:
            self.tell_message(message, "onselfmessage")
        return message

    def revoke(self, message: Row) -> None:
        """A message is taken back: the customer's by the customer, ours by us."""
        self._sim.world.record({"e": "mark", "wamid": message["wamid"], "set": {"revoked": True}})
        chat = message["wamid"].split("_")[1]
        own = wpp_shapes.own_wid(self._sim.world.numbers[message["number_id"]])
        is_mine = message["direction"] == "out"
        author, other = (own, chat) if is_mine else (chat, own)
        body = {
            "author": author,
            "from": author,
            "to": other,
            "id": wpp_shapes.new_id(chat, mine=is_mine),
            "refId": message["wamid"],
        }
        self.post(message["number_id"], "onrevokedmessage", body)

    def shapes(self, number: Row, wa_id: str, *, count: int) -> list[Row]:
        """The history of a chat as get-messages gives it: no files, a preview at most."""
        customer = self._sim.world.customers[wa_id]
        rows = self._sim.world.conversation(number["id"], wa_id).messages[-count:]
        return [
            wpp_shapes.message(number, customer, row, media=self._file(row, is_preview=True))
            for row in rows
            if row["type"] != "reaction"
        ]

    def _file(self, message: Row, *, is_preview: bool = False) -> Row | None:
        content = message["content"]
        if not isinstance(content, dict) or "id" not in content or message["type"] == "text":
            return None
        row = self._sim.media.find(content["id"])
        if row is None:
            return None
        fault = self._sim.faults.take("wpp_media", message["number_id"])
        raw = self._sim.media.path(row["id"]).read_bytes()
        return wpp_shapes.file_of(raw, row["mime_type"], is_preview=is_preview or fault is not None)

    def post(self, number_id: str, event: str, data: Row, *, wamid: str = "") -> None:
        """Post once, in the background, if a webhook was given and nothing is in the way."""
        number = self._sim.world.numbers.get(number_id)
        if number is None or not number.get("webhook"):
            return
        if self._sim.faults.take("wpp_webhook", number_id) is not None:
            return
        body = {"event": event, "session": number["session"], **data}
        raw = wire.compact_json(body)
        gevent.spawn(self._post, number_id, number["webhook"], raw, wamid)
        if self._sim.faults.take("wpp_again", number_id) is not None:
            gevent.spawn(self._post, number_id, number["webhook"], raw, wamid)

    def _post(self, number_id: str, url: str, raw: bytes, wamid: str) -> None:
        poster = self._posters.setdefault(url, Poster(url, timeout=60.0))
        headers = {"Content-Type": "application/json", "User-Agent": "axios/1.7.2"}
        started, status, answer = time.monotonic(), 0, b""
        try:
            status, answer = poster.post(raw, headers)
        except OSError as error:
            answer = str(error).encode()
        self._sim.bus.note_call(
            {
                "kind": "webhook",
                "number_id": number_id,
                "status": status,
                "tries": 1,
                "milliseconds": round((time.monotonic() - started) * 1000, 1),
                "request": raw[:20_000],
                "answer": answer,
            }
        )
        if 200 <= status < 300:
            self._sim.acknowledged.append(
                {"at": now(), "number_id": number_id, "field": "wppconnect", "tries": 1,
                 "again": False, "messages": [wamid] if wamid else [], "statuses": []}
            )  # fmt: skip
            self._sim.acknowledged.soon()
