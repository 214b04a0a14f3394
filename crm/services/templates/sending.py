"""A template leaves: checked, filled, queued, counted."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select, update

from crm.db import db
from crm.errors import Conflict, NotFound
from crm.models import Chat, File, Message, MessageType, Template, TemplateStatus, User
from crm.providers.outbound import Media
from crm.services.messages.contents import Described, describe
from crm.services.messages.outbound import Priority, queue_described
from crm.services.templates.filling import fill


class NotApproved(Conflict):
    code = "template_not_approved"
    message = "Meta has not approved this template, or has paused it: choose another one."


def find_sendable(whatsapp_number_id: int) -> list[Template]:
    """The templates that may leave from this number, the most used first."""
    return list(
        db.session.scalars(
            select(Template)
            .where(
                Template.whatsapp_number_id == whatsapp_number_id,
                Template.status == TemplateStatus.APPROVED,
            )
            .order_by(Template.usage_count.desc(), Template.template_name, Template.language)
        )
    )


def queue_template(
    chat: Chat,
    template_id: int,
    values: Mapping[str, str],
    *,
    author: User | None = None,
    client_key: UUID | None = None,
    header_file: Media | None = None,
    file: File | None = None,
    reply_to: Message | None = None,
    priority: Priority | None = None,
) -> Message:
    """Fill a template and queue it; inside and outside the window. It counts as used.

    `header_file` is the header's file as the provider gets it, `file` its row.

    Raises NotFound, NotApproved, Invalid for missing or too long values, and what `queue_outbound`
    raises; OptedOut for advertising to somebody who has not agreed to it.
    """
    template = db.session.get(Template, template_id)
    if template is None or template.whatsapp_number_id != chat.whatsapp_number_id:
        raise NotFound
    if template.status is not TemplateStatus.APPROVED:
        raise NotApproved
    filled = fill(template, values, file=header_file)
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
    db.session.execute(
        update(Template)
        .where(Template.id == template.id)
        .values(usage_count=Template.usage_count + 1, updated_at=Template.updated_at)
    )
    return message
