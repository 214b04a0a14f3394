"""Attaching: a file is uploaded while it is looked at, and becomes a message when it is sent.

The body of an upload is the file itself, not a form: it is written to disk as it comes, with the
limit counted on the way, and the browser can tell how far it is.
"""

from __future__ import annotations

from typing import Any

from flask import (
    Blueprint,
    current_app,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from crm.blueprints.chat_rights import NotYours, rights_in
from crm.blueprints.htmx import wants_fragment
from crm.blueprints.inbox import find_quoted
from crm.blueprints.uploads import takes_file
from crm.db import atomic, db
from crm.errors import Invalid, NotFound
from crm.forms.media import AttachmentForm
from crm.models import AlarmKind, Chat, File, Message, User
from crm.permissions import Scope, current_scope, load_chat, requires
from crm.services import alarms, files, inbox
from crm.services.media import claims
from crm.services.media.sending import SentAlready, queue_file

blueprint = Blueprint("media", __name__)


@blueprint.post("/inbox/<int:chat_id>/files")
@requires("chats.reply", "files.upload")
@takes_file(files.MESSAGE.most_bytes)
def upload(chat_id: int) -> ResponseReturnValue:
    """Take the body as a file: `?name=` is what it is called, `?voice=1` what was just recorded.

    Answers what it will be sent as: {id, kind, name, size, seconds, note, thumbnail}.
    """
    scope = current_scope()
    _load_own_chat(scope, chat_id)
    return take_upload(scope)


def take_upload(scope: Scope) -> ResponseReturnValue:
    """Keep the body as a file of this person's that is still to be sent, and describe it."""
    files.check_quota(scope.user_id)
    # A slow line may take minutes: no connection of the database is held meanwhile.
    db.session.rollback()
    most = files.MESSAGE.most_bytes
    if (request.content_length or 0) > most:
        raise files.FileTooLarge(limit=most // (1024 * 1024))
    with files.spool(current_app.config["CRM"].data_dir) as folder:
        given = files.receive(request.stream, folder, most=most)
        if request.args.get("voice") == "1":
            prepared = files.prepare_voice(given, folder=folder)
        else:
            name = request.args.get("name", "")
            prepared = files.prepare_for_message(given, name=name, folder=folder)
        stored = _store(prepared)
    with atomic():
        author = db.session.get_one(User, scope.user_id)
        file = files.create_file(stored, purpose=files.MESSAGE, uploaded_by=author)
    return make_response(jsonify(describe(file, prepared)), 201)


def _store(prepared: files.Prepared) -> files.Stored:
    """Keep the bytes; whoever runs this installation learns when that cannot be done."""
    try:
        return files.store_file(prepared)
    except files.StoreUnavailable as error:
        with atomic():
            alarms.raise_alarm(AlarmKind.STORE_FULL, facts={"reason": error.code})
        raise


def describe(file: File, prepared: files.Prepared) -> dict[str, Any]:
    return {
        "id": file.id,
        "kind": prepared.kind,
        "name": file.original_filename,
        "size": file.size_bytes,
        "seconds": file.duration_seconds,
        "note": _(prepared.note) if prepared.note else "",
        "url": file.url,
        "thumbnail": f"{file.url}/thumbnail" if file.thumbnail_path else "",
    }


@blueprint.post("/inbox/<int:chat_id>/files/<int:file_id>/send")
@requires("chats.reply", "files.upload")
def send(chat_id: int, file_id: int) -> ResponseReturnValue:
    """Queue an uploaded file as a message: its bubble with a clock."""
    form = AttachmentForm()
    scope = current_scope()
    with atomic():
        found = _load_own_chat(scope, chat_id)
        file = files.load_file(scope, file_id)
        if not form.validate_on_submit():
            raise Invalid(form.first_error)
        message = queue_file(
            found,
            file,
            author=db.session.get_one(User, scope.user_id),
            caption=form.caption.data or "",
            client_key=form.key,
            reply_to=find_quoted(found, form.reply_to.data),
        )
    return render_template("inbox/_bubble.html", bubble=inbox.find_bubble(message.id))


@blueprint.post("/inbox/<int:chat_id>/files/<int:file_id>/discard")
@requires("chats.reply", "files.upload")
def discard(chat_id: int, file_id: int) -> ResponseReturnValue:
    """Take back what was uploaded and not sent."""
    scope = current_scope()
    with atomic():
        load_chat(scope, chat_id)
        file = files.load_file(scope, file_id)
        if file.related_entity_id is not None:
            raise SentAlready
        files.delete_file(file)
    return "", 204


@blueprint.get("/inbox/<int:chat_id>/files")
@requires("chats.read", "files.read")
def index(chat_id: int) -> ResponseReturnValue:
    """What was sent and received in a chat: pictures and films, documents, sounds."""
    found = load_chat(current_scope(), chat_id)
    return render_template("inbox/_files.html", files=inbox.list_files(found), chat_id=found.id)


@blueprint.post("/inbox/<int:chat_id>/messages/<int:message_id>/fetch")
@requires("chats.read", "files.read")
def fetch_again(chat_id: int, message_id: int) -> ResponseReturnValue:
    """*Fetch again*: the file of a message that did not come."""
    with atomic():
        found = load_chat(current_scope(), chat_id)
        message = db.session.get(Message, message_id)
        if message is None or message.chat_id != found.id:
            raise NotFound
        claims.fetch_again(message, lease_seconds=current_app.config["CRM"].lease_seconds)
    if not wants_fragment():
        return redirect(url_for("inbox.chat", chat_id=chat_id))
    return render_template("inbox/_bubble.html", bubble=inbox.find_bubble(message_id))


def _load_own_chat(scope: Scope, chat_id: int) -> Chat:
    """A chat in which this person may write now. NotFound, NotYours."""
    found = load_chat(scope, chat_id)
    if found.status.is_open and not rights_in(found, scope).reply:
        raise NotYours
    return found
