"""Our rows against Meta's account: read all of it, create, edit, delete there first.

Every call stands between two transactions. The provider has the last word: what it accepted is
written down afterwards, and what we failed to write down comes with the next sync.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import select

from crm.config import Config
from crm.db import atomic, database_now, db
from crm.errors import Conflict, DomainError, Invalid, Unavailable
from crm.lib.crypto import DecryptionError, decrypt
from crm.models import Provider, Template, TemplateStatus, WhatsappNumber
from crm.providers.meta.management import Account, ManagementClient, ManagementError
from crm.services.templates.definition import (
    FIELDS,
    STATUSES,
    components_of,
    ordered_names,
    read_definition,
)

log = structlog.get_logger(__name__)
Json = dict[str, Any]
T = TypeVar("T")
# A page that names itself as the next one must not keep a job for ever.
MOST_PAGES = 200
PAGE = 100


class NoAccount(Conflict):
    code = "no_account"
    message = (
        "This number has no business account or no access token: enter them in its form first."
    )


class Refused(Invalid):
    """Meta said no; the words are ours, and Meta's own stand beside them."""

    code = "refused_by_meta"


@dataclass(frozen=True)
class SyncResult:
    """How many templates the account has, and how many rows are new, changed and gone here."""

    found: int
    added: int
    changed: int
    gone: int


@functools.cache
def _client() -> ManagementClient:
    """One for the life of the process: its connections stay open."""
    return ManagementClient()


def account_of(number: WhatsappNumber, config: Config) -> Account:
    """Where the number's templates live; NoAccount if something is missing."""
    ready = number.meta_business_account_id and number.meta_access_token
    if number.provider is not Provider.META or not ready:
        raise NoAccount
    try:
        token = decrypt(number.meta_access_token or "", config.encryption_keys)
    except DecryptionError:
        raise NoAccount from None
    return Account(number.meta_business_account_id or "", token, config.meta_graph_url)


def find_accounts() -> list[int]:
    """One number for each account that can be read."""
    rows = db.session.execute(
        select(WhatsappNumber.id, WhatsappNumber.meta_business_account_id)
        .where(
            WhatsappNumber.provider == Provider.META,
            WhatsappNumber.deleted_at.is_(None),
            WhatsappNumber.meta_business_account_id.is_not(None),
            WhatsappNumber.meta_access_token.is_not(None),
        )
        .order_by(WhatsappNumber.id.desc())
    ).all()
    return sorted({row.meta_business_account_id: row.id for row in rows}.values())


def sync_templates(number_id: int, *, config: Config) -> SyncResult:
    """Read all templates of the number's account and write them to each number of it.

    Opens its own transactions. Raises NoAccount, Unavailable where Meta does not answer; then
    nothing has changed.
    """
    with atomic():
        account = account_of(db.session.get_one(WhatsappNumber, number_id), config)
        started = database_now()
    rows = _asked(lambda: list(_read_all(account)))
    with atomic():
        numbers = list(
            db.session.scalars(
                select(WhatsappNumber)
                .where(
                    WhatsappNumber.meta_business_account_id == account.account_id,
                    WhatsappNumber.deleted_at.is_(None),
                )
                .order_by(WhatsappNumber.id)
                .with_for_update(key_share=True)
            )
        )
        counts = [_write_number(number.id, rows, started) for number in numbers]
    result = SyncResult(len(rows), *(sum(part) for part in zip(*counts, strict=True)))
    log.info("templates_synced", account=account.account_id, **result.__dict__)
    return result


def _read_all(account: Account) -> Iterable[Json]:
    after: str | None = None
    for _page in range(MOST_PAGES):
        page = _client().list_templates(account, fields=FIELDS, after=after, limit=PAGE)
        yield from page.rows
        if page.after is None or page.after == after:
            return
        after = page.after


def _write_number(number_id: int, rows: list[Json], started: Any) -> tuple[int, int, int]:
    """What Meta has becomes what this number has. Drafts that Meta has never seen stay."""
    known = {
        (row.template_name, row.language): row
        for row in db.session.scalars(
            select(Template).where(Template.whatsapp_number_id == number_id).with_for_update()
        )
    }
    added = changed = gone = 0
    seen = set()
    for row in rows:
        name, language = str(row.get("name") or "")[:255], str(row.get("language") or "")[:10]
        columns = read_definition(row)
        if not (name and language and columns["template_id"]):
            continue
        seen.add((name, language))
        template = known.get((name, language))
        if template is None:
            template = Template(whatsapp_number_id=number_id, template_name=name, language=language)
            db.session.add(template)
            added += 1
        elif _write_columns(template, columns):
            changed += 1
        _write_columns(template, columns)
        template.synced_at = database_now()
    for key, template in known.items():
        is_newer = template.synced_at is not None and template.synced_at >= started
        if key in seen or template.template_id is None or is_newer:
            continue
        if template.status is not TemplateStatus.DELETED:
            template.status = TemplateStatus.DELETED
            gone += 1
    db.session.flush()
    return added, changed, gone


def _write_columns(template: Template, columns: Json) -> bool:
    """Whether anything is different now. Our labels of the variables stay while they fit."""
    names = ordered_names(columns["body_content"], columns["parameter_format"])
    if len(template.variables or []) != len(names):
        columns = columns | {"variables": names or None}
    changes = {
        name: value for name, value in columns.items() if getattr(template, name, None) != value
    }
    for name, value in changes.items():
        setattr(template, name, value)
    return bool(changes)


def submit_template(template_id: int, *, config: Config) -> None:
    """Send a draft, or a changed template, to Meta's review. Opens its own transactions.

    Raises NoAccount, Refused with Meta's words, Unavailable.
    """
    with atomic():
        template, account = _load(template_id, config)
        shape = {
            "category": template.category,
            "components": components_of(template),
        }
        names = {
            "name": template.template_name,
            "language": template.language,
            "parameter_format": template.parameter_format.value,
        }
        known_as = template.template_id
    if known_as:
        _asked(lambda: _client().edit_template(account, known_as, shape))
        created_id, status, category = known_as, "PENDING", template.category
    else:
        created = _asked(lambda: _client().create_template(account, names | shape))
        created_id, status, category = created.template_id, created.status, created.category
    with atomic():
        for row in _same_everywhere(template_id, account):
            row.template_id = created_id
            row.status = STATUSES.get(status.upper(), TemplateStatus.PENDING)
            row.category = (category or row.category or "").upper() or None
            row.rejected_reason = row.status_detail = None
            row.synced_at = database_now()


def delete_template(template_id: int, *, all_languages: bool, config: Config) -> None:
    """Delete at Meta, then here: one language, or the name in all of them, on every number of the
    account. What Meta does not have (any more) is deleted here alone. Opens its own transactions.
    """
    with atomic():
        template = db.session.get_one(Template, template_id)
        name, language, known_as = template.template_name, template.language, template.template_id
        number = db.session.get_one(WhatsappNumber, template.whatsapp_number_id)
        account_id, number_id = number.meta_business_account_id, number.id
        account = account_of(number, config) if known_as else None
    if account is not None:
        meta_id = None if all_languages else known_as
        try:
            _asked(lambda: _client().delete_template(account, name=name, template_id=meta_id))
        except Refused as error:
            if error.values.get("code") != "2593002":
                raise
    with atomic():
        numbers = select(WhatsappNumber.id).where(
            WhatsappNumber.meta_business_account_id == account_id
            if known_as and account_id
            else WhatsappNumber.id == number_id
        )
        statement = select(Template).where(
            Template.whatsapp_number_id.in_(numbers), Template.template_name == name
        )
        if not all_languages:
            statement = statement.where(Template.language == language)
        for row in db.session.scalars(statement):
            db.session.delete(row)


def upload_example(
    number_id: int,
    content: bytes,
    *,
    mime_type: str,
    filename: str,
    config: Config,
) -> str:
    """Meta's handle of an example file for a template's header."""
    with atomic():
        account = account_of(db.session.get_one(WhatsappNumber, number_id), config)
    return _asked(
        lambda: _client().upload_example(account, content, mime_type=mime_type, filename=filename)
    )


def _load(template_id: int, config: Config) -> tuple[Template, Account]:
    template = db.session.get_one(Template, template_id)
    number = db.session.get_one(WhatsappNumber, template.whatsapp_number_id)
    return template, account_of(number, config)


def _same_everywhere(template_id: int, account: Account) -> list[Template]:
    """The template on its own number and, made where they are missing, on the account's others."""
    template = db.session.get_one(Template, template_id)
    others = db.session.scalars(
        select(WhatsappNumber.id).where(
            WhatsappNumber.meta_business_account_id == account.account_id,
            WhatsappNumber.deleted_at.is_(None),
            WhatsappNumber.id != template.whatsapp_number_id,
        )
    ).all()
    rows = [template]
    for number_id in others:
        row = db.session.scalar(
            select(Template).where(
                Template.whatsapp_number_id == number_id,
                Template.template_name == template.template_name,
                Template.language == template.language,
            )
        ) or Template(whatsapp_number_id=number_id, created_by=template.created_by)
        for name in COPIED:
            setattr(row, name, getattr(template, name))
        db.session.add(row)
        rows.append(row)
    return rows


COPIED = (
    "template_name", "language", "category", "header_type", "header_content", "body_content",
    "code_parts",
    "footer_content", "buttons", "variables", "parameter_format", "examples",
)  # fmt: skip


def _asked(call: Callable[[], T]) -> T:
    """Meta's errors become ours: a refusal that a person can mend, or 'not now'."""
    try:
        return call()
    except ManagementError as error:
        log.info("management_refused", code=error.code, detail=error.detail, told=error.told)
        raise _meaning(error) from error


def _meaning(error: ManagementError) -> DomainError:
    if error.code in ("not_sent", "no_answer") or error.unknown:
        return Unavailable(error.reason)
    refused = Refused(error.reason)
    refused.values = {"told": error.told, "code": error.code}
    return refused
