"""The desk: the list of chats, the open conversation, and what an agent does in it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from crm.blueprints.chat_list import asked_filters, asked_tab, list_query, list_values
from crm.blueprints.chat_rights import NotYours, rights_in
from crm.blueprints.htmx import wants_fragment
from crm.db import atomic, db
from crm.errors import DomainError, NotFound
from crm.forms.messages import MessageForm
from crm.models import Chat, ChatStatus, Message, User, WhatsappNumber
from crm.permissions import Scope, current_scope, load_chat, requires, visible_chats
from crm.services import chats, inbox, notes, number_states
from crm.services.messages import outbound, presence
from crm.services.messages.contents import Text
from crm.services.quick_replies import find_reply_id

blueprint = Blueprint("inbox", __name__)


STATUS_WORDS = {
    ChatStatus.NEW: _l("New"),
    ChatStatus.BOT: _l("Bot"),
    ChatStatus.QUEUED: _l("Waiting"),
    ChatStatus.ASSIGNED: _l("Assigned"),
    ChatStatus.ACTIVE: _l("Active"),
    ChatStatus.PENDING: _l("Pending"),
    ChatStatus.TRANSFERRED: _l("Offered"),
    ChatStatus.CLOSED: _l("Closed"),
    ChatStatus.ABANDONED: _l("Abandoned"),
}


@blueprint.get("/inbox")
@requires("chats.read")
def page() -> ResponseReturnValue:
    """The desk with no chat open."""
    return render_template("inbox/page.html", head=None, **list_values(), **_desk_values())


@blueprint.get("/inbox/list")
@requires("chats.read")
def list_rows() -> ResponseReturnValue:
    """The list anew, or its next page where the address carries a cursor."""
    values = list_values(with_counts="cursor" not in request.args)
    if "cursor" in request.args:
        return render_template("inbox/_rows.html", **values)
    return render_template("inbox/_list_and_counts.html", **values)


@blueprint.get("/inbox/counts")
@requires("chats.read")
def counts() -> ResponseReturnValue:
    scope = current_scope()
    return render_template(
        "inbox/_counts.html",
        counts=inbox.count_chats(visible_chats(scope), user_id=scope.user_id),
        tab=asked_tab(),
        filters=asked_filters(),
    )


@blueprint.get("/inbox/filters")
@requires("chats.read")
def filters() -> ResponseReturnValue:
    """The panel that narrows the list."""
    choices = inbox.list_choices(visible_chats(current_scope()))
    return render_template(
        "inbox/_filters.html",
        tab=asked_tab(),
        filters=asked_filters(),
        choices=choices,
        states=number_states.find_states(number_id for number_id, _name in choices.numbers),
        statuses=[(status.value, words) for status, words in STATUS_WORDS.items()],
    )


@blueprint.get("/inbox/<int:chat_id>")
@requires("chats.read")
def chat(chat_id: int) -> ResponseReturnValue:
    """The desk with a chat open; as a fragment, the conversation alone."""
    return _show_chat(load_chat(current_scope(), chat_id))


@blueprint.get("/inbox/<int:chat_id>/client")
@requires("chats.read", "clients.read")
def client(chat_id: int) -> ResponseReturnValue:
    """The same with the customer's panel in front, where there is no room for both."""
    return _show_chat(load_chat(current_scope(), chat_id), pane="client")


@blueprint.get("/inbox/<int:chat_id>/messages")
@requires("chats.read")
def messages(chat_id: int) -> ResponseReturnValue:
    """The page of messages before or after the cursor.

    With `reach` all that lie from that message to the cursor, with `around` those beside it.
    """
    found, args = load_chat(current_scope(), chat_id), request.args
    around = args.get("around", type=int)
    if around is not None:
        thread = inbox.load_thread_around(found, around)
    elif "after" in args:
        thread = inbox.load_thread_after(found, args["after"])
    else:
        reach = args.get("reach", type=int)
        thread = inbox.load_thread(found, before=args.get("before"), reach=reach)
    return render_template("inbox/_messages.html", chat_id=found.id, thread=thread)


@blueprint.post("/inbox/<int:chat_id>/messages")
@requires("chats.reply")
def send(chat_id: int) -> ResponseReturnValue:
    """Queue an answer: its bubble with a clock and a fresh composer, or 422 with what is wrong."""
    scope = current_scope()
    form = MessageForm()
    if not form.validate_on_submit():
        return _refuse(load_chat(scope, chat_id), form.first_error, form.text.data)
    try:
        with atomic():
            found = load_chat(scope, chat_id)
            if found.status.is_open and not rights_in(found, scope).reply:
                raise NotYours
            author = db.session.get_one(User, scope.user_id)
            message = outbound.queue_outbound(
                found,
                Text(form.text.data, preview_url=form.previews),
                author=author,
                client_key=form.key,
                reply_to=find_quoted(found, form.reply_to.data),
                quick_reply_id=find_reply_id(scope, form.quick_reply.data),
            )
    except DomainError as error:
        if error.http_status not in (409, 422):
            raise
        db.session.rollback()
        words = _(error.message, **error.values)
        return _refuse(load_chat(scope, chat_id), words, form.text.data)
    if not wants_fragment():
        return redirect(url_for("inbox.chat", chat_id=chat_id))
    bubble = inbox.find_bubble(message.id)
    return render_template("inbox/_sent.html", bubble=bubble, **composer_values(found, scope))


@blueprint.post("/inbox/<int:chat_id>/messages/<int:message_id>/retry")
@requires("chats.reply", "messages.retry")
def retry(chat_id: int, message_id: int) -> ResponseReturnValue:
    """Send a failed message again: the bubble with a clock."""
    return _move_message(chat_id, message_id, outbound.retry_message)


@blueprint.post("/inbox/<int:chat_id>/messages/<int:message_id>/cancel")
@requires("chats.reply")
def cancel(chat_id: int, message_id: int) -> ResponseReturnValue:
    """Take back a message that still waits for its turn."""
    return _move_message(chat_id, message_id, outbound.cancel_message)


@blueprint.get("/inbox/<int:chat_id>/messages/<int:message_id>/original")
@requires("chats.read", "messages.read_revoked")
def original(chat_id: int, message_id: int) -> ResponseReturnValue:
    """What a message said before its writer edited or deleted it."""
    found = load_chat(current_scope(), chat_id)
    bubble = inbox.find_original(message_id)
    if bubble is None or bubble.chat_id != found.id:
        raise NotFound
    return render_template("inbox/_original.html", bubble=bubble)


def _move_message(
    chat_id: int, message_id: int, move: Callable[..., Message]
) -> ResponseReturnValue:
    scope = current_scope()
    with atomic():
        found = load_chat(scope, chat_id)
        if not rights_in(found, scope).reply:
            raise NotYours
        message = db.session.get(Message, message_id)
        if message is None or message.chat_id != found.id:
            raise NotFound
        move(message, actor=chats.person(scope.user_id))
    if not wants_fragment():
        return redirect(url_for("inbox.chat", chat_id=chat_id))
    return render_template("inbox/_bubble.html", bubble=inbox.find_bubble(message_id))


@blueprint.post("/inbox/<int:chat_id>/read")
@requires("chats.read")
def mark_read(chat_id: int) -> ResponseReturnValue:
    """The owner has the chat before their eyes; anybody else changes nothing."""
    scope = current_scope()
    with atomic():
        found = load_chat(scope, chat_id)
        presence.see_chat(found, db.session.get_one(User, scope.user_id))
        notes.see_mentions(found, user_id=scope.user_id)
    return "", 204


@blueprint.post("/inbox/<int:chat_id>/assign-to-me")
@requires("chats.reply")
def assign_to_me(chat_id: int) -> ResponseReturnValue:
    """Take a chat that nobody has, or, with the right to assign, from whoever has it."""
    scope = current_scope()
    with atomic():
        found = load_chat(scope, chat_id)
        me = db.session.get_one(User, scope.user_id)
        if rights_in(found, scope).take_over:
            chats.assign_chat(found, me, actor=chats.person(me.id), reason="picked")
        elif scope.can("chats.pick"):
            chats.pick_chat(found, me)
        else:
            raise chats.IllegalMove
    return _after_move(chat_id)


def _show_chat(found: Chat, *, pane: str | None = None) -> ResponseReturnValue:
    values = _chat_values(found, current_scope()) | {"pane": pane}
    if wants_fragment():
        return render_template("inbox/_conversation.html", **values)
    return render_template("inbox/page.html", **values, **list_values(), **_desk_values())


def _after_move(chat_id: int) -> ResponseReturnValue:
    if not wants_fragment():
        return redirect(url_for("inbox.chat", chat_id=chat_id))
    db.session.expire_all()
    return _show_chat(load_chat(current_scope(), chat_id))


def _refuse(found: Chat, error: str, text: str | None) -> ResponseReturnValue:
    """422: the composer with the error beside the box and what was typed still in it."""
    scope = current_scope()
    if not wants_fragment():
        values = _chat_values(found, scope) | {"error": error, "text": text}
        html = render_template("inbox/page.html", **values, **list_values(), **_desk_values())
        return make_response(html, 422)
    values = composer_values(found, scope)
    return make_response(
        render_template("inbox/_composer.html", error=error, text=text, **values), 422
    )


def _chat_values(found: Chat, scope: Scope) -> dict[str, Any]:
    phones_visible = scope.can("clients.view_phone")
    head, card = inbox.load_head_and_card(
        found, visible_chats(scope), phones_visible=phones_visible
    )
    return {
        "head": head,
        "card": card,
        "may": rights_in(found, scope),
        "client_key": uuid.uuid4(),
        "thread": inbox.load_thread(found),
        "list_url": "/inbox?" + list_query(),
        "pane": None,
    }


def find_quoted(found: Chat, message_id: int | None) -> Message | None:
    """The message of this chat that a form quotes, if it can be quoted."""
    if not message_id or message_id >= 2**62:
        return None
    message = db.session.get(Message, message_id)
    return message if message is not None and message.chat_id == found.id else None


def composer_values(found: Chat, scope: Scope) -> dict[str, Any]:
    return {
        "head": inbox.load_head(found, phones_visible=scope.can("clients.view_phone")),
        "may": rights_in(found, scope),
        "client_key": uuid.uuid4(),
    }


def _desk_values() -> dict[str, Any]:
    numbers = select(func.count(WhatsappNumber.id)).where(WhatsappNumber.deleted_at.is_(None))
    return {
        "number_count": db.session.scalar(numbers),
        "may_set_status": current_scope().can("agents.set_own_status"),
        "may_start": current_scope().can("chats.start") and current_scope().can("clients.read"),
        "may_receive": current_scope().can("chats.reply"),
        "may_reassign": current_scope().can("chats.assign"),
    }
