"""Writing a message of ours: what is stored, and what is refused."""

import threading
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from crm.db import atomic, db
from crm.errors import Conflict, Invalid
from crm.extensions import redis_client
from crm.lib.clock import utcnow
from crm.models import (
    ChatEvent,
    ChatStatus,
    LeadStatus,
    Message,
    MessageStatus,
    QueuedMessage,
    QueueStatus,
)
from crm.providers.outbound import Text
from crm.services.chats import ChatIsOver, person
from crm.services.messages import outbound
from crm.services.messages.outbound import (
    CannotSend,
    ClientBlocked,
    NotFailed,
    NotWaiting,
    Priority,
    WindowClosed,
    cancel_message,
    find_blocking_message,
    queue_outbound,
    retry_message,
)
from tests.cast import make_cast
from tests.factories import make_chat, make_client, make_message, make_number


@pytest.fixture
def cast(database):
    cast = make_cast()
    db.session.commit()
    return cast


@pytest.fixture
def chat(cast):
    chat = make_chat(campaign=cast.sales, number=cast.number, agent=cast.laura)
    db.session.commit()
    return chat


def write(chat, text="Hola", **more):
    with atomic():
        return queue_outbound(chat, Text(text), **more)


def row_of(message):
    return db.session.scalars(
        select(QueuedMessage)
        .where(QueuedMessage.message_id == message.id)
        .execution_options(populate_existing=True)
    ).one()


def test_it_stores_the_message_and_its_row_in_the_queue(chat, cast):
    message = write(chat, "  Buenos días  ", author=cast.laura)

    assert (message.content, message.status) == ("Buenos días", MessageStatus.PENDING)
    assert (message.user_id, message.is_bot_message) == (cast.laura.id, False)
    assert message.max_retries == 6
    row = row_of(message)
    assert (row.status, row.priority, row.attempts) == (QueueStatus.PENDING, 100, 0)
    assert (row.chat_id, row.whatsapp_number_id) == (chat.id, cast.number.id)
    assert redis_client.llen("rq:queue:delivery") == 1


def test_it_counts_and_makes_the_chat_active(chat, cast):
    before = chat.version
    message = write(chat, author=cast.laura)

    db.session.refresh(chat)
    assert chat.status is ChatStatus.ACTIVE
    assert chat.first_response_at is not None
    assert (chat.message_count, chat.last_message_id) == (1, message.id)
    assert chat.version > before
    assert chat.last_message_at == message.position
    client = chat.client
    assert client.lead_status is LeadStatus.CONTACTED
    assert client.last_contact_at == message.position
    assert "lead_moved" in set(db.session.scalars(select(ChatEvent.kind)))


def test_a_bot_speaks_with_its_own_priority_and_without_making_the_chat_active(chat):
    message = write(chat)
    assert (message.is_bot_message, row_of(message).priority) == (True, Priority.BOT)
    db.session.refresh(chat)
    assert chat.status is ChatStatus.ASSIGNED


def test_the_same_key_again_is_the_same_message(chat, cast):
    key = uuid.uuid4()
    first = write(chat, author=cast.laura, client_key=key)
    second = write(chat, author=cast.laura, client_key=key)
    assert first.id == second.id
    assert db.session.scalar(select(func.count(QueuedMessage.id))) == 1


def test_a_double_click_in_parallel_is_one_message(chat, cast, app):
    key, ids, errors = uuid.uuid4(), [], []
    chat_id, user_id = chat.id, cast.laura.id
    db.session.commit()

    def click():
        with app.app_context():
            try:
                with atomic():
                    from crm.models import Chat, User

                    found = db.session.get_one(Chat, chat_id)
                    author = db.session.get_one(User, user_id)
                    ids.append(
                        queue_outbound(found, Text("Hola"), author=author, client_key=key).id
                    )
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=click) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(set(ids)) == 1
    assert db.session.scalar(select(func.count(Message.id))) == 1


def test_a_key_of_another_chat_is_refused(chat, cast):
    key = uuid.uuid4()
    write(chat, client_key=key)
    other = make_chat(campaign=cast.sales, number=cast.number)
    db.session.commit()
    with pytest.raises(Conflict):
        write(other, client_key=key)


def test_a_second_click_after_the_closing_still_finds_its_message(chat, cast):
    key = uuid.uuid4()
    first = write(chat, author=cast.laura, client_key=key)
    chat.status, chat.closed_at = ChatStatus.CLOSED, utcnow()
    db.session.commit()
    assert write(chat, author=cast.laura, client_key=key).id == first.id
    with pytest.raises(ChatIsOver):
        write(chat, author=cast.laura)
    with pytest.raises(ChatIsOver):
        write(chat)


@pytest.mark.parametrize(
    ("hours", "is_open"), [(1, True), (23.9, True), (23.99, False), (30, False)]
)
def test_outside_the_window_nothing_is_queued(chat, hours, is_open):
    chat.last_inbound_at = utcnow() - timedelta(hours=hours)
    db.session.commit()
    if is_open:
        write(chat)
    else:
        with pytest.raises(WindowClosed):
            write(chat)
        assert db.session.scalar(select(func.count(Message.id))) == 0


def test_the_window_is_the_clients_on_this_number_and_not_the_chats(chat, cast):
    chat.last_inbound_at = None
    other_number = make_number(campaign=cast.sales)
    make_chat(campaign=cast.sales, number=other_number, client=chat.client)
    db.session.commit()
    with pytest.raises(WindowClosed):
        write(chat)
    make_chat(campaign=cast.sales, number=cast.number, client=chat.client, status=ChatStatus.CLOSED)
    db.session.commit()
    write(chat)


def test_it_respects_blocks_and_numbers_that_cannot_send(chat, cast):
    chat.client.is_blocked = True
    db.session.commit()
    with pytest.raises(ClientBlocked):
        write(chat)
    chat.client.is_blocked, cast.number.deleted_at = False, utcnow()
    db.session.commit()
    with pytest.raises(CannotSend):
        write(chat)


def test_it_refuses_nothing_and_too_much_and_cleans_what_postgres_cannot_keep(chat):
    with pytest.raises(Invalid):
        write(chat, " \n\x00 ")
    with pytest.raises(Invalid) as caught:
        write(chat, "a" * 4097)
    assert caught.value.values == {"limit": 4096}
    assert write(chat, "a\x00b\ud83d").content == "ab\ufffd"


def test_who_wants_no_advertising_still_gets_an_answer(chat, cast):
    chat.client.opt_in = False
    db.session.commit()
    assert write(chat, author=cast.laura).status is MessageStatus.PENDING


def test_a_quote_carries_the_providers_id(chat):
    asked = make_message(chat, content="¿Precio?")
    db.session.commit()
    message = write(chat, reply_to=asked)
    assert message.meta == {"quote": {"message_id": asked.whatsapp_message_id}}


def test_a_failed_transaction_leaves_and_rings_nothing(chat):
    def unit():
        with atomic():
            queue_outbound(chat, Text("Hola"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        unit()
    assert db.session.scalar(select(func.count(Message.id))) == 0
    assert redis_client.llen("rq:queue:delivery") == 0


def test_a_waiting_message_can_be_taken_back(chat, cast):
    first, second = write(chat, "uno"), write(chat, "dos")
    assert find_blocking_message(second).id == first.id
    with atomic():
        cancel_message(first, actor=person(cast.laura.id))
    db.session.refresh(first)
    assert (first.status, first.error_code) == (MessageStatus.FAILED, "cancelled")
    assert row_of(first).status is QueueStatus.FAILED
    assert find_blocking_message(second) is None


def test_a_message_on_its_way_cannot_be_taken_back(chat, cast):
    message = write(chat)
    row_of(message).status = QueueStatus.PROCESSING
    db.session.commit()
    with pytest.raises(NotWaiting), atomic():
        cancel_message(message, actor=person(cast.laura.id))


def test_a_failed_message_is_sent_again_behind_what_waits(chat, cast):
    first, second = write(chat, "uno"), write(chat, "dos")
    row = row_of(first)
    row.status, row.attempts = QueueStatus.FAILED, 3
    first.status, first.error_code, first.failed_at = MessageStatus.FAILED, "131000", utcnow()
    db.session.commit()
    position = first.position

    with atomic():
        retry_message(first, actor=person(cast.laura.id))

    db.session.refresh(first)
    assert (first.status, first.error_code, first.failed_at) == (MessageStatus.PENDING, None, None)
    assert first.position == position
    again = row_of(first)
    assert again.id > row_of(second).id
    assert (again.status, again.attempts, again.retries) == (QueueStatus.PENDING, 3, 0)
    with pytest.raises(NotFailed), atomic():
        retry_message(first, actor=person(cast.laura.id))


def test_a_retry_asks_for_the_window_too(chat, cast):
    message = write(chat)
    message.status = MessageStatus.FAILED
    chat.last_inbound_at = utcnow() - timedelta(days=2)
    db.session.commit()
    with pytest.raises(WindowClosed), atomic():
        retry_message(message, actor=person(cast.laura.id))


def test_a_client_without_a_phone_may_be_written_to(cast):
    client = make_client(phone_number=None)
    chat = make_chat(campaign=cast.sales, number=cast.number, client=client)
    db.session.commit()
    assert write(chat).status is MessageStatus.PENDING
    assert outbound.MAX_RETRIES == 6
