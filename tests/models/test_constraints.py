"""What the database itself refuses, whoever writes."""

import re
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum

import pytest
from flask import Flask
from sqlalchemy import CheckConstraint, Enum, delete, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from crm.db import db
from crm.lib.clock import utcnow
from crm.models import (
    OPEN_CHAT_SQL,
    AgentMetrics,
    AgentState,
    AgentStatus,
    Chat,
    ChatStatus,
    Message,
    Permission,
    QueuedMessage,
    Template,
    WhatsappNumber,
)
from tests import factories

pytestmark = pytest.mark.usefixtures("database")


def refused(row: object, match: str) -> None:
    """The row breaks the named rule of the database."""
    with pytest.raises(IntegrityError, match=match), db.session.begin_nested():
        factories.save(row)


def test_a_second_open_chat_of_a_client_on_a_number_is_refused() -> None:
    chat = factories.make_chat()
    with pytest.raises(IntegrityError, match="uq_chats_open"), db.session.begin_nested():
        factories.make_chat(
            campaign=chat.campaign,
            number=chat.whatsapp_number,
            client=chat.client,
            status=ChatStatus.PENDING,
        )


@pytest.mark.parametrize("ended", [ChatStatus.CLOSED, ChatStatus.ABANDONED])
def test_an_ended_chat_makes_room_for_a_new_one(ended: ChatStatus) -> None:
    chat = factories.make_chat(status=ended)
    again = factories.make_chat(
        campaign=chat.campaign, number=chat.whatsapp_number, client=chat.client
    )
    assert again.id != chat.id


def test_a_deleted_chat_makes_room_for_a_new_one() -> None:
    chat = factories.make_chat(deleted_at=utcnow())
    factories.make_chat(campaign=chat.campaign, number=chat.whatsapp_number, client=chat.client)


def test_the_same_client_may_write_to_two_numbers_at_once() -> None:
    chat = factories.make_chat()
    factories.make_chat(campaign=chat.campaign, number=factories.make_number(), client=chat.client)


def test_an_upsert_finds_the_open_chat_by_the_published_predicate() -> None:
    chat = factories.make_chat()
    insertion = (
        upsert(Chat)
        .values(
            client_id=chat.client_id,
            campaign_id=chat.campaign_id,
            whatsapp_number_id=chat.whatsapp_number_id,
            case_number="ANOTHER-2026-000001",
        )
        .on_conflict_do_nothing(
            index_elements=["client_id", "whatsapp_number_id"], index_where=text(OPEN_CHAT_SQL)
        )
        .returning(Chat.id)
    )
    assert db.session.scalars(insertion).all() == []


def test_every_status_outside_the_final_ones_counts_as_open_in_the_index() -> None:
    campaign, number = factories.make_campaign(), factories.make_number()
    for status in ChatStatus:
        client = factories.make_client()
        factories.make_chat(campaign=campaign, number=number, client=client, status=status)
        found = db.session.scalars(
            select(Chat.status).where(Chat.client_id == client.id, text(OPEN_CHAT_SQL))
        ).all()
        assert bool(found) == status.is_open, status


def test_two_figures_of_one_person_for_one_day_are_refused_without_campaign_and_hour() -> None:
    user = factories.make_user()
    day = utcnow().date()
    db.session.add(AgentMetrics(user_id=user.id, date=day))
    db.session.flush()
    refused(AgentMetrics(user_id=user.id, date=day), "uq_agent_metrics")


def test_two_figures_of_one_person_for_one_hour_are_refused_without_campaign() -> None:
    user = factories.make_user()
    day = utcnow().date()
    db.session.add(AgentMetrics(user_id=user.id, date=day, hour=9))
    db.session.flush()
    db.session.add(AgentMetrics(user_id=user.id, date=day, hour=10))
    db.session.flush()
    refused(AgentMetrics(user_id=user.id, date=day, hour=9), "uq_agent_metrics")


def test_an_upsert_of_a_figure_without_campaign_finds_its_row() -> None:
    user = factories.make_user()
    for sent in (3, 4):
        statement = upsert(AgentMetrics).values(
            user_id=user.id, date=utcnow().date(), messages_sent=sent
        )
        db.session.execute(
            statement.on_conflict_do_update(
                index_elements=["user_id", "campaign_id", "date", "hour"],
                set_={"messages_sent": statement.excluded.messages_sent},
            )
        )
    assert db.session.scalars(select(AgentMetrics.messages_sent)).all() == [4]


def test_a_permission_without_resource_cannot_be_there_twice() -> None:
    refused(
        Permission(module="chats", action="read", name="chats.read.copy", display_name="Copia"),
        "uq_permissions_module_action_resource",
    )


def test_a_permission_for_a_narrower_object_may_stand_beside_the_wide_one() -> None:
    with db.session.begin_nested() as savepoint:
        db.session.add(
            Permission(
                module="reports",
                action="read",
                resource="csat",
                name="reports.read.csat",
                display_name="Ver CSAT",
            )
        )
        db.session.flush()
        savepoint.rollback()


def test_one_composed_message_is_stored_once() -> None:
    chat = factories.make_chat()
    first = factories.make_message(chat, direction="outbound")
    with pytest.raises(IntegrityError, match="uq_messages_client_key"), db.session.begin_nested():
        factories.make_message(chat, direction="outbound", client_key=first.client_key)


def test_one_provider_id_is_stored_once() -> None:
    chat = factories.make_chat()
    first = factories.make_message(chat)
    with pytest.raises(IntegrityError, match="whatsapp_message_id"), db.session.begin_nested():
        factories.make_message(chat, whatsapp_message_id=first.whatsapp_message_id)


def test_a_message_is_queued_once() -> None:
    message = factories.make_queued_message(factories.make_chat())
    refused(
        QueuedMessage(
            message_id=message.id,
            chat_id=message.chat_id,
            whatsapp_number_id=message.whatsapp_number_id,
        ),
        "uq_message_queue_message_id",
    )


def test_a_person_is_in_one_state_at_a_time() -> None:
    user = factories.make_user()
    refused(AgentState(user_id=user.id, status=AgentStatus.PAUSED), "uq_agent_states_open")
    open_state = db.session.scalars(select(AgentState).where(AgentState.user_id == user.id)).one()
    open_state.ended_at = utcnow() + timedelta(seconds=1)
    db.session.flush()
    factories.save(AgentState(user_id=user.id, status=AgentStatus.PAUSED))


def test_a_phone_number_id_of_meta_belongs_to_one_living_number() -> None:
    number = factories.make_number()
    with (
        pytest.raises(IntegrityError, match="uq_whatsapp_numbers_meta_phone_number_id"),
        db.session.begin_nested(),
    ):
        factories.make_number(meta_phone_number_id=number.meta_phone_number_id)
    number.deleted_at = utcnow()
    db.session.flush()
    factories.make_number(meta_phone_number_id=number.meta_phone_number_id)


def test_a_template_is_there_once_per_number_and_language() -> None:
    number = factories.make_number()

    def template(language: str) -> Template:
        return Template(
            whatsapp_number_id=number.id,
            template_name="saludo",
            language=language,
            body_content="Hola",
        )

    factories.save(template("es"))
    factories.save(template("en"))
    refused(template("es"), "uq_templates")


def test_a_number_with_chats_cannot_be_deleted_for_good() -> None:
    chat = factories.make_chat()
    deletion = delete(WhatsappNumber).where(WhatsappNumber.id == chat.whatsapp_number_id)
    with pytest.raises(IntegrityError), db.session.begin_nested():
        db.session.execute(deletion)


def test_deleting_the_last_message_leaves_its_chat_without_one() -> None:
    chat = factories.make_chat()
    message = factories.make_message(chat)
    db.session.execute(text("DELETE FROM messages WHERE id = :id"), {"id": message.id})
    db.session.expire(chat)
    assert chat.last_message_id is None


def test_python_none_is_sql_null_in_a_json_column() -> None:
    message = factories.make_message(factories.make_chat(), meta=None)
    found = db.session.scalars(
        select(Message.id).where(Message.id == message.id, Message.meta.is_(None))
    ).all()
    assert found == [message.id]


def enum_columns() -> Iterator[tuple[str, str, type[StrEnum]]]:
    for table in db.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, Enum) and column.type.enum_class is not None:
                yield table.name, column.name, column.type.enum_class


@pytest.mark.parametrize(("table", "column", "enum"), list(enum_columns()))
def test_the_check_of_a_column_and_its_enum_list_the_same_values(
    table: str, column: str, enum: type[StrEnum]
) -> None:
    definition = db.session.scalar(
        text(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid = CAST(:table AS regclass) AND conname = :name"
        ),
        {"table": table, "name": f"ck_{table}_{column}"},
    )
    assert definition, f"{table}.{column} has no CHECK"
    assert set(re.findall(r"'([^']*)'", definition)) == {member.value for member in enum}


def test_a_value_outside_a_check_is_refused_even_past_the_orm(app: Flask) -> None:
    user = factories.make_user()
    with pytest.raises(IntegrityError, match="ck_users_status"), db.session.begin_nested():
        db.session.execute(
            text("UPDATE users SET status = 'asleep' WHERE id = :id"), {"id": user.id}
        )


def test_every_check_has_a_name_of_its_table() -> None:
    for table in db.metadata.sorted_tables:
        for constraint in table.constraints:
            if isinstance(constraint, CheckConstraint):
                assert constraint.name, table.name


def test_a_server_default_reaches_the_object_after_the_flush() -> None:
    chat = factories.make_chat()
    assert (chat.version, chat.unread_count, chat.message_count) == (0, 0, 0)
    assert chat.created_at.tzinfo is not None


def test_a_message_changes_its_chats_counters_in_place() -> None:
    """No index holds what every message changes: else each would write into all of them."""
    chat = factories.make_chat()
    statistics = text("SELECT pg_stat_get_xact_tuples_hot_updated('chats'::regclass)")
    before = db.session.scalar(statistics) or 0
    db.session.execute(
        text(
            "UPDATE chats SET last_message_at = now(), last_inbound_at = now(), "
            "updated_at = now(), waiting_since = now(), unread_count = 1, message_count = 1, "
            "version = 1 WHERE id = :id"
        ),
        {"id": chat.id},
    )
    assert db.session.scalar(statistics) == before + 1
