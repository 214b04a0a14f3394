"""Chats that an agent begins: pending and theirs, and never a second one."""

import pytest
from sqlalchemy import func, select

from crm.db import atomic, db
from crm.errors import Invalid, NotFound
from crm.models import Chat, ChatStatus, Client, Message, Template, TemplateStatus
from crm.permissions import scope_of
from crm.services import starting
from tests.cast import make_cast
from tests.factories import make_campaign, make_chat, make_client, save


@pytest.fixture
def cast(database):
    cast = make_cast()
    db.session.commit()
    return cast


@pytest.fixture
def template(cast):
    template = save(
        Template(
            whatsapp_number_id=cast.number.id,
            template_name="hola",
            language="es",
            category="UTILITY",
            body_content="Hola, {{1}}: le escribimos de la tienda.",
            variables=["nombre"],
            status=TemplateStatus.APPROVED,
        )
    )
    db.session.commit()
    return template


def begin(cast, client, **more):
    with atomic():
        return starting.start_chat(
            scope_of(cast.laura),
            user=cast.laura,
            client_id=client.id,
            campaign_id=cast.sales.id,
            **more,
        )


def test_it_begins_with_a_template_pending_and_theirs(cast, template):
    client = make_client()
    db.session.commit()
    chat = begin(cast, client, template_id=template.id, values={"body.1": "Ana"})
    db.session.refresh(chat)
    assert (chat.status, chat.assigned_agent_id) == (ChatStatus.PENDING, cast.laura.id)
    assert chat.first_response_at is None
    message = db.session.scalars(select(Message)).one()
    assert message.content == "Hola, Ana: le escribimos de la tienda."


def test_an_open_chat_is_opened_instead(cast, template):
    client = make_client()
    there = make_chat(campaign=cast.sales, number=cast.number, client=client, agent=cast.laura)
    db.session.commit()
    assert begin(cast, client, template_id=template.id, values={"body.1": "Ana"}).id == there.id
    assert db.session.scalar(select(func.count(Message.id))) == 0


def test_a_closed_window_asks_for_a_template_and_an_open_one_does_not(cast):
    stranger, recent = make_client(), make_client()
    make_chat(campaign=cast.sales, number=cast.number, client=recent, status=ChatStatus.CLOSED)
    db.session.commit()
    with pytest.raises(Invalid, match="template"):
        begin(cast, stranger)
    assert begin(cast, recent).status is ChatStatus.PENDING
    assert db.session.scalar(select(func.count(Chat.id)).where(Chat.client_id == stranger.id)) == 0


def test_what_is_missing_in_the_template_leaves_no_chat_behind(cast, template):
    client = make_client()
    db.session.commit()
    with pytest.raises(Invalid, match="Fill in"):
        begin(cast, client, template_id=template.id)
    assert db.session.scalar(select(func.count(Chat.id))) == 0


def test_a_campaign_of_others_is_none(cast):
    client, other = make_client(), make_campaign()
    db.session.commit()
    with pytest.raises(NotFound):
        starting.look_ahead(scope_of(cast.laura), client_id=client.id, campaign_id=other.id)


def test_every_spelling_of_a_phone_is_the_same_person(cast):
    with atomic():
        first = starting.add_client("+55 11 98765-4321", first_name="Ana", created_by=cast.laura.id)
        again = starting.add_client("+55 11 8765-4321", first_name="", created_by=cast.laura.id)
        local = starting.add_client("300 123 4567", first_name="", created_by=cast.laura.id)
    assert first.id == again.id
    assert (local.phone_number, local.country) == ("+573001234567", "CO")
    with pytest.raises(Invalid, match="country"):
        starting.add_client("hola", first_name="", created_by=cast.laura.id)
    assert db.session.scalar(select(func.count(Client.id))) == 2


def test_customers_are_found_by_name_and_by_digits(cast):
    ana = make_client(first_name="Ána", last_name="Ruiz", phone_number="+573005557788")
    make_client(first_name="Luis", last_name="Gil")
    db.session.commit()
    assert [row.id for row in starting.find_clients("ana ru")] == [ana.id]
    assert [row.id for row in starting.find_clients("5557788")] == [ana.id]
