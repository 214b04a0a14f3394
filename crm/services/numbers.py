"""WhatsApp numbers as an admin sees them. Secrets go in encrypted and never come out."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, and_, exists, func, null, select

from crm.db import db
from crm.errors import Conflict, NotFound
from crm.lib.crypto import DecryptionError, decrypt, encrypt
from crm.models import (
    ON_STATUSES,
    OPEN_STATUSES,
    AlarmKind,
    Campaign,
    CampaignNumber,
    Chat,
    LimitAction,
    NumberStatus,
    Provider,
    User,
    WhatsappNumber,
    WppconnectSession,
)
from crm.permissions import SUPER_ADMIN, Scope
from crm.services.alarms import end_alarm, end_alarms_of
from crm.services.audit.recording import Secret
from crm.services.campaigns import has_campaign
from crm.services.kit import ListQuery, Page, WrongField, find_page
from crm.services.messages.limits import lift_limit
from crm.services.number_states import badness, verdict
from crm.services.sending import try_again
from crm.services.wppconnect.orders import let_go
from crm.services.wppconnect.sessions import forget_token, is_connected

FIELDS = (
    "phone_number", "display_name", "meta_phone_number_id", "meta_business_account_id",
    "wppconnect_server_url", "wppconnect_session_name", "rate_limit_per_minute",
    "daily_message_limit", "limit_action", "sends_read_receipts", "sends_typing",
)  # fmt: skip
SECRETS = ("meta_access_token", "meta_app_secret", "webhook_verify_token", "wppconnect_api_key")
# A token of one server, session or key opens no other.
GATEWAY = ("wppconnect_server_url", "wppconnect_session_name", "wppconnect_api_key")


def visible_numbers(scope: Scope) -> ColumnElement[bool]:
    """Who may create numbers looks after all; others see those of their campaigns."""
    alive = WhatsappNumber.deleted_at.is_(None)
    if scope.role == SUPER_ADMIN or scope.can("numbers.create"):
        return alive
    linked = exists().where(
        CampaignNumber.whatsapp_number_id == WhatsappNumber.id,
        CampaignNumber.campaign_id.in_(scope.campaign_ids),
    )
    return and_(alive, linked)


def load_number(scope: Scope, number_id: int, *, lock: bool = False) -> WhatsappNumber:
    """The number, if this person may see it; NotFound otherwise."""
    statement = select(WhatsappNumber).where(WhatsappNumber.id == number_id, visible_numbers(scope))
    if lock:
        statement = statement.with_for_update(key_share=True).execution_options(
            populate_existing=True
        )
    number = db.session.scalar(statement)
    if number is None:
        raise NotFound
    return number


def list_number_names(scope: Scope, *, provider: Provider | None = None) -> list[tuple[int, str]]:
    """Numbers in reach, (id, name); with `provider` only that one's."""
    statement = (
        select(WhatsappNumber.id, WhatsappNumber.display_name, WhatsappNumber.phone_number)
        .where(visible_numbers(scope))
        .order_by(WhatsappNumber.display_name, WhatsappNumber.id)
    )
    if provider is not None:
        statement = statement.where(WhatsappNumber.provider == provider)
    rows = db.session.execute(statement)
    return [(row.id, row.display_name or row.phone_number) for row in rows]


def find_numbers(scope: Scope, query: ListQuery) -> Page:
    """Rows of (number, names of its campaigns)."""
    names = (
        select(func.string_agg(Campaign.name, ", "))
        .join(CampaignNumber, CampaignNumber.campaign_id == Campaign.id)
        .where(
            CampaignNumber.whatsapp_number_id == WhatsappNumber.id, Campaign.deleted_at.is_(None)
        )
        .correlate(WhatsappNumber)
        .scalar_subquery()
    )
    statement = select(WhatsappNumber, names).where(visible_numbers(scope))
    if provider := query.filters.get("provider"):
        statement = statement.where(WhatsappNumber.provider == provider)
    if state := query.filters.get("state"):
        statement = statement.where(verdict() == state)
    return find_page(
        statement,
        query,
        search=(
            func.coalesce(WhatsappNumber.display_name, ""),
            WhatsappNumber.phone_number,
        ),
        sorts={
            "name": func.lower(WhatsappNumber.display_name),
            "phone": WhatsappNumber.phone_number,
            "state": badness(),
            "last": WhatsappNumber.last_message_at,
        },
        default=(func.lower(WhatsappNumber.display_name),),
        key=WhatsappNumber.id,
    )


def state_of(number: WhatsappNumber) -> dict[str, Any]:
    """What the form edits; of a secret only a print of its ciphertext, hidden in the audit."""
    state = {name: getattr(number, name) for name in FIELDS}
    state["provider"] = str(number.provider)
    state["limit_action"] = str(number.limit_action)
    state["switched_on"] = NumberStatus(number.status) in ON_STATUSES
    for name in SECRETS:
        stored = getattr(number, name)
        state[name] = Secret(hashlib.sha256(stored.encode()).hexdigest()[:12]) if stored else None
    return state


def begin_number(
    values: Mapping[str, Any], *, created_by: int, pace: int, limit: int | None, keys: Sequence[str]
) -> WhatsappNumber:
    """A new number, switched off, with nothing of its provider yet; step one of three.

    `values`: provider, phone_number, display_name. A deleted one of the same phone comes back
    instead, with what it had.
    """
    number = db.session.scalar(
        select(WhatsappNumber)
        .where(
            WhatsappNumber.phone_number == values["phone_number"],
            WhatsappNumber.deleted_at.is_not(None),
        )
        .with_for_update(key_share=True)
    )
    _refuse_taken(values, names=("phone_number",), but=number.id if number else None)
    if number is None:
        number = WhatsappNumber(phone_number=values["phone_number"], created_by=created_by)
        # NULL said aloud: a plain None would leave the column to its default.
        number.rate_limit_per_minute = pace
        number.daily_message_limit = null() if limit is None else limit
        number.limit_action = LimitAction.HOLD
    elif number.provider != values["provider"]:
        _refuse_other_provider(number)
    number.deleted_at = None
    number.status = NumberStatus.INACTIVE
    number.provider = values["provider"]
    number.display_name = values["display_name"]
    if number.provider == Provider.META and not number.webhook_verify_token:
        number.webhook_verify_token = encrypt(secrets.token_urlsafe(24), keys)
    db.session.add(number)
    db.session.flush()
    return number


def save_credentials(
    number: WhatsappNumber,
    values: Mapping[str, Any],
    *,
    keys: Sequence[str],
    trusted_hosts: Sequence[str] = (),
) -> WhatsappNumber:
    """Step two: ids and secrets alone; a secret that is None stays."""
    return update_number(
        number,
        {**state_of(number), **dict.fromkeys(SECRETS), **values},
        keys=keys,
        trusted_hosts=trusted_hosts,
    )


def open_verify_token(number: WhatsappNumber, *, keys: Sequence[str]) -> str | None:
    """The number's own word for Meta's handshake, to be copied into Meta's dashboard.

    The only secret that is shown: it proves an address to Meta and opens nothing.
    """
    stored = number.webhook_verify_token
    if not stored or not stored.startswith("gAAAA"):
        return stored
    try:
        return decrypt(stored, keys)
    except DecryptionError:
        return None


def update_number(
    number: WhatsappNumber,
    values: Mapping[str, Any],
    *,
    keys: Sequence[str],
    trusted_hosts: Sequence[str] = (),
) -> WhatsappNumber:
    """Write the form's values; the provider of a number that has chats stays."""
    if values["provider"] != number.provider:
        _refuse_other_provider(number)
        let_go(number)
        number.provider = values["provider"]
    _refuse_taken(values, but=number.id)
    _write(number, values, keys=keys, trusted_hosts=trusted_hosts)
    _switch(number, on=values["switched_on"])
    db.session.flush()
    lift_limit(number.id)
    if values["meta_access_token"]:
        # A number that was refused for its old token need not wait for its next try.
        try_again(number.id)
    return number


def delete_number(number: WhatsappNumber) -> None:
    """Out of the lists; refused with open chats. Its links to campaigns go with it."""
    open_chats = db.session.scalar(
        select(func.count())
        .select_from(Chat)
        .where(
            Chat.whatsapp_number_id == number.id,
            Chat.status.in_(OPEN_STATUSES),
            Chat.deleted_at.is_(None),
        )
    )
    if open_chats:
        raise Conflict(
            "This number still has open chats (%(count)s). Close or move them first.",
            count=open_chats,
        )
    for link in db.session.scalars(
        select(CampaignNumber).where(CampaignNumber.whatsapp_number_id == number.id)
    ):
        db.session.delete(link)
    let_go(number)
    end_alarms_of(number.id)
    number.status = NumberStatus.INACTIVE
    number.deleted_at = func.now()


def rotate_secrets(keys: Sequence[str]) -> tuple[int, list[str]]:
    """Encrypt every stored secret anew with the first key.

    Returns how many, and the places ("whatsapp_numbers 3 meta_access_token") of those that no key
    opens. Rows are locked as they are read, so that a form saved meanwhile is not undone.
    """
    done, closed = 0, []
    rows: list[Any] = list(
        db.session.scalars(select(WhatsappNumber).order_by(WhatsappNumber.id).with_for_update())
    )
    places: list[tuple[Any, str]] = [(row, name) for row in rows for name in SECRETS]
    linked = select(WppconnectSession).order_by(WppconnectSession.whatsapp_number_id)
    places += [
        (session, name)
        for session in db.session.scalars(linked.with_for_update())
        for name in ("token", "webhook_secret")
    ]
    users = select(User).where(User.two_factor_secret.is_not(None)).order_by(User.id)
    places += [(user, "two_factor_secret") for user in db.session.scalars(users.with_for_update())]
    for row, name in places:
        stored = getattr(row, name)
        # Verify tokens of older releases lie there as plain text; they are closed up here.
        if not stored:
            continue
        try:
            is_plain = name == "webhook_verify_token" and not stored.startswith("gAAAA")
            text = stored if is_plain else decrypt(stored, keys)
        except DecryptionError:
            key = getattr(row, "id", None) or row.whatsapp_number_id
            closed.append(f"{row.__tablename__} {key} {name}")
            continue
        setattr(row, name, encrypt(text, keys))
        done += 1
    db.session.flush()
    return done, closed


def _write(
    number: WhatsappNumber,
    values: Mapping[str, Any],
    *,
    keys: Sequence[str],
    trusted_hosts: Sequence[str],
) -> None:
    if values["provider"] == "wppconnect":
        _refuse_inner_address(values["wppconnect_server_url"], trusted_hosts)
    before = tuple(getattr(number, name) for name in GATEWAY)
    for name in FIELDS:
        setattr(number, name, values[name])
    for name in SECRETS:
        if values[name] is not None:
            setattr(number, name, encrypt(values[name], keys) if values[name] else None)
    if number.id is not None and before != tuple(getattr(number, name) for name in GATEWAY):
        forget_token(number.id)


def _switch(number: WhatsappNumber, *, on: bool) -> None:
    """On needs a campaign that takes the chats; off keeps what is written in the ledger."""
    is_on = number.status is not None and NumberStatus(number.status) in ON_STATUSES
    if on == is_on:
        return
    if on and not has_campaign(number.id):
        raise WrongField(
            "Give the number a campaign first; nobody would take its chats.",
            field_name="switched_on",
        )
    # A phone behind WPPConnect is proven by its session; nothing can leave before.
    proven = number.provider == Provider.META or is_connected(number.id)
    number.status = NumberStatus.ACTIVE if proven else NumberStatus.PENDING
    if not on:
        number.status = NumberStatus.INACTIVE
        # Of a number that is off nobody expects anything.
        end_alarm(AlarmKind.NUMBER_SILENT, subject=str(number.id))


def _refuse_other_provider(number: WhatsappNumber) -> None:
    if db.session.scalar(select(exists().where(Chat.whatsapp_number_id == number.id))):
        raise WrongField(
            "The provider stays: this number has chats already.", field_name="provider"
        )


def _refuse_taken(values: Mapping[str, Any], *, but: int | None, names: Sequence[str] = ()) -> None:
    """Unique among the numbers that are there, with a sentence that names who has it."""
    # Two forms at the same moment: the second waits here, then finds the first.
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtext("whatsapp-numbers"))))
    at_provider = {"meta": "meta_phone_number_id", "wppconnect": "wppconnect_session_name"}
    for name in names or ("phone_number", at_provider[values["provider"]]):
        taken = db.session.scalar(
            select(WhatsappNumber).where(
                getattr(WhatsappNumber, name) == values[name],
                WhatsappNumber.id != (but or 0),
                WhatsappNumber.deleted_at.is_(None),
            )
        )
        if taken is not None:
            raise WrongField(
                "The number %(name)s has this already.",
                field_name=name,
                name=taken.display_name or taken.phone_number,
            )


def _refuse_inner_address(url: str, trusted_hosts: Sequence[str]) -> None:
    """An inner address only if the operator trusts its host; the client checks again on calling."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host in trusted_hosts:
        return
    try:
        inner = not ipaddress.ip_address(host).is_global
    except ValueError:
        # Other spellings of addresses: "127.1", "0x7f000001", "2130706433".
        inner = host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
        inner = inner or host.replace(".", "").isdigit() or host.startswith("0x") or "." not in host
    if inner:
        raise WrongField(
            "This address is inside the network; the operator can allow %(host)s in "
            "CRM_TRUSTED_HOSTS.",
            field_name="wppconnect_server_url",
            host=host,
        )
