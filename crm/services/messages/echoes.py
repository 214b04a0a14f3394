"""What somebody wrote on the number's own phone: our message, though we did not send it.

A human word from the phone is an answer: the chat is active, its owner the phone, nobody is routed
to it, and it counts as the first response. The phone's own greeting is none: it comes within
seconds of the customer's word, or says the same to several customers in an hour.

What the chat makes of it is worked out anew from all messages that stand in it, because echoes and
the words they answer come in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from crm.db import database_now, db
from crm.models import Chat, ChatOwner, ChatStatus, Direction
from crm.providers.base import EchoedMessage
from crm.services.chats import PHONE, SYSTEM, lock_chat, move_chat, requeue_chat
from crm.services.chats.moves import publish_chat, touch_chat
from crm.services.messages.changes import apply_changes
from crm.services.messages.keeping import UNCOUNTED, announce, find_entry, is_stored, keep
from crm.services.messages.ledger import Post
from crm.services.messages.threads import Number

GREETING_SECONDS = 5
# The same text to so many customers within an hour is the phone's, not a person's.
GREETED_CLIENTS = 3
LOOKED_AT = 500
# The phone answers for whoever has the chat, or would have had it.
ANSWERABLE = frozenset({ChatStatus.NEW, ChatStatus.BOT, ChatStatus.QUEUED, ChatStatus.ASSIGNED})

SAME_WORDS = text("""
    SELECT count(DISTINCT client_id) FROM messages
    WHERE whatsapp_number_id = :number_id AND direction = 'outbound' AND content = :content
      AND metadata->>'origin' = 'phone' AND client_id <> :client_id
      AND created_at > now() - interval '2 hours'
      AND position BETWEEN CAST(:at AS timestamptz) - interval '1 hour'
                       AND CAST(:at AS timestamptz) + interval '1 hour'
""")

# Who said what when, the newest first: only words that somebody can answer or be answered by.
SAID = text("""
    SELECT id, position, direction, user_id IS NOT NULL AS is_agent,
           metadata->>'origin' = 'phone' AS is_phone, metadata->>'automatic' AS automatic
    FROM messages
    WHERE chat_id = :chat_id AND message_type NOT IN ('reaction', 'system')
    ORDER BY position DESC, id DESC LIMIT :most
""")

SPOKEN_IN = text("""
    SELECT DISTINCT chat_id FROM messages
    WHERE chat_id = ANY(CAST(:ids AS int[])) AND direction = 'outbound'
      AND metadata->>'origin' = 'phone'
""")

MARK = text("""
    UPDATE messages SET metadata = metadata || jsonb_build_object('automatic', CAST(:word AS text))
    WHERE id = :id
""")


# From here on the number's messages are looked at with the phone's in mind.
USES_PHONE = text("""
    UPDATE whatsapp_numbers SET uses_phone = true WHERE id = :id AND NOT uses_phone
""")


def receive_echo(echo: EchoedMessage, number: Number, post: Post) -> None:
    """Store it as ours, from the phone; once, however often it comes. Inside `atomic()`."""
    if is_stored(echo.whatsapp_message_id):
        return
    db.session.execute(USES_PHONE, {"id": number.id})
    if not echo.recipient.identities:
        post.note("no_recipient", echo, "the phone's message does not say to whom it went")
        return
    entry = find_entry(echo, echo.recipient, number, post)
    if entry is None:
        return
    metadata: dict[str, Any] = {**(echo.metadata or {}), "origin": "phone"}
    if _is_said_to_many(echo, number.id, entry.person.id):
        metadata["automatic"] = "repeated"
    kept = keep(entry, direction=Direction.OUTBOUND, metadata=metadata)
    if kept is None:
        return
    targets = {echo.target_id} if echo.target_id else set()
    known = apply_changes(targets | {echo.whatsapp_message_id})
    if echo.kind not in UNCOUNTED and echo.recipient.group_id is None:
        settle_phone(kept.thread.id)
    announce(kept, is_new_line=echo.target_id not in known)


def _is_said_to_many(echo: EchoedMessage, number_id: int, client_id: int) -> bool:
    if echo.kind != "text" or not echo.content:
        return False
    at = (echo.sent_at or database_now()).isoformat()
    values = {"number_id": number_id, "content": echo.content, "client_id": client_id, "at": at}
    others = db.session.scalar(SAME_WORDS, values) or 0
    return others + 1 >= GREETED_CLIENTS


@dataclass(frozen=True)
class _Talk:
    """What stands in a chat, as far as it tells who has answered whom. Times are positions."""

    asked: list[datetime]
    phone: list[datetime]
    agents: list[datetime]

    @property
    def answers(self) -> list[datetime]:
        """The phone's human words since the customer's first; all of them in a chat without one."""
        return [at for at in self.phone if not self.asked or at >= min(self.asked)]


def settle_phone(chat_id: int) -> None:
    """Bring an open chat to what the phone's words in it mean. Nothing for a closed one."""
    chat = lock_chat(chat_id)
    if not chat.status.is_open:
        return
    talk = _read_talk(chat_id)
    if talk.answers:
        _answered(chat, talk)
    elif chat.owner == ChatOwner.PHONE:
        _not_answered(chat, talk)
    db.session.flush()


def _read_talk(chat_id: int) -> _Talk:
    """Also notes on each echo whether it is a greeting, as far as it was not known."""
    said = db.session.execute(SAID, {"chat_id": chat_id, "most": LOOKED_AT}).all()
    asked = [row.position for row in said if row.direction == Direction.INBOUND]
    talk = _Talk(asked, [], [row.position for row in said if row.is_agent])
    for row in said:
        if row.direction == Direction.INBOUND or not row.is_phone:
            continue
        automatic = row.automatic == "repeated" or _follows_at_once(row.position, asked)
        if not automatic:
            talk.phone.append(row.position)
        if row.automatic != "repeated" and automatic != (row.automatic == "greeting"):
            db.session.execute(MARK, {"id": row.id, "word": "greeting" if automatic else None})
    return talk


def _follows_at_once(at: datetime, asked: list[datetime]) -> bool:
    margin = timedelta(seconds=GREETING_SECONDS)
    return any(timedelta(0) <= at - word <= margin for word in asked)


def _answered(chat: Chat, talk: _Talk) -> None:
    first, last = min(talk.answers), max(talk.answers)
    waiting = _waits_since(talk, max([last, *talk.agents]))
    owner = ChatOwner.PHONE if not talk.agents or last >= max(talk.agents) else chat.owner
    response = min([first, *([chat.first_response_at] if chat.first_response_at else [])])
    facts = {"owner": owner, "waiting_since": waiting, "first_response_at": response}
    if chat.status in ANSWERABLE:
        at = database_now()
        move_chat(
            chat,
            ChatStatus.ACTIVE,
            kind="answered",
            actor=PHONE,
            reason="phone",
            at=at,
            facts=facts,
        )
    elif any(getattr(chat, name) != value for name, value in facts.items()):
        for name, value in facts.items():
            setattr(chat, name, value)
        touch_chat(chat)
        publish_chat(chat)


def _not_answered(chat: Chat, talk: _Talk) -> None:
    """What was taken for a person's answer was the phone's greeting: the customer still waits."""
    if not talk.agents:
        chat.first_response_at = None
    chat.waiting_since = _waits_since(talk, max(talk.agents, default=None))
    if chat.status == ChatStatus.ACTIVE and chat.assigned_agent_id is None:
        requeue_chat(chat, actor=SYSTEM, reason="phone_greeting")
    else:
        chat.owner = ChatOwner.HUMAN if chat.assigned_agent_id else None


def _waits_since(talk: _Talk, answered_at: datetime | None) -> datetime | None:
    later = [at for at in talk.asked if answered_at is None or at > answered_at]
    return min(later, default=None)


def settle_spoken_on_phone(chat_ids: set[int]) -> None:
    """Of these chats settle those in which the phone has said something: a word came in."""
    for chat_id in sorted(db.session.scalars(SPOKEN_IN, {"ids": sorted(chat_ids)})):
        settle_phone(chat_id)
