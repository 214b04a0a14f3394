"""A flow begins to talk in a chat, and hands it over."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from crm.db import database_now, db
from crm.models import BotFlow, BotSession, BotSessionStatus, Chat, ChatOwner, ChatStatus
from crm.services.chats.moves import Actor, lock_chat, move_chat


def start_bot(
    chat: Chat, flow_id: int, *, actor: Actor, reason: str, data: dict[str, Any] | None = None
) -> Chat:
    """Let a flow talk: the chat is the bot's until it hands over. Its session row is reused."""
    chat = lock_chat(chat.id)
    now = database_now()
    flow = db.session.get_one(BotFlow, flow_id)
    fresh = {
        "flow_id": flow.id,
        "current_node_key": flow.start_node_id,
        "status": BotSessionStatus.ACTIVE,
        "variables": {},
        "started_at": now,
        "completed_at": None,
        "last_interaction_at": now,
        "steps_count": 0,
        "invalid_attempts": 0,
    }
    row = insert(BotSession).values(chat_id=chat.id, client_id=chat.client_id, **fresh)
    db.session.execute(
        row.on_conflict_do_update(
            index_elements=["chat_id"], set_={**fresh, "updated_at": func.now()}
        )
    )
    return move_chat(
        chat,
        ChatStatus.BOT,
        kind="bot_started",
        actor=actor,
        reason=reason,
        at=now,
        data={"flow_id": flow.id, "flow": flow.name, **(data or {})},
        facts={
            "owner": ChatOwner.BOT,
            "bot_started_at": now,
            "bot_ended_at": None,
            "assigned_agent_id": None,
            "assigned_at": None,
        },
    )
