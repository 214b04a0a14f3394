"""Changing what stands in a thread: edits and deletions of our messages and of internal notes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from crm.blueprints.compose import asked_key, asked_message, me, own_chat
from crm.db import atomic
from crm.errors import DomainError
from crm.models import ChatNote
from crm.permissions import current_scope, load_chat, requires
from crm.services import audit, inbox, notes
from crm.services.messages import amending
from crm.services.messages.checks import LONGEST_TEXT

blueprint = Blueprint("amending", __name__, url_prefix="/inbox/<int:chat_id>")


@blueprint.get("/messages/<int:message_id>/edit")
@requires("chats.reply")
def ask_edit(chat_id: int, message_id: int) -> ResponseReturnValue:
    message = asked_message(own_chat(chat_id), message_id)
    return _dialog(
        _("Edit the message"),
        lambda: amending.check_editable(message, author=me()),
        url_for("amending.edit", chat_id=chat_id, message_id=message_id),
        text=message.content or "",
        is_edit=True,
        most=LONGEST_TEXT,
        help=_("The customer sees that it was edited. WhatsApp allows it for 15 minutes."),
    )


@blueprint.post("/messages/<int:message_id>/edit")
@requires("chats.reply")
def edit(chat_id: int, message_id: int) -> ResponseReturnValue:
    """Queue the new words: the message anew, with what becomes of it."""
    with atomic():
        message = asked_message(own_chat(chat_id), message_id)
        words = request.form.get("text", "")
        amending.edit_message(message, words, author=me(), client_key=asked_key())
    return render_template("inbox/_bubble.html", bubble=inbox.find_bubble(message_id))


@blueprint.get("/messages/<int:message_id>/delete")
@requires("chats.reply")
def ask_delete(chat_id: int, message_id: int) -> ResponseReturnValue:
    message = asked_message(own_chat(chat_id), message_id)
    return _dialog(
        _("Delete for everybody?"),
        lambda: amending.check_deletable(message),
        url_for("amending.delete", chat_id=chat_id, message_id=message_id),
        text=message.content or "",
        help=_("It disappears from the customer's phone, too; a line says that it was deleted."),
    )


@blueprint.post("/messages/<int:message_id>/delete")
@requires("chats.reply")
def delete(chat_id: int, message_id: int) -> ResponseReturnValue:
    with atomic():
        message = asked_message(own_chat(chat_id), message_id)
        amending.delete_message(message, author=me(), client_key=asked_key())
    return render_template("inbox/_bubble.html", bubble=inbox.find_bubble(message_id))


@blueprint.get("/notes/<int:note_id>/edit")
@requires("chats.read", "notes.create")
def ask_edit_note(chat_id: int, note_id: int) -> ResponseReturnValue:
    note = notes.load_note(load_chat(current_scope(), chat_id), note_id)
    return _dialog(
        _("Edit the note"),
        lambda: notes.check_editable(note, author=me()),
        url_for("amending.edit_note", chat_id=chat_id, note_id=note_id),
        text=note.content,
        is_edit=True,
        most=notes.LONGEST_NOTE,
        help=_("Only colleagues see it. Whom you name with @ is told."),
    )


@blueprint.post("/notes/<int:note_id>/edit")
@requires("chats.read", "notes.create")
def edit_note(chat_id: int, note_id: int) -> ResponseReturnValue:
    with atomic():
        found = load_chat(current_scope(), chat_id)
        before = audit.snapshot(notes.load_note(found, note_id))
        note = notes.edit_note(found, note_id, request.form.get("text", ""), author=me())
        audit.record("notes.update", note, before=before)
    return _note(note)


@blueprint.get("/notes/<int:note_id>/delete")
@requires("chats.read", "notes.create")
def ask_delete_note(chat_id: int, note_id: int) -> ResponseReturnValue:
    scope = current_scope()
    note = notes.load_note(load_chat(scope, chat_id), note_id)
    may_all = scope.can("notes.delete")
    return _dialog(
        _("Delete the note?"),
        lambda: notes.check_deletable(note, by=me(), may_all=may_all),
        url_for("amending.delete_note", chat_id=chat_id, note_id=note_id),
        text=note.content,
        help=_("A line stays that says who deleted it; its words do not."),
    )


@blueprint.post("/notes/<int:note_id>/delete")
@requires("chats.read", "notes.create")
def delete_note(chat_id: int, note_id: int) -> ResponseReturnValue:
    scope = current_scope()
    with atomic():
        found = load_chat(scope, chat_id)
        before = audit.snapshot(notes.load_note(found, note_id))
        note = notes.delete_note(found, note_id, by=me(), may_all=scope.can("notes.delete"))
        audit.record("notes.delete", note, before=before, after={})
    return _note(note)


def _note(note: ChatNote) -> str:
    return render_template("inbox/_note.html", note=inbox.find_note(note.id))


def _dialog(title: str, check: Callable[[], object], action: str, **values: Any) -> str:
    """The dialog, or in it why this cannot be done any more."""
    try:
        check()
    except DomainError as error:
        values |= {"refusal": _(error.message, **error.values)}
    return render_template(
        "compose/amend.html", title=title, action=action, key=uuid.uuid4(), **values
    )
