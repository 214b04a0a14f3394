"""Any order, repetition and batching of a chat's events ends in the same state."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import Chat, Client, ClientConsent, MediaFetch, Message, WhatsappNumber
from crm.providers.meta.webhook import parse
from crm.services import inbox
from crm.services.messages.inbound import receive
from crm.services.messages.ledger import Post
from tests.factories import make_campaign, make_chat, make_client, make_message, make_number
from tests.providers.deliveries import PHONE_NUMBER_ID, body, status, typed, words
from tests.services.way_in import edit, react, revoke

BEGIN = int(utcnow().timestamp()) - 20_000
OURS = "576015550101"
KINDS = (
    "text", "text", "echo", "react", "edit", "revoke", "status", "ours", "call", "photo", "wish",
    "refusal",
)  # fmt: skip
runs = itertools.count(1)


@dataclass(frozen=True)
class Step:
    """One event of a chat, at a moment of its own. `target` counts the customer's texts."""

    kind: str
    at: int
    target: int = 0
    word: str = ""


@st.composite
def talks(draw: st.DrawFn) -> list[Step]:
    """A conversation in the order of its time: short gaps are the phone's greetings."""
    at, steps = 0, []
    for _ in range(draw(st.integers(2, 9))):
        at += draw(st.sampled_from([2, 40, 300]))
        kind = draw(st.sampled_from(KINDS))
        emoji = ["👍", "❤️", ""]
        ticks = ["sent", "delivered", "read", "played", "failed"]
        choices = {
            "react": emoji, "ours": emoji, "status": ticks, "call": ["connect", "terminate"],
            "wish": ["stop", "resume"],
        }  # fmt: skip
        word = draw(st.sampled_from(choices.get(kind, [""])))
        steps.append(Step(kind, at, draw(st.integers(0, 2)), word))
    return steps


@st.composite
def talks_and_ways(draw: st.DrawFn) -> tuple[list[Step], list[list[list[Step]]]]:
    """The talk, and one way in which it may come: sets of POSTs, each with some of the events."""
    talk = draw(talks())
    again = draw(st.lists(st.sampled_from(talk), max_size=4))
    mixed = draw(st.permutations([*talk, *again]))
    sets: list[list[list[Step]]] = []
    while mixed:
        posts = []
        for _ in range(draw(st.integers(1, 2))):
            size = draw(st.integers(1, 3))
            posts.append(list(mixed[:size]))
            mixed = mixed[size:]
        sets.append([post for post in posts if post])
    return talk, sets


class Run:
    """One customer with an old, closed chat in which we have said something."""

    def __init__(self, number: WhatsappNumber) -> None:
        n = next(runs)
        self.mark = f"r{n}."
        self.sender = f"5731{n:08d}"
        client = make_client(phone_number=f"+{self.sender}")
        closed = make_chat(client=client, number=number, status="closed", closed_at=utcnow())
        said_at = utcnow() - timedelta(days=3)
        make_message(
            closed,
            content="¿Quedó bien?",
            direction="outbound",
            status="sent",
            whatsapp_message_id=f"{self.mark}ours",
            sent_at=said_at,
        )
        closed.last_inbound_at = None
        db.session.commit()
        self.client_id = client.id

    def take(self, sets: Sequence[Sequence[Sequence[Step]]], texts: Sequence[Step]) -> None:
        for posts in sets:
            with atomic():
                receive(
                    [Post(raw, parse(raw)) for steps in posts for raw in [self._body(steps, texts)]]
                )
        db.session.expire_all()

    def _body(self, steps: Sequence[Step], texts: Sequence[Step]) -> bytes:
        """Everything of one POST: a change for each event, as Meta batches them."""
        changes = [
            change
            for step in steps
            for change in json.loads(self._one(step, texts))["entry"][0]["changes"]
        ]
        entry = {"id": "200000000000001", "changes": changes}
        return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()

    def _one(self, step: Step, texts: Sequence[Step]) -> bytes:
        wamid, at = f"{self.mark}{step.kind}{step.at}", BEGIN + step.at
        target = texts[step.target % len(texts)] if texts else None
        about = f"{self.mark}text{target.at}" if target else f"{self.mark}gone"
        who = {"sender": self.sender, "at": at}
        match step.kind:
            case "text":
                return body(words(wamid, f"texto {step.at}", **who))
            case "refusal":
                return body(words(wamid, "BAJA", **who))
            case "photo":
                return body(typed(wamid, "image", {"id": wamid, "mime_type": "image/jpeg"}, **who))
            case "wish":
                wish = {"wa_id": self.sender, "category": "marketing_messages", "timestamp": at}
                wishes = [{**wish, "value": step.word}]
                return body(field="user_preferences", user_preferences=wishes)
            case "react":
                return body({**react(wamid, about, step.word, at), "from": self.sender})
            case "ours":
                about = f"{self.mark}ours"
                return body({**react(wamid, about, step.word, at), "from": self.sender})
            case "edit":
                return body({**edit(wamid, about, f"nuevo {at}", at), "from": self.sender})
            case "revoke":
                return body({**revoke(wamid, about, at), "from": self.sender})
            case "status":
                told = {"timestamp": str(at), "recipient_id": self.sender}
                if step.word == "failed":
                    told["errors"] = [{"code": 131026}]  # type: ignore[assignment]
                return body(statuses=[status(f"{self.mark}ours", step.word, **told)])
            case "call":
                item = {"from": self.sender, "to": OURS, "direction": "USER_INITIATED"}
                item |= {"id": f"{self.mark}call", "event": step.word, "timestamp": str(at)}
                item["start_time"] = str(BEGIN + 1)
                return body(field="calls", calls=[item])
        said = typed(wamid, "text", {"body": f"{self.mark} {at}"}, at=at)
        echo = {**said, "from": OURS, "to": self.sender}
        return body(field="smb_message_echoes", message_echoes=[echo])

    def state(self) -> dict[str, Any]:
        """What agents see and clocks go by, with nothing of this run's own in it."""
        chats = list(db.session.query(Chat).filter_by(client_id=self.client_id).order_by(Chat.id))
        live = [chat for chat in chats if chat.status.is_open]
        return {
            "messages": self._messages(live),
            "reactions": self._reactions(chats),
            "window": self._since(
                max((c.last_inbound_at for c in chats if c.last_inbound_at), default=None)
            ),
            "counts": (sum(c.message_count for c in chats), sum(c.unread_count for c in chats)),
            "live": [self._chat(chat) for chat in live],
            "fetches": self._fetches(),
            "advertising": self._wish(),
        }

    def _fetches(self) -> int:
        mine = db.session.query(MediaFetch).join(Message, Message.id == MediaFetch.message_id)
        return mine.filter(Message.client_id == self.client_id).count()

    def _wish(self) -> tuple[Any, ...]:
        client = db.session.get_one(Client, self.client_id)
        proofs = db.session.query(ClientConsent).filter_by(client_id=self.client_id)
        told = sorted((str(p.value), p.source, self._since(p.occurred_at) or 0) for p in proofs)
        return client.opt_in, self._since(client.opt_in_date), told

    def _messages(self, live: Sequence[Chat]) -> list[Any]:
        rows = db.session.query(Message).filter_by(client_id=self.client_id)
        return sorted(
            [
                row.whatsapp_message_id.removeprefix(self.mark),
                str(row.message_type),
                (row.content or "").replace(self.mark, ""),
                str(row.status),
                self._since(row.read_at) if row.direction == "outbound" else None,
                self._since(row.deleted_at),
                ((row.meta or {}).get("edited") or {}).get("original"),
                ((row.meta or {}).get("call") or {}).get("state"),
                row.target_whatsapp_id is None and row.chat_id in {chat.id for chat in live},
            ]
            for row in rows
        )

    def _reactions(self, chats: Sequence[Chat]) -> list[Any]:
        return sorted(
            (bubble.id and (bubble.text or "").replace(self.mark, ""), bubble.reactions)
            for chat in chats
            for bubble in inbox.load_thread(chat).items
            if isinstance(bubble, inbox.Bubble) and not bubble.is_event
        )

    def _chat(self, chat: Chat) -> tuple[Any, ...]:
        """Whether a chat is new or back in its queue is the same to whoever waits."""
        waits = chat.status in ("new", "queued")
        return (
            "waiting" if waits else str(chat.status),
            chat.owner,
            self._since(chat.waiting_since),
            self._since(chat.first_response_at),
            self._since(chat.last_message_at),
        )

    def _since(self, at: Any) -> int | None:
        return int(at.timestamp()) - BEGIN if at is not None else None


REFUSED, AGREED = Step("refusal", 10), Step("wish", 400, word="resume")


@pytest.fixture
def number(database: Flask) -> WhatsappNumber:
    number = make_number(campaign=make_campaign(), meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    return number


@settings(
    max_examples=15,
    deadline=None,
    # A failing talk is short as it is; making it shorter would take longer than reading it.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(talks_and_ways())
@example(([REFUSED, AGREED], [[[AGREED]], [[REFUSED]]]))
def test_whatever_the_order_the_state_is_the_same(
    number: WhatsappNumber, case: tuple[list[Step], list[list[list[Step]]]]
) -> None:
    talk, sets = case
    texts = [step for step in talk if step.kind == "text"]
    straight, mixed = Run(number), Run(number)
    straight.take([[[step]] for step in talk], texts)
    mixed.take(sets, texts)
    assert mixed.state() == straight.state()
    assert db.session.query(Client).filter_by(id=mixed.client_id).one().deleted_at is None
