"""What people do with a chat by hand: close, put aside, pass on, assign, accept an offer.

Each dialog is a page of its own without JavaScript, and a `<dialog>` where static/js/dialogs.js
asks for it as a fragment.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import (
    Blueprint,
    Response,
    current_app,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from crm.blueprints.htmx import wants_fragment
from crm.db import atomic, db, retrying
from crm.errors import DomainError
from crm.extensions import htmx
from crm.forms.chats import (
    CLOSE_WORDS,
    OUTCOME_WORDS,
    TRANSFER_REASONS,
    AssignForm,
    CloseForm,
    PassOnForm,
    SnoozeForm,
    snooze_presets,
)
from crm.forms.kit import AdminForm
from crm.models import Campaign, Chat, PendingReason, User
from crm.permissions import Scope, current_scope, load_chat, requires
from crm.services import chats, routing
from crm.services.routing import handover
from crm.services.settings import read_settings

blueprint = Blueprint("chats", __name__, url_prefix="/inbox")


@blueprint.app_template_filter("close_word")
def close_word(code: str | None) -> str:
    return str(CLOSE_WORDS.get(code or "", code or ""))


@blueprint.app_template_filter("outcome_word")
def outcome_word(code: str | None) -> str:
    return str(OUTCOME_WORDS.get(code or "", code or ""))


@blueprint.app_template_filter("transfer_word")
def transfer_word(code: str | None) -> str:
    return str(dict(TRANSFER_REASONS).get(code or "", code or ""))


# Closing


@blueprint.get("/<int:chat_id>/close")
@requires("chats.close")
def ask_close(chat_id: int) -> ResponseReturnValue:
    chat = load_own(chat_id)
    return show_dialog("chats/close.html", close_form(chat), chat)


@blueprint.post("/<int:chat_id>/close")
@requires("chats.close")
def close(chat_id: int) -> ResponseReturnValue:
    chat = load_own(chat_id)
    form = close_form(chat)

    def act() -> None:
        handover.close_by_hand(load_own(chat_id), actor=me(), **close_values(form))

    return submit("chats/close.html", form, chat, act)


def close_form(chat: Chat) -> CloseForm:
    campaign = db.session.get_one(Campaign, chat.campaign_id)
    form = CloseForm()
    held = read_settings("chats.close_reasons", "chats.outcomes")
    reasons = campaign.close_reasons or held["chats.close_reasons"]
    outcomes = campaign.outcomes or held["chats.outcomes"]
    form.offer(
        [(code, close_word(code)) for code in reasons],
        [(code, outcome_word(code)) for code in outcomes],
    )
    form.outcome_required = campaign.outcome_required
    return form


def close_values(form: CloseForm) -> dict[str, Any]:
    names = ("reason", "notes", "outcome", "outcome_value")
    return {name: form[name].data for name in names}


# Putting aside


@blueprint.get("/<int:chat_id>/snooze")
@requires("chats.reply")
def ask_snooze(chat_id: int) -> ResponseReturnValue:
    chat = load_own(chat_id)
    form, presets = snooze_form()
    return show_dialog("chats/snooze.html", form, chat, presets=presets)


@blueprint.post("/<int:chat_id>/snooze")
@requires("chats.reply")
def snooze(chat_id: int) -> ResponseReturnValue:
    chat = load_own(chat_id)
    form, presets = snooze_form()

    def act() -> None:
        moments = {code: at for code, _words, at in presets}
        until = form.moment if form.until.data == "custom" else moments.get(form.until.data)
        reason = PendingReason.CUSTOMER if until is None else PendingReason.SNOOZED
        chat = load_own(chat_id)
        chats.set_pending(chat, actor=me(), reason=reason, until=until, note=form.note.data)
        if form.note.data:
            chats.add_note(chat, current_user.id, form.note.data)

    return submit("chats/snooze.html", form, chat, act, presets=presets)


def snooze_form() -> tuple[SnoozeForm, list[tuple[str, Any, datetime]]]:
    form = SnoozeForm()
    form.zone = ZoneInfo(current_user.time_zone or current_app.config["CRM"].default_time_zone)
    presets = snooze_presets(datetime.now(form.zone))
    words = [(code, words) for code, words, _at in presets]
    form.until.choices = [*words, ("customer", ""), ("custom", "")]
    if form.until.data is None:
        form.until.data = presets[0][0]
    return form, presets


@blueprint.post("/<int:chat_id>/resume")
@requires("chats.reply")
def resume(chat_id: int) -> ResponseReturnValue:
    """Go on with a chat that was put aside."""
    return act_on(
        lambda: chats.resume_chat(load_own(chat_id), actor=me(), reason="resumed"), chat_id
    )


# Passing on


@blueprint.get("/<int:chat_id>/transfer")
@requires("chats.transfer")
def ask_transfer(chat_id: int) -> ResponseReturnValue:
    chat = load_own(chat_id)
    form, values = pass_on_form(chat)
    return show_dialog("chats/transfer.html", form, chat, **values)


@blueprint.post("/<int:chat_id>/transfer")
@requires("chats.transfer")
def transfer(chat_id: int) -> ResponseReturnValue:
    chat = load_own(chat_id)
    form, values = pass_on_form(chat)
    even_if_away = current_scope().can("chats.assign")

    def act() -> None:
        chat = load_own(chat_id)
        told: dict[str, Any] = {"actor": me(), "reason": form.reason.data, "note": form.note.data}
        target = form.target or 0
        if form.kind.data == "queue":
            handover.transfer_to_queue(chat, target, **told)
        elif form.kind.data == "campaign":
            handover.transfer_to_campaign(chat, target, **told)
        else:
            handover.transfer_to_person(chat, target, even_if_away=even_if_away, **told)

    return submit("chats/transfer.html", form, chat, act, **values)


def pass_on_form(chat: Chat) -> tuple[PassOnForm, dict[str, Any]]:
    form = PassOnForm()
    receivers = handover.list_receivers(chat.campaign_id, but={chat.assigned_agent_id or 0})
    queues = handover.list_queues(chat.campaign_id)
    campaigns = handover.list_campaigns(but=chat.campaign_id)
    form.person.offer([(each.id, each.name) for each in receivers])
    form.queue.offer([(each.id, each.name) for each in queues])
    form.campaign.offer([(each.id, each.name) for each in campaigns])
    seconds = read_settings("routing.offer_seconds")["routing.offer_seconds"]
    return form, {
        "receivers": receivers,
        "may_choose_away": current_scope().can("chats.assign"),
        "offer_seconds": seconds,
        "is_owned": chat.assigned_agent_id is not None,
    }


@blueprint.get("/<int:chat_id>/assign")
@requires("chats.assign")
def ask_assign(chat_id: int) -> ResponseReturnValue:
    chat = load_chat(current_scope(), chat_id)
    form, receivers = assign_form(chat)
    return show_dialog("chats/assign.html", form, chat, receivers=receivers)


@blueprint.post("/<int:chat_id>/assign")
@requires("chats.assign")
def assign(chat_id: int) -> ResponseReturnValue:
    """Give the chat to somebody at once: who may assign need not ask."""
    chat = load_chat(current_scope(), chat_id)
    form, receivers = assign_form(chat)

    def act() -> None:
        handover.assign_to_person(
            load_chat(current_scope(), chat_id),
            form.person.data,
            actor=me(),
            reason=form.reason.data or "by_hand",
            note=form.note.data,
        )

    return submit("chats/assign.html", form, chat, act, receivers=receivers)


def assign_form(chat: Chat) -> tuple[AssignForm, list[handover.Receiver]]:
    form = AssignForm()
    receivers = handover.list_receivers(chat.campaign_id, but={chat.assigned_agent_id or 0})
    form.person.offer([(each.id, each.name) for each in receivers])
    return form, receivers


# Offers


@blueprint.get("/offers")
@requires("chats.reply")
def offers() -> ResponseReturnValue:
    """What is offered to me now, with the seconds that are left."""
    return render_template("chats/_offers.html", offers=routing.list_offers(current_user.id))


@blueprint.post("/<int:chat_id>/accept")
@requires("chats.reply")
def accept(chat_id: int) -> ResponseReturnValue:
    return act_on(lambda: chats.accept_offer(load_chat(current_scope(), chat_id), mine()), chat_id)


@blueprint.post("/<int:chat_id>/decline")
@requires("chats.reply")
def decline(chat_id: int) -> ResponseReturnValue:
    return act_on(lambda: chats.decline_offer(load_chat(current_scope(), chat_id), mine()), None)


@blueprint.post("/<int:chat_id>/withdraw")
@requires("chats.transfer")
def withdraw(chat_id: int) -> ResponseReturnValue:
    return act_on(
        lambda: chats.withdraw_offer(load_chat(current_scope(), chat_id), mine()), chat_id
    )


# The answer to "why is nobody taking this?"


@blueprint.get("/<int:chat_id>/why")
@requires("chats.read")
def why(chat_id: int) -> ResponseReturnValue:
    """Who would get this chat now, and what keeps the others; `?all=1` names everybody.

    `?event=`: everybody at one of its decisions, whose receipt names ten and ten.
    """
    chat = load_chat(current_scope(), chat_id)
    event = request.args.get("event", "")
    if event.isascii() and event.isdigit() and len(event) < 19:
        past = routing.explain_past(chat, int(event))
        return render_template("chats/why_then.html", frame=frame(), chat=chat, past=past)
    everybody = request.args.get("all") == "1"
    answer = routing.explain_wait(chat, everybody=everybody)
    return render_template(
        "chats/why.html", frame=frame(), chat=chat, answer=answer, everybody=everybody
    )


# The same few steps of every dialog


def me() -> chats.Actor:
    return chats.person(current_user.id)


def mine() -> User:
    return db.session.get_one(User, current_user.id)


def load_own(chat_id: int) -> Chat:
    """A chat that this person may move: their own, or any they see if they may assign."""
    scope = current_scope()
    chat = load_chat(scope, chat_id)
    if not may_move(chat, scope):
        raise chats.IllegalMove("This chat is not yours.")
    return chat


def may_move(chat: Chat, scope: Scope) -> bool:
    return chat.assigned_agent_id == scope.user_id or scope.can("chats.assign")


def frame() -> str:
    return "chats/_dialog.html" if wants_fragment() else "chats/_page.html"


def show_dialog(
    template: str, form: AdminForm, chat: Chat, *, status: int = 200, **values: Any
) -> Response:
    client = chat.client
    html = render_template(
        template, frame=frame(), form=form, chat=chat, client=client, area="inbox", **values
    )
    return make_response(html, status)


def submit(
    template: str, form: AdminForm, chat: Chat, act: Callable[[], None], **values: Any
) -> ResponseReturnValue:
    """Do it in one transaction; what is wrong comes back as the dialog, with what was typed."""
    if not form.validate_on_submit():
        return show_dialog(template, form, chat, status=422, error=None, **values)

    def unit() -> None:
        with atomic():
            act()

    try:
        retrying(unit)
    except DomainError as error:
        if error.http_status not in (404, 409, 422):
            raise
        db.session.rollback()
        words = _(error.message, **error.values)
        return show_dialog(template, form, chat, status=422, error=words, **values)
    return done(chat.id)


def act_on(act: Callable[[], Any], chat_id: int | None) -> ResponseReturnValue:
    def unit() -> None:
        with atomic():
            act()

    retrying(unit)
    return done(chat_id)


def done(chat_id: int | None) -> ResponseReturnValue:
    """The page fetches what it shows; without JavaScript it is sent there."""
    if htmx:
        return "", 204
    return redirect(url_for("inbox.chat", chat_id=chat_id) if chat_id else url_for("inbox.page"))
