"""*New chat*: whom, from which campaign, with which template."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.datastructures import MultiDict

from crm.blueprints.compose import chosen_file
from crm.blueprints.media import take_upload
from crm.blueprints.uploads import takes_file
from crm.db import atomic, db
from crm.errors import DomainError, Forbidden, Invalid
from crm.models import Chat, Client, User
from crm.permissions import current_scope, requires, visible_chats
from crm.services import files, number_states, starting, templates
from crm.services.inbox.naming import ClientName, name_client

blueprint = Blueprint("start", __name__, url_prefix="/inbox/new")


@blueprint.get("")
@requires("chats.start", "clients.read")
def dialog() -> ResponseReturnValue:
    return _first_step({})


@blueprint.get("/clients")
@requires("chats.start", "clients.read")
def find_clients() -> ResponseReturnValue:
    """Customers that match what is typed."""
    text = " ".join(request.args.get("q", "").replace("\x00", "").split())[:100]
    names = [_name(client) for client in (starting.find_clients(text) if len(text) > 1 else [])]
    return render_template("start/_clients.html", clients=names)


@blueprint.post("/who")
@requires("chats.start", "clients.read")
def choose_client() -> ResponseReturnValue:
    """The second step: the open chat, if there is one, or the templates to begin with."""
    scope, values = current_scope(), request.form
    try:
        with atomic():
            client_id = values.get("client_id", type=int)
            if client_id is None:
                if not scope.can("clients.create"):
                    raise Forbidden
                client_id = starting.add_client(
                    values.get("phone", ""),
                    first_name=values.get("first_name", ""),
                    created_by=scope.user_id,
                ).id
            ahead = starting.look_ahead(
                scope, client_id=client_id, campaign_id=values.get("campaign_id", type=int) or 0
            )
            if ahead.open_chat_id is not None:
                return _open(ahead.open_chat_id)
            return render_template(
                "start/templates.html",
                ahead=ahead,
                state=number_states.find_states([ahead.number.id])[ahead.number.id],
                who=_name(ahead.client),
                key=uuid.uuid4(),
                templates=templates.find_sendable(ahead.number.id),
            )
    except Invalid as error:
        db.session.rollback()
        return make_response(_first_step(values, _(error.message, **error.values)), 422)


@blueprint.get("/template")
@requires("chats.start", "clients.read", "templates.send")
def template() -> ResponseReturnValue:
    """The third step: the template's blanks. An address without its parts begins anew."""
    template_id = request.args.get("template_id", type=int)
    if template_id is None:
        return _first_step({})
    return _template_step(template_id, request.args)


@blueprint.post("")
@requires("chats.start", "clients.read")
def start() -> ResponseReturnValue:
    """Begin it: the address of the chat, or the dialog with what is wrong."""
    scope, values = current_scope(), request.form
    template_id = values.get("template_id", type=int)
    if template_id is not None and not scope.can("templates.send"):
        raise Forbidden
    try:
        with atomic():
            chat = starting.start_chat(
                scope,
                user=db.session.get_one(User, scope.user_id),
                client_id=values.get("client_id", type=int) or 0,
                campaign_id=values.get("campaign_id", type=int) or 0,
                template_id=template_id,
                values=values,
                client_key=_key(values),
                file=chosen_file(values),
            )
            chat_id = chat.id
    except DomainError as error:
        if template_id is None or error.http_status not in (409, 422):
            raise
        db.session.rollback()
        words = _(error.message, **error.values)
        return make_response(_template_step(template_id, values, words), 422)
    return _open(chat_id)


@blueprint.post("/files")
@requires("chats.start", "files.upload")
@takes_file(files.MESSAGE.most_bytes)
def upload() -> ResponseReturnValue:
    """The header's file of the template with which a chat is to begin."""
    return take_upload(current_scope())


def _open(chat_id: int) -> ResponseReturnValue:
    """Where the chat is, for the page to show; words where it is somebody else's."""
    scope = current_scope()
    seen = db.session.scalar(select(Chat.id).where(Chat.id == chat_id, visible_chats(scope)))
    if seen is None:
        chat = db.session.get_one(Chat, chat_id)
        agent = chat.assigned_agent.full_name if chat.assigned_agent else "—"
        raise starting.OfSomebodyElse(agent=agent)
    return {"chat": f"/inbox/{chat_id}"}


def _first_step(values: Mapping[str, Any], error: str = "") -> str:
    return render_template(
        "start/who.html",
        campaigns=starting.find_campaigns(current_scope()),
        may_add=current_scope().can("clients.create"),
        values=values,
        error=error,
        key=uuid.uuid4(),
    )


def _template_step(
    template_id: int, values: MultiDict[str, str], error: str = ""
) -> ResponseReturnValue:
    ahead = starting.look_ahead(
        current_scope(),
        client_id=values.get("client_id", type=int) or 0,
        campaign_id=values.get("campaign_id", type=int) or 0,
    )
    chosen = templates.load_for_number(ahead.number.id, template_id)
    guessed = templates.guess_for(chosen, client=ahead.client)
    return render_template(
        "start/template.html",
        ahead=ahead,
        who=_name(ahead.client),
        template=chosen,
        blanks=templates.blanks_of(chosen),
        values={**guessed, **{key: value for key, value in values.items() if value}},
        error=error,
        key=values.get("client_key") or uuid.uuid4(),
    )


def _name(client: Client) -> ClientName:
    """As this person may see them."""
    return name_client(
        client_id=client.id,
        first_name=client.first_name,
        last_name=client.last_name,
        phone_number=client.phone_number,
        phones_visible=current_scope().can("clients.view_phone"),
    )


def _key(values: Mapping[str, Any]) -> uuid.UUID:
    try:
        return uuid.UUID(str(values.get("client_key", ""))[:60])
    except ValueError:
        raise Invalid("Reload the page and send it again.") from None
