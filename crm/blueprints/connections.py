"""A number's connection: steps two and three of adding one, *Test connection*, asking Meta anew."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, flash, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from crm.blueprints.htmx import go_to, wants_fragment
from crm.blueprints.kit import save_form, show_form
from crm.blueprints.numbers import prepared, put_sending, secrets
from crm.config import Config
from crm.db import atomic, db
from crm.errors import Invalid
from crm.forms.numbers import Credentials
from crm.models import Provider, WhatsappNumber
from crm.permissions import current_scope, requires
from crm.services import audit, check_words, connection_checks, number_health, numbers
from crm.services.connection_checks import Subject

blueprint = Blueprint("connections", __name__, url_prefix="/settings/numbers/<int:number_id>")


@blueprint.app_template_filter("check_words")
def words_of_check(check: dict[str, Any]) -> dict[str, str]:
    return check_words.say(check, translate=_)


@blueprint.get("/credentials")
@requires("numbers.read", "numbers.update")
def credentials(number_id: int) -> ResponseReturnValue:
    """Step two: what opens the number at its provider, and where to find it."""
    number = numbers.load_number(current_scope(), number_id)
    state = numbers.state_of(number)
    form = form_for(number, data=state)
    return show_form(
        "numbers/credentials.html", form, state=part(state, form), number=number, step=2
    )


@blueprint.post("/credentials")
@requires("numbers.read", "numbers.update")
def save_credentials(number_id: int) -> ResponseReturnValue:
    scope = current_scope()
    number = numbers.load_number(scope, number_id)
    form = form_for(number, data=numbers.state_of(number))
    return save_form(
        "numbers/credentials.html",
        form,
        kind="numbers",
        load=lambda: numbers.load_number(scope, number_id, lock=True),
        state_of=lambda row: part(numbers.state_of(row), form),
        write=lambda row, values: numbers.save_credentials(row, values, **secrets()),
        address=lambda row: url_for("connections.webhook", number_id=row.id),
        number=number,
        step=2,
    )


@blueprint.get("/webhook")
@requires("numbers.read", "numbers.update")
def webhook(number_id: int) -> ResponseReturnValue:
    """Step three: the address and the word for Meta's dashboard, and the test."""
    number = numbers.load_number(current_scope(), number_id)
    return render_template(
        "numbers/webhook.html",
        frame="settings/_page.html",
        area="settings",
        step=3,
        number=number,
        webhook_address=url_for("webhooks.verify_meta", _external=True),
        verify_token=numbers.open_verify_token(number, keys=config().encryption_keys),
        health=number_health.find_health(number.id),
    )


@blueprint.post("/test")
@requires("numbers.read", "numbers.connect")
def test(number_id: int) -> ResponseReturnValue:
    """Ask everything now. No transaction is open while Meta is asked."""
    subject = subject_of(number_id)
    db.session.remove()
    checks = connection_checks.run_checks(subject)
    with atomic():
        connection_checks.record(number_id, checks)
        audit.record("numbers.test", ("whatsapp_numbers", number_id))
    return result(number_id)


@blueprint.post("/subscribe")
@requires("numbers.read", "numbers.connect")
def subscribe(number_id: int) -> ResponseReturnValue:
    """Let the app get the account's deliveries, and test again."""
    subject = subject_of(number_id)
    db.session.remove()
    connection_checks.subscribe(subject)
    checks = connection_checks.run_checks(subject)
    with atomic():
        connection_checks.record(number_id, checks)
        audit.record("numbers.subscribe", ("whatsapp_numbers", number_id))
    return result(number_id)


@blueprint.post("/refresh")
@requires("numbers.read", "numbers.connect")
def refresh(number_id: int) -> ResponseReturnValue:
    """Quality, limit and name as Meta says them now."""
    number = numbers.load_number(current_scope(), number_id)
    asked = number_health.to_ask(
        number, keys=config().encryption_keys, graph_url=config().meta_graph_url
    )
    if number.provider != Provider.META or asked is None:
        raise Invalid("Write the phone number ID and the access token first.")
    db.session.remove()
    said = number_health.ask(asked)
    with atomic():
        number_health.apply(number_id, said)
        audit.record("numbers.refresh", ("whatsapp_numbers", number_id))
    flash(_("Asked Meta just now."))
    return go_to(url_for("numbers.edit", number_id=number_id))


@blueprint.post("/pause")
@requires("numbers.read", "numbers.update")
def pause(number_id: int) -> ResponseReturnValue:
    """Nothing leaves until somebody resumes; what is written waits."""
    set_sending(number_id, paused=True)
    flash(_("Sending is paused. What is written waits."))
    return go_to(url_for("numbers.edit", number_id=number_id))


@blueprint.post("/resume")
@requires("numbers.read", "numbers.update")
def resume(number_id: int) -> ResponseReturnValue:
    """Ends a pause; a number that its provider refused tries again at once."""
    set_sending(number_id, paused=False)
    flash(_("Sending goes on."))
    return go_to(url_for("numbers.edit", number_id=number_id))


def set_sending(number_id: int, *, paused: bool) -> None:
    with atomic():
        number = numbers.load_number(current_scope(), number_id, lock=True)
        put_sending(number, {"sending_paused": paused}, {})


def result(number_id: int) -> ResponseReturnValue:
    """What came of the test: the list alone for the page that asked, the page for others."""
    if not wants_fragment():
        return go_to(url_for("connections.webhook", number_id=number_id))
    number = numbers.load_number(current_scope(), number_id)
    health = number_health.find_health(number_id)
    return render_template("numbers/_checks.html", number=number, health=health)


def subject_of(number_id: int) -> Subject:
    settings = config()
    is_secure = request.is_secure or settings.https
    return connection_checks.prepare(
        numbers.load_number(current_scope(), number_id),
        keys=settings.encryption_keys,
        graph_url=settings.meta_graph_url,
        shared_secrets=settings.meta_app_secrets,
        is_secure=is_secure,
    )


def form_for(number: WhatsappNumber, *, data: dict[str, Any]) -> Credentials:
    form = prepared(Credentials(data=data), number)
    form.kind = str(number.provider)
    return form


def part(state: dict[str, Any], form: Credentials) -> dict[str, Any]:
    """Only what this form holds: its version must not speak of the rest."""
    return {name: value for name, value in state.items() if name in form}


def config() -> Config:
    found: Config = current_app.config["CRM"]
    return found
