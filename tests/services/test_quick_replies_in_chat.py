"""Quick replies in a chat: the nearest wins, variables are filled, uses are counted."""

import pytest

from crm.db import atomic, db
from crm.models import QuickReply
from crm.permissions import scope_of
from crm.providers.outbound import Text
from crm.services import quick_replies
from crm.services.messages.outbound import queue_outbound
from tests.cast import make_cast
from tests.factories import make_chat, make_client, save


@pytest.fixture
def cast(database):
    cast = make_cast()
    db.session.commit()
    return cast


def reply(content, **fields):
    return save(QuickReply(shortcut="hola", title="Saludo", content=content, **fields))


def test_personal_beats_campaign_beats_everybodys(cast):
    chat = make_chat(campaign=cast.sales, number=cast.number, agent=cast.laura)
    rows = [
        reply("de todos"),
        reply("de la campaña", campaign_id=cast.sales.id),
        reply("mía", user_id=cast.laura.id),
    ]
    db.session.commit()
    scope = scope_of(cast.laura)
    for row in reversed(rows):
        found = quick_replies.find_for_chat(scope, chat, author=cast.laura)
        assert [one["content"] for one in found] == [row.content]
        row.is_active = False
        db.session.commit()


def test_variables_are_filled_and_unknown_ones_stay_to_be_seen(cast):
    client = make_client(first_name="Ana", last_name="Ruiz")
    chat = make_chat(campaign=cast.sales, number=cast.number, client=client, agent=cast.laura)
    reply("Hola {{client_name}}, soy {{ agent_name }} ({{case_number}}) {{nada}}")
    db.session.commit()
    found = quick_replies.find_for_chat(scope_of(cast.laura), chat, author=cast.laura)
    assert found[0]["content"] == (
        f"Hola Ana, soy {cast.laura.first_name} ({chat.case_number}) {{{{nada}}}}"
    )


def test_a_message_that_began_with_one_counts_as_a_use(cast):
    chat = make_chat(campaign=cast.sales, number=cast.number, agent=cast.laura)
    row = reply("Hola")
    db.session.commit()
    with atomic():
        message = queue_outbound(chat, Text("Hola"), author=cast.laura, quick_reply_id=row.id)
    assert message.quick_reply_id == row.id
    db.session.refresh(row)
    assert row.usage_count == 1


def test_a_reply_of_somebody_else_is_no_reply(cast):
    theirs = reply("secreto", user_id=cast.jhon.id)
    db.session.commit()
    scope = scope_of(cast.laura)
    assert quick_replies.find_reply_id(scope, theirs.id) is None
    assert quick_replies.find_reply_id(scope, 2**40) is None
