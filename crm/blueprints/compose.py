"""What the composer can do beside plain text: dialogs by kind, templates, reactions, notes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from crm.blueprints.chat_rights import NotYours, rights_in
from crm.blueprints.inbox import composer_values, find_quoted
from crm.db import atomic, db
from crm.errors import Conflict, DomainError, Invalid, NotFound
from crm.models import Chat, Client, File, Message, User
from crm.permissions import current_scope, load_chat, requires, signed_in
from crm.services import inbox, notes, quick_replies, templates
from crm.services.files import load_file
from crm.services.messages import outbound, presence, written
from crm.services.messages.consent import has_agreed
from crm.services.messages.contents import Reaction, read_content

blueprint = Blueprint("compose", __name__, url_prefix="/inbox")

LONGEST_KEY = 60


@blueprint.get("/<int:chat_id>/compose/<kind>")
@requires("chats.reply")
def dialog(chat_id: int, kind: str) -> ResponseReturnValue:
    """The dialog in which a message of this kind is written."""
    found = own_chat(chat_id)
    if kind not in written.KINDS:
        raise NotFound
    return _dialog(found, kind, request.args)


@blueprint.post("/<int:chat_id>/compose/<kind>")
@requires("chats.reply")
def send(chat_id: int, kind: str) -> ResponseReturnValue:
    """Queue what the dialog says: the bubble, or 422 with the dialog and what is wrong."""
    values = request.form
    return _queue(
        chat_id,
        lambda found, author: outbound.queue_outbound(
            found,
            written.content_of(kind, values),
            author=author,
            client_key=asked_key(),
            reply_to=find_quoted(found, request.form.get("reply_to", type=int)),
        ),
        lambda found, error: _dialog(found, kind, values, error),
    )


@blueprint.get("/<int:chat_id>/templates")
@requires("chats.reply", "templates.send")
def list_templates(chat_id: int) -> ResponseReturnValue:
    """The approved templates of the chat's number."""
    found = own_chat(chat_id)
    return render_template(
        "compose/templates.html",
        chat_id=found.id,
        templates=templates.find_sendable(found.whatsapp_number_id),
        agreed=has_agreed(db.session.get_one(Client, found.client_id)),
    )


@blueprint.get("/<int:chat_id>/templates/<int:template_id>")
@requires("chats.reply", "templates.send")
def template(chat_id: int, template_id: int) -> ResponseReturnValue:
    """One template with its blanks, filled in as far as we know the customer."""
    found = own_chat(chat_id)
    return _template_dialog(found, template_id, templates.guess_values(found, template_id))


@blueprint.post("/<int:chat_id>/templates/<int:template_id>")
@requires("chats.reply", "templates.send")
def send_template(chat_id: int, template_id: int) -> ResponseReturnValue:
    values = request.form
    return _queue(
        chat_id,
        lambda found, author: templates.queue_template(
            found,
            template_id,
            values,
            author=author,
            client_key=asked_key(),
            file=chosen_file(values),
            reply_to=find_quoted(found, values.get("reply_to", type=int)),
        ),
        lambda found, error: _template_dialog(found, template_id, values, error),
    )


@blueprint.post("/<int:chat_id>/messages/<int:message_id>/react")
@requires("chats.reply")
def react(chat_id: int, message_id: int) -> ResponseReturnValue:
    """Put an emoji on a message, or take it back with none: the message anew."""
    with atomic():
        found = own_chat(chat_id)
        target = asked_message(found, message_id)
        if not target.whatsapp_message_id:
            raise Conflict("This message has not reached WhatsApp yet.")
        outbound.queue_outbound(
            found,
            Reaction(target.whatsapp_message_id, request.form.get("emoji", "")),
            author=me(),
        )
    return render_template("inbox/_bubble.html", bubble=inbox.find_bubble(message_id))


@blueprint.get("/<int:chat_id>/messages/<int:message_id>/forward")
@requires("chats.reply")
def forward_dialog(chat_id: int, message_id: int) -> ResponseReturnValue:
    """Own chats with an open window, to which a message may be passed on."""
    scope = current_scope()
    found = load_chat(scope, chat_id)
    message = asked_message(found, message_id)
    text = " ".join(request.args.get("q", "").replace("\x00", "").split())[:100]
    return render_template(
        "compose/forward.html",
        chat_id=found.id,
        message=message,
        key=uuid.uuid4(),
        text=text,
        targets=inbox.find_forward_targets(
            scope.user_id,
            text=text,
            leave_out=found.id,
            phones_visible=scope.can("clients.view_phone"),
        ),
    )


@blueprint.post("/<int:chat_id>/messages/<int:message_id>/forward")
@requires("chats.reply")
def forward(chat_id: int, message_id: int) -> ResponseReturnValue:
    """Pass a message on to chats of one's own; those that cannot take it are named."""
    scope = current_scope()
    message = asked_message(load_chat(scope, chat_id), message_id)
    key, sent, refused = asked_key(), 0, []
    for target_id in list(dict.fromkeys(request.form.getlist("to", type=int)))[:20]:
        try:
            with atomic():
                target = own_chat(target_id)
                outbound.queue_outbound(
                    target,
                    read_content(message),
                    author=me(),
                    client_key=uuid.uuid5(key, str(target_id)),
                    file=message.media_file,
                )
                sent += 1
        except DomainError as error:
            refused.append(_(error.message, **error.values))
    if refused and not sent:
        raise Invalid(refused[0])
    return {"sent": sent, "refused": refused}


@blueprint.post("/<int:chat_id>/notes")
@requires("chats.read", "notes.create")
def add_note(chat_id: int) -> ResponseReturnValue:
    """An internal note: its bubble. The customer never gets it."""
    scope = current_scope()
    with atomic():
        found = load_chat(scope, chat_id)
        note = notes.add_note(
            found, request.form.get("text", ""), author=me(), client_key=asked_key()
        )
    return render_template("inbox/_note.html", note=inbox.find_note(note.id))


@blueprint.get("/mentions")
@requires("chats.read")
def mentions() -> ResponseReturnValue:
    """The mark in the rail, and the newest notes that name this person and are not seen yet."""
    return render_template("inbox/_mentions.html", mentions=unseen_mentions())


@blueprint.app_template_global("unseen_mentions")
def unseen_mentions() -> tuple[int, list[notes.Mention]]:
    """(how many, the newest five), for the frame of every page."""
    scope = current_scope()
    return notes.find_unseen_mentions(scope.user_id) if scope.can("chats.read") else (0, [])


@blueprint.get("/<int:chat_id>/people")
@requires("chats.read", "notes.create")
def people(chat_id: int) -> ResponseReturnValue:
    """Who may be mentioned in a note: colleagues who can see this chat."""
    found = load_chat(current_scope(), chat_id)
    return {"people": notes.find_mentionable(found, but=current_scope().user_id)}


@blueprint.get("/<int:chat_id>/quick-replies")
@requires("chats.reply", "quick_replies.use")
def list_quick_replies(chat_id: int) -> ResponseReturnValue:
    """All that this person may use here, their variables filled for this customer."""
    scope = current_scope()
    found = load_chat(scope, chat_id)
    return {"replies": quick_replies.find_for_chat(scope, found, author=me())}


@blueprint.post("/<int:chat_id>/typing")
@requires("chats.reply")
def typing(chat_id: int) -> ResponseReturnValue:
    """The owner is writing: the customer sees it, where the number does that."""
    presence.note_typing(own_chat(chat_id), user_id=current_scope().user_id)
    return "", 204


@blueprint.post("/enter")
@signed_in
def set_enter() -> ResponseReturnValue:
    """Whether Enter sends or breaks the line, for this person."""
    with atomic():
        me().enter_sends = request.form.get("sends") == "1"
    return "", 204


def _queue(
    chat_id: int,
    write: Callable[[Chat, User], Message],
    refuse: Callable[[Chat, str], ResponseReturnValue],
) -> ResponseReturnValue:
    scope = current_scope()
    try:
        with atomic():
            found = own_chat(chat_id)
            message = write(found, me())
    except DomainError as error:
        if error.http_status not in (409, 422):
            raise
        db.session.rollback()
        return make_response(
            refuse(load_chat(scope, chat_id), _(error.message, **error.values)), 422
        )
    bubble = inbox.find_bubble(message.id)
    return render_template("inbox/_sent.html", bubble=bubble, **composer_values(found, scope))


def _dialog(found: Chat, kind: str, values: Mapping[str, Any], error: str = "") -> str:
    return render_template(
        f"compose/{kind}.html",
        chat_id=found.id,
        kind=kind,
        values=values,
        error=error,
        key=values.get("client_key") or uuid.uuid4(),
        recent=inbox.find_recent_contents(found, kind) if kind in ("location", "contact") else (),
    )


def _template_dialog(
    found: Chat, template_id: int, values: Mapping[str, Any], error: str = ""
) -> str:
    chosen = templates.load_sendable(found, template_id)
    return render_template(
        "compose/template.html",
        chat_id=found.id,
        template=chosen,
        blanks=templates.blanks_of(chosen),
        values=values,
        error=error,
        key=values.get("client_key") or uuid.uuid4(),
    )


def chosen_file(values: Mapping[str, Any]) -> File | None:
    """The header's file that was uploaded for a template, if one was."""
    given = str(values.get("header.file") or "")
    return load_file(current_scope(), int(given)) if given.isdecimal() and len(given) < 10 else None


def own_chat(chat_id: int) -> Chat:
    """A chat in which this person may answer; NotYours otherwise."""
    scope = current_scope()
    found = load_chat(scope, chat_id)
    if found.status.is_open and not rights_in(found, scope).reply:
        raise NotYours
    return found


def asked_message(found: Chat, message_id: int) -> Message:
    message = db.session.get(Message, message_id)
    if message is None or message.chat_id != found.id:
        raise NotFound
    return message


def me() -> User:
    return db.session.get_one(User, current_scope().user_id)


def asked_key() -> uuid.UUID:
    try:
        return uuid.UUID(request.form.get("client_key", "")[:LONGEST_KEY])
    except ValueError:
        raise Invalid("Reload the page and send it again.") from None
