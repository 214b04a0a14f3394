"""Live events: what happened, and who may know.

Services call `publish_on_commit`; each web process has one subscriber (realtime/hub.py) that turns
an event into fragments for the sockets whose people may see it. There is no event log: who was away
fetches the page again. So an event carries ids only, and one that is lost costs a refresh.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import structlog
from redis.exceptions import RedisError

from crm.db import on_commit_together
from crm.extensions import redis_client

log = structlog.get_logger(__name__)
CHANNEL = "crm:events"
# `json.dumps` makes a new encoder at each call that wants other separators than the usual ones.
_write_json = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True)
class MessageAdded:
    """A message stands in a chat that was not there before, inbound or outbound."""

    name: ClassVar[str] = "message_added"
    chat_id: int
    message_id: int


@dataclass(frozen=True)
class MessageChanged:
    """Its status moved, or its content was revoked or edited."""

    name: ClassVar[str] = "message_changed"
    chat_id: int
    message_id: int


@dataclass(frozen=True)
class ChatChanged:
    """Its row in a list is no longer right: state, owner, unread, tags, last message."""

    name: ClassVar[str] = "chat_changed"
    chat_id: int


@dataclass(frozen=True)
class NoteAdded:
    """An internal note stands in a chat, or was edited or deleted there."""

    name: ClassVar[str] = "note_added"
    chat_id: int
    note_id: int


@dataclass(frozen=True)
class Mentioned:
    """A note names these people (the audience's `user_ids`)."""

    name: ClassVar[str] = "mentioned"
    chat_id: int
    note_id: int


@dataclass(frozen=True)
class AgentChanged:
    """An agent's status or load moved."""

    name: ClassVar[str] = "agent_changed"
    user_id: int


@dataclass(frozen=True)
class AccessChanged:
    """A person's rights or sessions changed: open sockets look again at once."""

    name: ClassVar[str] = "access_changed"
    user_id: int


@dataclass(frozen=True)
class AlarmsChanged:
    """An alarm was opened, seen or ended; whoever may read alarms looks again."""

    name: ClassVar[str] = "alarms_changed"


Event = (
    MessageAdded
    | MessageChanged
    | ChatChanged
    | NoteAdded
    | Mentioned
    | AgentChanged
    | AccessChanged
    | AlarmsChanged
)
EVENTS: dict[str, type[Event]] = {
    kind.name: kind
    for kind in (
        MessageAdded,
        MessageChanged,
        ChatChanged,
        NoteAdded,
        Mentioned,
        AgentChanged,
        AccessChanged,
        AlarmsChanged,
    )
}


@dataclass(frozen=True)
class Audience:
    """Who may know, as plain values that `Scope.sees_chat` is asked with.

    `agent_ids` are all who own or are offered the chat, and who just lost it; `waiting` means that
    nobody owns it yet. `user_ids` names people directly (their own status, their sessions).
    """

    campaign_id: int | None = None
    agent_ids: tuple[int, ...] = ()
    waiting: bool = False
    user_ids: tuple[int, ...] = ()


def publish_on_commit(event: Event, audience: Audience) -> None:
    """Tell the browsers once the current transaction is committed; the same news once."""
    on_commit_together(_publish_once, (event, audience))


def _publish_once(events: list[tuple[Event, Audience]]) -> None:
    publish_all(dict.fromkeys(events))


def publish_all(events: Iterable[tuple[Event, Audience]]) -> None:
    """Publish now, in one round trip. For callers that have committed already.

    With Redis away nothing is raised: the browsers poll until it is back.
    """
    try:
        # One publication however many events: Redis and its client cost more than the events do.
        if text := ",".join(encode(event, audience) for event, audience in events):
            redis_client.publish(CHANNEL, f"[{text}]")
    except RedisError as error:
        log.warning("events_not_published", error=type(error).__name__)


def encode(event: Event, audience: Audience) -> str:
    # Flat dataclasses: `asdict` would copy them field by field, twice for each message.
    return _write_json({"name": event.name, "data": vars(event), "audience": vars(audience)})


def decode(text: str | bytes) -> list[tuple[Event, Audience]]:
    """The events of one publication, each with its audience; ValueError for anything else."""
    try:
        return [_decode(body) for body in json.loads(text)]
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an event of ours: {error}") from error


def _decode(body: dict[str, Any]) -> tuple[Event, Audience]:
    audience = body["audience"]
    return EVENTS[body["name"]](**body["data"]), Audience(
        campaign_id=audience["campaign_id"],
        agent_ids=tuple(audience["agent_ids"]),
        waiting=audience["waiting"],
        user_ids=tuple(audience["user_ids"]),
    )
