"""What an interactive message of the customer's is, for the one line of a row or a quote."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement

from crm.models import Message


class Reply(StrEnum):
    """A form that was filled in, or the answer to whether they may be called."""

    FORM = "form"
    CALLS_ALLOWED = "calls_allowed"
    CALLS_REFUSED = "calls_refused"


def reply_columns() -> tuple[ColumnElement[Any], ...]:
    """What `read_reply` needs of a message, without the rest of its metadata."""
    return (
        Message.meta.has_key("flow").label("is_form"),
        Message.meta["call_permission"]["response"].as_string().label("call_answer"),
    )


def read_reply(*, is_form: bool | None, call_answer: str | None) -> Reply | None:
    """None: neither, or nothing that WhatsApp tells apart."""
    if is_form:
        return Reply.FORM
    if call_answer is None:
        return None
    return Reply.CALLS_ALLOWED if call_answer == "accept" else Reply.CALLS_REFUSED
