"""A template leaves: checked, filled, queued, counted."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select, update

from crm.db import db
from crm.errors import Conflict, Invalid, NotFound
from crm.lib.text import fold
from crm.models import (
    Chat,
    Client,
    File,
    HeaderType,
    Message,
    MessageType,
    Template,
    TemplateStatus,
    User,
)
from crm.providers.outbound import Media
from crm.services.media.sending import SentAlready, describe_file
from crm.services.messages.contents import Described, describe
from crm.services.messages.outbound import Priority, queue_described
from crm.services.templates.filling import blanks_of, fill

NAME_LABELS = frozenset({"nombre", "name", "cliente", "first_name", "nombre_cliente"})
CASE_LABELS = frozenset({"caso", "case", "case_number", "numero_caso"})


class NotApproved(Conflict):
    code = "template_not_approved"
    message = "Meta has not approved this template, or has paused it: choose another one."


class SwitchedOff(Conflict):
    code = "template_switched_off"
    message = "This template was switched off in the settings: choose another one."


WANTED = {
    HeaderType.IMAGE: "The header of this template is a photo: choose a JPEG or PNG.",
    HeaderType.VIDEO: "The header of this template is a video: choose an MP4.",
    HeaderType.DOCUMENT: "The header of this template is a document: choose a PDF or the like.",
}


def _header_of(template: Template, file: File) -> Media | None:
    """The file as what leaves; None where the template has no place for one."""
    if template.header_type not in WANTED:
        return None
    media = describe_file(file)
    if media.kind.value.upper() != template.header_type.value:
        raise Invalid(WANTED[template.header_type])
    return media


def find_sendable(whatsapp_number_id: int) -> list[Template]:
    """The templates that may leave from this number, the most used first."""
    return list(
        db.session.scalars(
            select(Template)
            .where(
                Template.whatsapp_number_id == whatsapp_number_id,
                Template.status == TemplateStatus.APPROVED,
                Template.is_active.is_(True),
            )
            .order_by(Template.usage_count.desc(), Template.template_name, Template.language)
        )
    )


def load_sendable(chat: Chat, template_id: int) -> Template:
    """An approved template of the chat's number; NotFound, NotApproved, SwitchedOff."""
    return load_for_number(chat.whatsapp_number_id, template_id)


def load_for_number(whatsapp_number_id: int, template_id: int) -> Template:
    """The same by the number alone, for a chat that is still to come."""
    template = db.session.get(Template, template_id)
    if template is None or template.whatsapp_number_id != whatsapp_number_id:
        raise NotFound
    if template.status is not TemplateStatus.APPROVED:
        raise NotApproved
    if not template.is_active:
        raise SwitchedOff
    return template


def guess_values(chat: Chat, template_id: int) -> dict[str, str]:
    """What the blanks of a template probably want in this chat."""
    client = db.session.get_one(Client, chat.client_id)
    return guess_for(load_sendable(chat, template_id), client=client, case=chat.case_number)


def guess_for(template: Template, *, client: Client, case: str = "") -> dict[str, str]:
    """A name where the blanks speak of one, the case's number where they ask for it."""
    found = {}
    for blank in blanks_of(template):
        label = fold(blank.label)
        if label in NAME_LABELS and client.first_name:
            found[blank.key] = client.first_name
        elif label in CASE_LABELS and case:
            found[blank.key] = case
    return found


def queue_template(
    chat: Chat,
    template_id: int,
    values: Mapping[str, str],
    *,
    author: User | None = None,
    client_key: UUID | None = None,
    file: File | None = None,
    reply_to: Message | None = None,
    priority: Priority | None = None,
) -> Message:
    """Fill a template and queue it; inside and outside the window. It counts as used.

    `file` is the header's picture, video or document; without one a public link may stand there.

    Raises NotFound, NotApproved, SwitchedOff, Invalid for missing or too long values, and what
    `queue_outbound` raises; OptedOut for advertising to somebody who has not agreed to it.
    """
    template = load_sendable(chat, template_id)
    filled = fill(template, values, file=_header_of(template, file) if file else None)
    meta = describe(filled.content).meta["template"]
    meta |= {"template_id": template.id, "category": template.category, "shown": filled.shown}
    row = Described(MessageType.TEMPLATE, filled.shown["body"], {"template": meta})
    message = queue_described(
        chat,
        row,
        author=author,
        client_key=client_key,
        reply_to=reply_to,
        priority=priority,
        file=file,
    )
    if file is not None:
        if file.related_entity_id not in (None, message.id):
            raise SentAlready
        file.related_entity_type, file.related_entity_id = "message", message.id
    db.session.execute(
        update(Template)
        .where(Template.id == template.id)
        .values(usage_count=Template.usage_count + 1, updated_at=Template.updated_at)
    )
    return message
