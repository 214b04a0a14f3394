"""What a person may do with a chat that is open before them."""

from __future__ import annotations

from dataclasses import dataclass

from crm.errors import Conflict
from crm.models import Chat, ChatStatus
from crm.permissions import Scope


class NotYours(Conflict):
    code = "not_yours"
    message = "This chat is not yours, so the message was not sent."


@dataclass(frozen=True)
class May:
    """What this person may do with the open chat, decided here and not in a template."""

    reply: bool
    pick: bool
    take_over: bool
    close: bool
    retry: bool
    note: bool
    remove_notes: bool
    send_template: bool
    originals: bool
    transfer: bool
    assign: bool
    snooze: bool
    resume: bool
    withdraw: bool
    attach: bool


def rights_in(chat: Chat, scope: Scope) -> May:
    mine = chat.assigned_agent_id == scope.user_id
    free = chat.assigned_agent_id is None
    reply = chat.status.is_open and mine and scope.can("chats.reply")
    moves = chat.status.is_open and (mine or scope.can("chats.assign"))
    offered = chat.status == ChatStatus.TRANSFERRED
    return May(
        transfer=moves and not offered and scope.can("chats.transfer"),
        assign=chat.status.is_open and scope.can("chats.assign"),
        snooze=chat.status in (ChatStatus.ASSIGNED, ChatStatus.ACTIVE) and mine and reply,
        resume=chat.status == ChatStatus.PENDING and mine and reply,
        withdraw=offered and mine and scope.can("chats.transfer"),
        reply=reply,
        retry=reply and scope.can("messages.retry"),
        note=scope.can("notes.create"),
        remove_notes=scope.can("notes.delete"),
        send_template=reply and scope.can("templates.send"),
        originals=scope.can("messages.read_revoked"),
        attach=reply and scope.can("files.upload"),
        pick=chat.status.is_open and free and scope.can("chats.pick"),
        take_over=chat.status.is_open
        and not (mine or free)
        and scope.can("chats.assign")
        and scope.can("chats.reply"),
        close=moves and scope.can("chats.close"),
    )
