"""Many chats moved at once by who may assign, and taking that back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from crm.blueprints.bulk import read_token, signer
from crm.blueprints.chats import frame, me
from crm.blueprints.htmx import wants_fragment
from crm.blueprints.inbox import asked_list
from crm.db import atomic, db, retrying
from crm.errors import DomainError
from crm.forms.chats import ReassignForm
from crm.models import Chat
from crm.permissions import current_scope, load_chat, requires
from crm.services import chats
from crm.services.routing import handover

blueprint = Blueprint("reassigning", __name__, url_prefix="/inbox")
MOST = 200
KIND = "chats"


@dataclass(frozen=True)
class Stayed:
    """A chat that did not move, and why, in words."""

    case_number: str
    why: str


@blueprint.get("/reassign")
@requires("chats.assign")
def ask_reassign() -> ResponseReturnValue:
    """The open chats of the list as its address filters it."""
    return show(ReassignForm())


@blueprint.post("/reassign")
@requires("chats.assign")
def reassign() -> ResponseReturnValue:
    """Each chat by itself: one that somebody else moved meanwhile stops no other."""
    form = ReassignForm()
    offer(form)
    chosen = sorted({int(text) for text in request.form.getlist("chats") if is_id(text)})[:MOST]
    if not form.validate_on_submit():
        return show(form, chosen=chosen, status=422)
    if not chosen:
        return show(form, error=_("Mark the chats that are to move."), status=422)
    moves: list[tuple[int, int]] = []
    stayed: list[Stayed] = []

    def move(chat: Chat) -> None:
        before = chats.find_last_move(chat)
        handover.move_chat_to(chat, form.target.data, actor=me(), note=form.note.data)
        event_id = chats.find_last_move(chat)
        if event_id is not None and event_id != before:
            moves.append((chat.id, event_id))

    for chat_id in chosen:
        try_one(chat_id, move, stayed)
    token = signer(KIND).dumps(moves) if moves else None
    return tell("moved", len(moves), stayed, token=token)


@blueprint.post("/reassign/undo")
@requires("chats.assign")
def undo() -> ResponseReturnValue:
    """Each chat back to where it stood; those with which somebody went on stay, and are named."""
    moves = dict(read_token(KIND, request.form.get("token", "")))
    done: list[int] = []
    stayed: list[Stayed] = []

    def put_back(chat: Chat) -> None:
        chats.put_back(chat, moves[chat.id], actor=me())
        done.append(chat.id)

    for chat_id in sorted(moves):
        try_one(chat_id, put_back, stayed)
    return tell("put_back", len(done), stayed)


def try_one(chat_id: int, act: Any, stayed: list[Stayed]) -> None:
    """Do it in a transaction of its own; what stops it is kept in words."""
    case_number = ""

    def unit() -> None:
        nonlocal case_number
        with atomic():
            chat = load_chat(current_scope(), chat_id)
            case_number = chat.case_number
            act(chat)

    try:
        retrying(unit)
    except DomainError as error:
        db.session.rollback()
        stayed.append(Stayed(case_number, _(error.message, **error.values)))


def tell(
    deed: str, count: int, stayed: list[Stayed], *, token: str | None = None
) -> ResponseReturnValue:
    """What was done, with its Undo; a line over the page, or a page of its own without script."""
    around = "chats/_said.html" if wants_fragment() else "chats/_page.html"
    return render_template(
        "chats/reassigned.html",
        frame=around,
        deed=deed,
        count=count,
        stayed=stayed,
        token=token,
        area="inbox",
    )


def show(
    form: ReassignForm,
    *,
    chosen: list[int] | None = None,
    error: str | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    offer(form)
    page, query = asked_list(limit=MOST)
    rows = [row for row in page.rows if row.status.is_open]
    values: dict[str, Any] = {"rows": rows, "query": query, "chosen": chosen or [], "error": error}
    return make_response(
        render_template("chats/reassign.html", frame=frame(), form=form, area="inbox", **values),
        status,
    )


def offer(form: ReassignForm) -> None:
    people, queues = handover.list_targets(current_scope().campaign_ids, all_of_them=reaches_all())
    form.target.choices = [
        ("spread", _("Spread: whoever is next")),
        *((f"person:{each.id}", each.name) for each in people),
        *((f"queue:{each.id}", _("Queue %(name)s", name=each.name)) for each in queues),
    ]
    form.target.data = form.target.data or "spread"


def reaches_all() -> bool:
    return current_scope().sees_everything


def is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
