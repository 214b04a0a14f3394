"""Edits and deletions of ours through a WPPConnect line."""

from datetime import timedelta
from uuid import uuid4

import pytest

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    Message,
    NumberStatus,
    Provider,
    User,
)
from crm.providers.outbound import Text
from crm.services import inbox
from crm.services.inbox import Bubble
from crm.services.messages import amending
from crm.services.messages.outbound import queue_outbound
from tests.factories import make_user
from tests.gateway import ANA, Line


def change_of(line: Line, message_id: int, words: str | None) -> Message:
    """Edit (with words) or delete a message of Laura's, and let it leave; the message after."""
    with atomic():
        message = db.session.get_one(Message, message_id)
        author = db.session.get_one(User, message.user_id)
        if words is None:
            amending.delete_message(message, author=author, client_key=uuid4())
        else:
            amending.edit_message(message, words, author=author, client_key=uuid4())
    line.deliver()
    db.session.rollback()
    return db.session.get_one(Message, message_id, populate_existing=True)


def test_an_answer_is_edited_and_taken_back_at_the_customers_phone_too(line: Line) -> None:
    line.link()
    line.say("¿A qué hora?")
    line.wait(lambda: line.texts() == ["¿A qué hora?"])
    with atomic():
        laura = make_user()
        answer = queue_outbound(line.chat(), Text("A las 5"), author=laura).id
    line.deliver()
    line.wait(lambda: line.status_of(answer) == "delivered")

    message = change_of(line, answer, "A las 6")
    assert (message.content, message.meta["edited"]["original"]) == ("A las 6", "A las 5")
    phone = line.whatsapp.messages(ANA, line.line_id)[-1]
    assert (phone["content"]["body"], phone["edited"]) == ("A las 6", True)
    # The thread has one message, which says that it was edited; nothing counts twice.
    items = [item for item in inbox.load_thread(line.chat()).items if isinstance(item, Bubble)]
    assert [(item.text, "edited" in item.meta) for item in items][-1] == ("A las 6", True)
    assert len(items) == 2

    # What WhatsApp refuses is seen on the message, which stays as it is.
    line.whatsapp.set_fault("wpp_refuse", count=1)
    assert change_of(line, answer, None).deleted_at is None
    found = inbox.find_bubble(answer)
    assert found is not None
    assert found.amendment is not None
    assert (found.amendment.has_failed, found.amendment.error_code) == (True, "wpp_not_deleted")
    assert line.number.status is NumberStatus.ACTIVE

    # An answer that is lost on its way is no doubt: it is asked again.
    line.whatsapp.set_fault("cut_reply", count=1)
    change_of(line, answer, None)
    line.wait(lambda: bool(line.deliver() or inbox.find_bubble(answer).is_revoked))  # type: ignore[union-attr]
    assert line.whatsapp.messages(ANA, line.line_id)[-1]["revoked"] is True
    line.wait(lambda: all(m.status.value not in ("pending", "uncertain") for m in line.messages()))
    with pytest.raises(amending.TooLate):
        change_of(line, answer, "Otra vez")


def test_what_whatsapp_would_not_change_is_refused_with_the_reason(line: Line) -> None:
    line.link()
    line.say("Hola")
    line.wait(lambda: line.texts() == ["Hola"])
    with atomic():
        laura, jhon = make_user(), make_user()
        row = queue_outbound(line.chat(), Text("Buenas"), author=laura)
        answer = row.id
        with pytest.raises(amending.NotSentYet):
            amending.edit_message(row, "x", author=laura, client_key=uuid4())
    line.deliver()
    line.wait(lambda: line.status_of(answer) == "delivered")
    row = db.session.get_one(Message, answer)
    with pytest.raises(amending.NotEditable):
        amending.check_editable(row, author=jhon)
    asked = line.messages()[0]
    with pytest.raises(amending.NotEditable):
        amending.check_deletable(asked)
    row.sent_at = utcnow() - timedelta(minutes=16)
    with pytest.raises(amending.TooLate):
        amending.check_editable(row, author=laura)
    amending.check_deletable(row)
    row.sent_at = utcnow() - timedelta(days=3)
    with pytest.raises(amending.TooLate):
        amending.check_deletable(row)
    line.number.provider = Provider.META
    with pytest.raises(amending.CannotAmend):
        amending.check_deletable(row)
    db.session.rollback()
