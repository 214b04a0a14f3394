"""WhatsApp numbers in the settings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

import click
from flask import Blueprint, current_app, url_for
from flask.typing import ResponseReturnValue
from flask_babel import format_decimal
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm.blueprints.areas import Area
from crm.blueprints.bulk import Deed, Rows
from crm.blueprints.kit import list_query, save_form, show_form, show_list
from crm.db import atomic
from crm.forms.numbers import (
    PROPOSED,
    PROVIDER_WORDS,
    STATUS_WORDS,
    VERDICT_WORDS,
    Credentials,
    Identity,
    NumberForm,
    NumberPreferences,
)
from crm.models import Alarm, AuditLog, Provider, WhatsappNumber
from crm.permissions import current_scope, requires
from crm.services import (
    alarms,
    audit,
    campaigns,
    number_figures,
    number_health,
    number_states,
    numbers,
    sending,
    settings,
)
from crm.services.alarms.words import BRIEF
from crm.services.number_states import NumberState, Verdict

Secretive = TypeVar("Secretive", bound=Credentials)

# `flask secrets rotate` lives here too: the secrets are the numbers'.
blueprint = Blueprint("numbers", __name__, url_prefix="/settings/numbers", cli_group="secrets")


class Numbers(Area[WhatsappNumber]):
    kind, thing, form = "numbers", "number", NumberForm
    deeds = {
        "resume": Deed(_l("Resume sending"), {"sending_paused": False}),
        "pause": Deed(_l("Pause sending"), {"sending_paused": True}),
    }
    state_of = staticmethod(numbers.state_of)
    remove = staticmethod(numbers.delete_number)

    def load(self, row_id: int, *, lock: bool = False) -> WhatsappNumber:
        return numbers.load_number(current_scope(), row_id, lock=lock)

    def name_of(self, row: WhatsappNumber) -> str:
        return row.display_name or row.phone_number

    def change(self, row: WhatsappNumber, values: dict[str, Any]) -> WhatsappNumber:
        return numbers.update_number(row, values, **secrets())

    def rows(self) -> Rows:
        """Many at once: whether they send, which is none of the form's fields."""
        return Rows(
            kind="numbers",
            load=self.load_to_change,
            state_of=sending.state_of,
            name_of=self.name_of,
            put=put_sending,
        )

    def new(self) -> ResponseReturnValue:
        """Step one of three; the others are in connections.py."""
        return show_form("numbers/new.html", Identity(), step=1, number=None)

    def create(self) -> ResponseReturnValue:
        return save_form(
            "numbers/new.html",
            Identity(),
            kind="numbers",
            state_of=numbers.state_of,
            write=lambda _row, values: self.make(values),
            address=lambda row: url_for("connections.credentials", number_id=row.id),
            step=1,
            number=None,
        )

    def make(self, values: dict[str, Any]) -> WhatsappNumber:
        pace, limit = PROPOSED[values["provider"]]
        return numbers.begin_number(
            values,
            created_by=current_scope().user_id,
            pace=pace,
            limit=limit,
            keys=current_app.config["CRM"].encryption_keys,
        )

    def prepared(self, form: NumberForm, row: WhatsappNumber | None) -> NumberForm:
        return prepared(form, row) if row else form

    def around(self, row: WhatsappNumber | None) -> dict[str, Any]:
        if row is None:
            return {}
        return {
            "proposed": PROPOSED,
            "webhook_address": url_for("webhooks.verify_meta", _external=True),
            "figures": number_figures.find_figures([row.id])[row.id],
            "health": number_health.find_health(row.id),
            "number_state": number_states.find_states([row.id])[row.id],
            "alarms": _open_alarms(row.id),
            "linked": campaigns.find_linked_campaigns(row.id),
            "free_messages": settings.read_setting("numbers.free_messages"),
            "tiers": {tier: format_tier(people) for tier, people in number_health.TIERS.items()},
        }


def _open_alarms(number_id: int) -> Sequence[Alarm]:
    scope = current_scope()
    return alarms.list_open_of(scope, number_id) if scope.can("alarms.read") else ()


area = Numbers()
area.serve(blueprint)


@blueprint.app_context_processor
def number_words() -> dict[str, object]:
    return {"provider_words": PROVIDER_WORDS}


@blueprint.app_template_filter("number_state_words")
def number_state_words(state: NumberState) -> str:
    """The state in two or three words: what is broken before what was set."""
    if state.alarm and state.is_severe and state.verdict is Verdict.TROUBLE:
        return alarm_brief(state.alarm)
    if state.verdict is Verdict.PAUSED:
        return _("Sending is paused")
    return str(STATUS_WORDS[state.status])


@blueprint.app_template_filter("alarm_brief")
def alarm_brief(kind: str) -> str:
    return _(BRIEF[kind])


@blueprint.get("")
@requires("numbers.read")
def index() -> ResponseReturnValue:
    query = list_query(
        filters={
            "state": [verdict.value for verdict in Verdict],
            "provider": [provider.value for provider in Provider],
        },
        sorts=("name", "phone", "state", "last"),
    )
    page = numbers.find_numbers(current_scope(), query)
    ids = [number.id for number, _names in page.rows]
    return show_list(
        "numbers/list.html",
        query=query,
        page=page,
        deeds=area.deeds,
        figures=number_figures.find_figures(ids),
        states=number_states.find_states(ids),
        verdict_words=VERDICT_WORDS,
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


def secrets() -> dict[str, Any]:
    config = current_app.config["CRM"]
    return {"keys": config.encryption_keys, "trusted_hosts": config.trusted_hosts}


def prepared(form: Secretive, number: WhatsappNumber) -> Secretive:
    """The form knows which secrets are stored, never what they are."""
    for name in numbers.SECRETS:
        form[name].is_set = bool(getattr(number, name))
    return form


def format_tier(people: int | None) -> str:
    return "∞" if people is None else format_decimal(people)


def put_sending(
    number: WhatsappNumber, values: dict[str, Any], meta: dict[str, Any]
) -> AuditLog | None:
    """Pause or resume (`values`: sending_paused; since when and by whom, to take a resume back)."""
    before = sending.state_of(number)
    if values["sending_paused"]:
        since, by = values.get("sending_paused_at"), values.get("sending_paused_by")
        sending.pause_sending(
            number,
            by=by or current_scope().user_id,
            since=datetime.fromisoformat(since) if since else None,
        )
    else:
        sending.resume_sending(number)
    act = "pause" if values["sending_paused"] else "resume"
    after = sending.state_of(number)
    return audit.record(f"numbers.{act}", number, before=before, after=after, meta=meta)


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
