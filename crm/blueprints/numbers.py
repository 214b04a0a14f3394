"""WhatsApp numbers in the settings."""

from __future__ import annotations

from typing import Any, TypeVar

import click
from flask import Blueprint, current_app, url_for
from flask.typing import ResponseReturnValue

from crm.blueprints.kit import delete_row, list_query, save_form, show_form, show_list
from crm.db import atomic
from crm.forms.numbers import (
    PROPOSED,
    PROVIDER_WORDS,
    STATUS_WORDS,
    Credentials,
    Identity,
    NumberForm,
    NumberPreferences,
)
from crm.models import NumberStatus, Provider, WhatsappNumber
from crm.permissions import current_scope, requires
from crm.services import campaigns, number_figures, number_health, numbers, settings
from crm.services.kit import find_last_changes

Secretive = TypeVar("Secretive", bound=Credentials)

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
    figures = number_figures.find_figures([number.id for number, _names in page.rows])
    return show_list("numbers/list.html", query=query, page=page, figures=figures)


@blueprint.get("/new")
@requires("numbers.create")
def new() -> ResponseReturnValue:
    """Step one of three; the others are in connections.py."""
    return show_form("numbers/new.html", Identity(), step=1, number=None)


@blueprint.post("/new")
@requires("numbers.create")
def create() -> ResponseReturnValue:
    form = Identity()
    config = current_app.config["CRM"]

    def write(_row: Any, values: dict[str, Any]) -> WhatsappNumber:
        pace, limit = PROPOSED[values["provider"]]
        return numbers.begin_number(
            values,
            created_by=current_scope().user_id,
            pace=pace,
            limit=limit,
            keys=config.encryption_keys,
        )

    return save_form(
        "numbers/new.html",
        form,
        kind="numbers",
        state_of=numbers.state_of,
        write=write,
        address=lambda row: url_for("connections.credentials", number_id=row.id),
        step=1,
        number=None,
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


@blueprint.get("/preferences")
@requires("numbers.read", "settings.read")
def preferences() -> ResponseReturnValue:
    """What holds for all numbers."""
    state = read_preferences()
    form = NumberPreferences(data=state)
    return show_form("numbers/preferences.html", form, state=state)


@blueprint.post("/preferences")
@requires("numbers.read", "settings.update")
def save_preferences() -> ResponseReturnValue:
    def write(row: Any, values: dict[str, Any]) -> Any:
        settings.write_settings({f"numbers.{name}": value for name, value in values.items()})
        return row

    return save_form(
        "numbers/preferences.html",
        NumberPreferences(data=read_preferences()),
        kind="settings",
        load=lambda: ("settings", None),
        state_of=lambda _row: read_preferences(),
        write=write,
        address=lambda _row: url_for("numbers.index"),
    )


def read_preferences() -> dict[str, Any]:
    found = settings.read_settings("numbers.free_messages", "numbers.silent_hours")
    return {name.removeprefix("numbers."): value for name, value in found.items()}


def address(number: WhatsappNumber) -> str:
    return url_for("numbers.edit", number_id=number.id)


def secrets() -> dict[str, Any]:
    config = current_app.config["CRM"]
    return {"keys": config.encryption_keys, "trusted_hosts": config.trusted_hosts}


def prepared(form: Secretive, number: WhatsappNumber) -> Secretive:
    """The form knows which secrets are stored, never what they are."""
    for name in numbers.SECRETS:
        form[name].is_set = bool(getattr(number, name))
    return form


def around(number: WhatsappNumber) -> dict[str, Any]:
    return {
        "number": number,
        "change": find_last_changes("whatsapp_numbers", [number.id]).get(number.id),
        "proposed": PROPOSED,
        "webhook_address": url_for("webhooks.verify_meta", _external=True),
        "figures": number_figures.find_figures([number.id])[number.id],
        "health": number_health.find_health(number.id),
        "linked": campaigns.find_linked_campaigns(number.id),
        "free_messages": settings.read_setting("numbers.free_messages"),
        "tiers": number_health.TIERS,
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
