"""WhatsApp numbers in the settings."""

from __future__ import annotations

from typing import Any

import click
from flask import Blueprint, current_app, url_for
from flask.typing import ResponseReturnValue

from crm.blueprints.kit import delete_row, list_query, save_form, show_form, show_list
from crm.db import atomic
from crm.forms.numbers import PROPOSED, PROVIDER_WORDS, STATUS_WORDS, NumberForm
from crm.models import NumberStatus, Provider, WhatsappNumber
from crm.permissions import current_scope, requires
from crm.services import numbers
from crm.services.kit import find_last_changes

# `flask secrets rotate` lives here too: the secrets are the numbers'.
blueprint = Blueprint("numbers", __name__, url_prefix="/settings/numbers", cli_group="secrets")


@blueprint.app_context_processor
def number_words() -> dict[str, object]:
    return {"number_status_words": STATUS_WORDS, "provider_words": PROVIDER_WORDS}


@blueprint.get("")
@requires("numbers.read")
def index() -> ResponseReturnValue:
    query = list_query(
        filters={
            "status": [status.value for status in NumberStatus],
            "provider": [provider.value for provider in Provider],
        },
        sorts=("name", "phone", "last"),
    )
    page = numbers.find_numbers(current_scope(), query)
    return show_list("numbers/list.html", query=query, page=page)


@blueprint.get("/new")
@requires("numbers.create")
def new() -> ResponseReturnValue:
    form = prepared(NumberForm(), None)
    form.propose()
    return show_form("numbers/form.html", form, **around(None))


@blueprint.post("/new")
@requires("numbers.create")
def create() -> ResponseReturnValue:
    return save_form(
        "numbers/form.html",
        prepared(NumberForm(), None),
        kind="numbers",
        state_of=numbers.state_of,
        write=lambda _row, values: numbers.create_number(
            values, created_by=current_scope().user_id, **secrets()
        ),
        address=address,
        **around(None),
    )


@blueprint.get("/<int:number_id>")
@requires("numbers.read")
def edit(number_id: int) -> ResponseReturnValue:
    number = numbers.load_number(current_scope(), number_id)
    state = numbers.state_of(number)
    form = prepared(NumberForm(data=state), number)
    return show_form("numbers/form.html", form, state=state, **around(number))


@blueprint.post("/<int:number_id>")
@requires("numbers.update")
def save(number_id: int) -> ResponseReturnValue:
    scope = current_scope()
    number = numbers.load_number(scope, number_id)
    return save_form(
        "numbers/form.html",
        prepared(NumberForm(data=numbers.state_of(number)), number),
        kind="numbers",
        load=lambda: numbers.load_number(scope, number_id, lock=True),
        state_of=numbers.state_of,
        write=lambda row, values: numbers.update_number(row, values, **secrets()),
        address=address,
        **around(number),
    )


@blueprint.post("/<int:number_id>/delete")
@requires("numbers.delete")
def delete(number_id: int) -> ResponseReturnValue:
    scope = current_scope()
    return delete_row(
        kind="numbers",
        load=lambda: numbers.load_number(scope, number_id, lock=True),
        state_of=numbers.state_of,
        name_of=lambda number: number.phone_number,
        delete=numbers.delete_number,
        address=url_for("numbers.index"),
    )


def address(number: WhatsappNumber) -> str:
    return url_for("numbers.edit", number_id=number.id)


def secrets() -> dict[str, Any]:
    config = current_app.config["CRM"]
    return {"keys": config.encryption_keys, "trusted_hosts": config.trusted_hosts}


def prepared(form: NumberForm, number: WhatsappNumber | None) -> NumberForm:
    """The form knows which secrets are stored, never what they are."""
    for name in numbers.SECRETS:
        form[name].is_set = bool(number and getattr(number, name))
    return form


def around(number: WhatsappNumber | None) -> dict[str, Any]:
    changes = find_last_changes("whatsapp_numbers", [number.id]) if number else {}
    return {
        "number": number,
        "change": changes.get(number.id) if number else None,
        "proposed": PROPOSED,
        "webhook_address": url_for("webhooks.verify_meta", _external=True),
    }


@blueprint.cli.command("rotate")
def rotate_secrets() -> None:
    """Encrypt everything anew with the first of CRM_ENCRYPTION_KEYS; then the old keys may go."""
    with atomic():
        done, closed = numbers.rotate_secrets(current_app.config["CRM"].encryption_keys)
    click.echo(f"Encrypted anew: {done}")
    for place in closed:
        click.echo(f"No key opens: {place}")
    if closed:
        raise SystemExit(1)
