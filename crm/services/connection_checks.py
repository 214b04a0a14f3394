"""*Test connection*: each thing that must be right, asked one after the other, in plain words.

`prepare` reads what is needed inside a transaction, `run_checks` asks the provider outside of one,
`record` writes what came of it. A check whose forerunner failed is not asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from crm.db import db
from crm.errors import Conflict, Invalid
from crm.lib.clock import utcnow
from crm.lib.crypto import DecryptionError, decrypt
from crm.models import NumberHealth, Provider, WebhookEvent, WhatsappNumber
from crm.providers.meta.management import Account, ManagementError
from crm.providers.meta.setup import SetupClient, TokenFacts
from crm.services.sending import note_token_works

NEEDED_SCOPES = ("whatsapp_business_messaging", "whatsapp_business_management")
TEMPLATE_FIELDS = "id"


class Outcome(StrEnum):
    """`unsure`: nothing is wrong, but nothing proves it either; `skipped`: not asked."""

    GOOD = "good"
    BAD = "bad"
    UNSURE = "unsure"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One line of the answer; `words.CHECKS` says it. `values` stand in its words."""

    name: str
    outcome: Outcome
    values: dict[str, Any] = field(default_factory=dict)

    def as_row(self) -> dict[str, Any]:
        return {"name": self.name, "outcome": self.outcome.value, "values": self.values}


@dataclass(frozen=True)
class Subject:
    """What the checks need to know, as plain values; secrets are open here and nowhere else."""

    number_id: int
    phone_number: str
    phone_number_id: str
    account: Account = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    is_secure: bool
    last_arrival: datetime | None


def prepare(
    number: WhatsappNumber,
    *,
    keys: Sequence[str],
    graph_url: str,
    shared_secrets: Sequence[str],
    is_secure: bool,
) -> Subject:
    """Read and open. Invalid where something is missing, so that nothing could be asked."""
    if number.provider is not Provider.META:
        raise Invalid("This test is for numbers of Meta; a phone's session has its own page.")
    if not number.meta_phone_number_id or not number.meta_business_account_id:
        raise Invalid("Write the phone number ID and the business account ID first.")
    if not number.meta_access_token:
        raise Invalid("Write the access token first.")
    try:
        token = decrypt(number.meta_access_token, keys)
        own = decrypt(number.meta_app_secret, keys) if number.meta_app_secret else None
    except DecryptionError:
        raise Invalid("What is stored cannot be opened. Write token and secret again.") from None
    arrived = select(func.max(WebhookEvent.received_at)).where(
        WebhookEvent.whatsapp_number_id == number.id
    )
    return Subject(
        number_id=number.id,
        phone_number=number.phone_number,
        phone_number_id=number.meta_phone_number_id,
        account=Account(number.meta_business_account_id, token, graph_url),
        secrets=(own,) if own else tuple(shared_secrets),
        is_secure=is_secure,
        last_arrival=db.session.scalar(arrived),
    )


def run_checks(subject: Subject, client: SetupClient | None = None) -> list[Check]:
    """Ask Meta; no transaction is open. Never raises for what Meta answers, or does not."""
    client = client or SetupClient()
    token, facts = _check_token(subject, client)
    checks = [token, _check_scopes(token, facts)]
    if token.outcome is Outcome.BAD:
        names = ("number", "account", "secret", "subscription", "templates")
        checks += [Check(name, Outcome.SKIPPED) for name in names]
    else:
        number = _check_number(subject, client)
        account = _check_account(subject, client)
        checks += [number, account, _check_secret(subject, client, number)]
        if account.outcome is Outcome.BAD and "reason" in account.values:
            checks += [Check(name, Outcome.SKIPPED) for name in ("subscription", "templates")]
        else:
            checks += [
                _check_subscription(subject, client, facts),
                _check_templates(subject, client),
            ]
    return [*checks, _check_address(subject), _check_arrival(subject)]


def record(number_id: int, checks: Sequence[Check]) -> None:
    outcomes = {check.name: check.outcome for check in checks}
    if outcomes.get("token") is not Outcome.BAD and outcomes.get("number") is Outcome.GOOD:
        note_token_works(number_id)
    values = {"checks": [check.as_row() for check in checks], "checked_at": func.now()}
    row = insert(NumberHealth).values(whatsapp_number_id=number_id, **values)
    db.session.execute(
        row.on_conflict_do_update(index_elements=["whatsapp_number_id"], set_=values)
    )


def _asked(name: str, ask: Callable[[], Check]) -> Check:
    """The check, or Meta's refusal of it in our words and its own."""
    try:
        return ask()
    except ManagementError as error:
        away = error.unknown or error.code == "not_sent"
        told = "" if away else error.told or error.detail
        values = {"reason": error.reason, "told": told, "code": error.code, "away": away}
        return Check(name, Outcome.BAD, values)


def _check_token(subject: Subject, client: SetupClient) -> tuple[Check, TokenFacts | None]:
    found: list[TokenFacts] = []

    def ask() -> Check:
        facts = client.inspect_token(subject.account)
        found.append(facts)
        if not facts.is_valid:
            return Check("token", Outcome.BAD, {"told": facts.message})
        if facts.expires_at is None:
            return Check("token", Outcome.GOOD)
        days = (facts.expires_at - utcnow()).days
        return Check("token", Outcome.UNSURE, {"days": max(days, 0)})

    return _asked("token", ask), found[0] if found else None


def _check_scopes(token: Check, facts: TokenFacts | None) -> Check:
    if facts is None or token.outcome is Outcome.BAD:
        return Check("scopes", Outcome.SKIPPED)
    missing = [scope for scope in NEEDED_SCOPES if scope not in facts.scopes]
    if missing:
        return Check("scopes", Outcome.BAD, {"missing": ", ".join(missing)})
    return Check("scopes", Outcome.GOOD)


def _check_number(subject: Subject, client: SetupClient) -> Check:
    def ask() -> Check:
        facts = client.read_number(subject.account, subject.phone_number_id)
        values = {"phone": facts.phone, "name": facts.name, "written": subject.phone_number}
        if facts.phone and _digits(facts.phone) != _digits(subject.phone_number):
            return Check("number", Outcome.BAD, {**values, "differs": True})
        return Check("number", Outcome.GOOD, values)

    return _asked("number", ask)


def _check_account(subject: Subject, client: SetupClient) -> Check:
    def ask() -> Check:
        ids = client.list_number_ids(subject.account)
        if subject.phone_number_id in ids:
            return Check("account", Outcome.GOOD)
        return Check("account", Outcome.BAD, {"elsewhere": True})

    return _asked("account", ask)


def _check_secret(subject: Subject, client: SetupClient, number: Check) -> Check:
    """Any of the secrets in force may sign: during a rotation there are two."""
    if not subject.secrets:
        return Check("secret", Outcome.BAD, {"missing": True})
    if "reason" in number.values:
        return Check("secret", Outcome.SKIPPED)
    check = Check("secret", Outcome.SKIPPED)
    for secret in subject.secrets:

        def ask(secret: str = secret) -> Check:
            client.prove_secret(subject.account, subject.phone_number_id, secret)
            return Check("secret", Outcome.GOOD)

        check = _asked("secret", ask)
        if check.outcome is Outcome.GOOD:
            break
    return check


def _check_subscription(subject: Subject, client: SetupClient, facts: TokenFacts | None) -> Check:
    def ask() -> Check:
        apps = client.list_subscribed_apps(subject.account)
        app_id = facts.app_id if facts else None
        if app_id in apps or (apps and app_id is None):
            return Check("subscription", Outcome.GOOD)
        return Check("subscription", Outcome.BAD, {"other_app": bool(apps)})

    return _asked("subscription", ask)


def _check_templates(subject: Subject, client: SetupClient) -> Check:
    def ask() -> Check:
        client.list_templates(subject.account, fields=TEMPLATE_FIELDS, limit=1)
        return Check("templates", Outcome.GOOD)

    return _asked("templates", ask)


def _check_address(subject: Subject) -> Check:
    return Check("address", Outcome.GOOD if subject.is_secure else Outcome.BAD)


def _check_arrival(subject: Subject) -> Check:
    if subject.last_arrival is None:
        return Check("arrival", Outcome.UNSURE)
    return Check("arrival", Outcome.GOOD, {"at": subject.last_arrival.isoformat()})


def _digits(phone: str) -> str:
    return re.sub(r"\D", "", phone)


def subscribe(subject: Subject, client: SetupClient | None = None) -> None:
    """Let the app get the account's deliveries; Conflict with Meta's words if it refuses."""
    try:
        (client or SetupClient()).subscribe(subject.account)
    except ManagementError as error:
        told = error.told or error.detail or error.code
        raise Conflict("Meta did not take it: %(told)s", told=told) from error
