"""Many chats moved at once by who may assign, and taking that back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Blueprint, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from crm.blueprints.bulk import read_token, signer
from crm.blueprints.chat_list import asked_list
from crm.blueprints.chats import frame, me
from crm.blueprints.htmx import wants_fragment
from crm.db import atomic, db, retrying
from crm.errors import DomainError
from crm.forms.chats import ReassignForm
from crm.models import Chat
from crm.permissions import current_scope, load_chat, requires
from crm.services import chats
from crm.services.routing import handover

blueprint = Blueprint("reassigning", __name__, url_prefix="/inbox")
T = TypeVar("T")
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
    stayed: list[Stayed] = []

    def move(chat: Chat) -> tuple[int, int]:
        before = chats.find_last_move(chat)
        handover.move_chat_to(chat, form.target.data, actor=me(), note=form.note.data)
        event_id = chats.find_last_move(chat)
        if event_id is None or event_id == before:
            raise chats.IllegalMove("They have this chat already.")
        return chat.id, event_id

    done = [try_one(chat_id, move, stayed) for chat_id in chosen]
    moves = [each for each in done if each is not None]
    token = signer(KIND).dumps(moves) if moves else None
    return tell("moved", len(moves), stayed, token=token)


@blueprint.post("/reassign/undo")
@requires("chats.assign")
def undo() -> ResponseReturnValue:
    """Each chat back to where it stood; those with which somebody went on stay, and are named."""
    moves = dict(read_token(KIND, request.form.get("token", "")))
    stayed: list[Stayed] = []

    def put_back(chat: Chat) -> int:
        return chats.put_back(chat, moves[chat.id], actor=me()).id

    done = [try_one(chat_id, put_back, stayed) for chat_id in sorted(moves)]
    return tell("put_back", sum(each is not None for each in done), stayed)


def try_one(chat_id: int, act: Callable[[Chat], T], stayed: list[Stayed]) -> T | None:
    """Do it in a transaction of its own; what stops it is kept in words, and the answer is None."""
    case_number = ""

    def unit() -> T:
        nonlocal case_number
        with atomic():
            chat = load_chat(current_scope(), chat_id)
            case_number = chat.case_number
            return act(chat)

    try:
        return retrying(unit)
    except DomainError as error:
        db.session.rollback()
        stayed.append(Stayed(case_number, _(error.message, **error.values)))
        return None


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
