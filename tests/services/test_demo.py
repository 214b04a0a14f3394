"""The demo data: into an empty database only, and of one piece with what the services write."""

import itertools
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from crm.db import db
from crm.lib.clock import utcnow
from crm.lib.crypto import decrypt
from crm.lib.passwords import hash_password, verify_password
from crm.local.accounts import DemoAccounts, find_accounts
from crm.models import (
    CHAT_MOVES,
    Campaign,
    Chat,
    ChatEvent,
    ChatStatus,
    Client,
    ClientIdentity,
    Direction,
    File,
    Message,
    MessageType,
    User,
    WhatsappNumber,
)
from crm.services import demo
from crm.services.demo.parts import PARTS
from crm.services.demo.props import PROPS
from crm.services.demo.script import lines_of
from crm.services.demo.talks import TALKS
from crm.services.files.checking import compare_store
from tests import factories

PASSWORD = "prueba-charla-1"


@pytest.fixture
def keys(database: Flask) -> tuple[str, ...]:
    found: tuple[str, ...] = database.config["CRM"].encryption_keys
    return found


@pytest.fixture
def loaded(keys: tuple[str, ...]) -> list[demo.Account]:
    accounts = demo.load_demo(PASSWORD, encryption_keys=keys)
    db.session.expire_all()
    return accounts


def test_it_introduces_one_admin_one_supervisor_and_three_agents(
    loaded: list[demo.Account],
) -> None:
    assert [account.role for account in loaded] == [
        "Super Administrador",
        "Supervisor",
        "Agente",
        "Agente",
        "Agente",
    ]


def test_everybody_signs_in_with_the_password_and_under_a_hash_of_their_own(
    loaded: list[demo.Account],
) -> None:
    hashes = db.session.scalars(select(User.password_hash).where(~User.is_system)).all()
    assert len(set(hashes)) == len(hashes) == 5
    assert all(verify_password(PASSWORD, hashed) for hashed in hashes)


def test_the_welcome_says_who_may_sign_in_and_whether_the_password_still_opens_all(
    loaded: list[demo.Account], environment: dict[str, str]
) -> None:
    db.session.commit()
    found = find_accounts(environment, ("otra-clave-cualquiera", PASSWORD))
    assert found.people == tuple((account.email, account.role) for account in loaded)
    assert found.password == PASSWORD
    assert f"Password      {PASSWORD}   (the same for all)" in found.lines()
    last = db.session.scalars(select(User).where(User.email == loaded[-1].email)).one()
    last.password_hash = hash_password("una-clave-propia-1")
    db.session.commit()
    assert find_accounts(environment, (PASSWORD,)).password is None
    last.deleted_at = utcnow()
    db.session.commit()
    left = find_accounts(environment, (PASSWORD,))
    assert (len(left.people), left.password) == (4, PASSWORD)


def test_without_accounts_no_password_opens_anything(
    database: Flask, environment: dict[str, str]
) -> None:
    assert find_accounts(environment, (PASSWORD,)) == DemoAccounts()


def test_it_refuses_to_load_twice(loaded: list[demo.Account], keys: tuple[str, ...]) -> None:
    before = db.session.scalar(select(func.count()).select_from(Message))
    with pytest.raises(demo.NotEmpty):
        demo.load_demo(PASSWORD, encryption_keys=keys)
    assert db.session.scalar(select(func.count()).select_from(Message)) == before


@pytest.mark.parametrize(
    "build",
    [factories.make_user, factories.make_campaign, factories.make_number, factories.make_client],
)
def test_it_refuses_a_database_in_which_somebody_began(build, keys: tuple[str, ...]) -> None:
    assert demo.is_empty()
    build()
    assert not demo.is_empty()
    with pytest.raises(demo.NotEmpty):
        demo.load_demo(PASSWORD, encryption_keys=keys)


def test_its_numbers_are_the_simulators_with_the_token_encrypted(
    loaded: list[demo.Account], keys: tuple[str, ...]
) -> None:
    numbers = db.session.scalars(select(WhatsappNumber).order_by(WhatsappNumber.id)).all()
    assert [number.meta_phone_number_id for number in numbers] == [
        "100000000000001",
        "100000000000002",
    ]
    for number in numbers:
        assert number.meta_access_token != "simulator-token"
        assert decrypt(number.meta_access_token or "", keys) == "simulator-token"
        assert number.meta_app_secret is None


def test_it_takes_the_token_of_a_simulator_that_has_another(keys: tuple[str, ...]) -> None:
    demo.load_demo(PASSWORD, encryption_keys=keys, access_token="another-token")
    for token in db.session.scalars(select(WhatsappNumber.meta_access_token)):
        assert decrypt(token or "", keys) == "another-token"


def test_every_talk_became_a_chat_and_every_state_is_shown(loaded: list[demo.Account]) -> None:
    statuses = db.session.scalars(select(Chat.status)).all()
    assert len(statuses) == len(TALKS)
    assert set(statuses) == set(ChatStatus)


def test_no_campaign_waits_for_a_bot(loaded: list[demo.Account]) -> None:
    assert not any(db.session.scalars(select(Campaign.bot_enabled)))


def test_the_counters_of_each_chat_agree_with_its_messages(loaded: list[demo.Account]) -> None:
    for chat in db.session.scalars(select(Chat)):
        messages = db.session.scalars(
            select(Message).where(Message.chat_id == chat.id).order_by(Message.position, Message.id)
        ).all()
        said = [row for row in messages if row.message_type != MessageType.REACTION]
        unread = [row for row in said if row.direction == Direction.INBOUND and row.read_at is None]
        assert chat.message_count == len(said), chat.case_number
        assert chat.unread_count == len(unread), chat.case_number
        assert chat.last_message_id == said[-1].id
        assert chat.last_message_at == said[-1].position
        assert messages == sorted(messages, key=lambda row: row.id), "ids follow the thread"


def test_an_answered_chat_waits_for_nobody(loaded: list[demo.Account]) -> None:
    """`waiting_since` is the first word of the customer after our last one, in open chats."""
    for chat in db.session.scalars(select(Chat)):
        answered = func.max(Message.position).filter(Message.direction == Direction.OUTBOUND)
        last_answer = db.session.scalar(
            select(answered).where(Message.chat_id == chat.id, Message.user_id.is_not(None))
        )
        query = select(func.min(Message.position)).where(
            Message.chat_id == chat.id,
            Message.direction == Direction.INBOUND,
            Message.message_type != MessageType.REACTION,
        )
        if last_answer:
            query = query.where(Message.position > last_answer)
        wanted = db.session.scalar(query) if chat.status.is_open else None
        assert chat.waiting_since == wanted, chat.case_number


def test_the_events_of_each_chat_are_allowed_moves_and_end_at_its_status(
    loaded: list[demo.Account],
) -> None:
    for chat in db.session.scalars(select(Chat)):
        events = db.session.scalars(
            select(ChatEvent).where(ChatEvent.chat_id == chat.id).order_by(ChatEvent.id)
        ).all()
        assert events[0].kind == "opened"
        assert events[-1].to_status == chat.status, chat.case_number
        for before, after in itertools.pairwise(events):
            assert after.from_status == before.to_status
            assert after.created_at >= before.created_at
            assert after.to_status in CHAT_MOVES[before.to_status], chat.case_number
        assert all("terms" in (event.data or {}) for event in events)


def test_nothing_lies_in_the_future(loaded: list[demo.Account]) -> None:
    now = utcnow() + timedelta(seconds=1)
    for column in (Message.position, Chat.created_at, Chat.last_message_at, Client.created_at):
        assert db.session.scalar(select(func.max(column))) < now


def test_case_numbers_follow_time(loaded: list[demo.Account]) -> None:
    numbers = db.session.scalars(select(Chat.case_number).order_by(Chat.created_at)).all()
    running = [int(number.rsplit("-", 1)[1]) for number in numbers]
    assert running == sorted(running)


def test_some_windows_are_open_one_is_about_to_close_and_some_are_closed(
    loaded: list[demo.Account],
) -> None:
    ages = [
        utcnow() - moment
        for moment in db.session.scalars(
            select(Chat.last_inbound_at).where(Chat.closed_at.is_(None))
        )
        if moment
    ]
    day = timedelta(hours=24)
    assert any(age < timedelta(hours=1) for age in ages)
    assert any(timedelta(hours=22) < age < day for age in ages)
    assert any(age > day for age in ages)


def test_one_customer_is_known_without_a_phone(loaded: list[demo.Account]) -> None:
    row = db.session.execute(
        select(Client.phone_number, ClientIdentity.kind, ClientIdentity.username)
        .join(ClientIdentity)
        .where(Client.phone_number.is_(None))
    ).one()
    assert row == (None, "user_id", "carlos.mejia")


def test_the_command_loads_it_once_and_then_refuses(database: Flask) -> None:
    db.session.rollback()
    others = sorted(compare_store().nobodys)  # what other tests left there
    runner = database.test_cli_runner()
    first = runner.invoke(args=["demo", "load"])
    assert first.exit_code == 0, first.output
    assert "laura@demo.charla.local" in first.output
    assert "Password: " in first.output
    second = runner.invoke(args=["demo", "load"])
    assert second.exit_code == 1
    assert "empty database only" in second.output
    db.session.rollback()
    assert db.session.scalar(text("SELECT count(*) FROM chats")) == len(TALKS)
    shown = select(Message.message_type, File).join(File, Message.media_file_id == File.id)
    files = db.session.execute(shown).all()
    assert sorted(kind for kind, _ in files) == sorted(prop.kind for prop in PROPS.values())
    assert all(file.related_entity_id and file.sha256 for _, file in files)
    found = compare_store()
    assert (found.files, found.lost) == (len(PROPS), []), "each row has its bytes"
    assert sorted(found.nobodys) == others, "and there are no others"


def test_what_a_talk_names_in_brackets_is_there_and_each_is_used(
    loaded: list[demo.Account],
) -> None:
    named = {line.name for talk in TALKS for line in lines_of(talk, utcnow()) if line.name}
    assert named == {*PROPS, *PARTS}
    kinds = set(db.session.scalars(select(Message.message_type)))
    assert set(MessageType) - kinds == {
        MessageType.SYSTEM,
        MessageType.UNSUPPORTED,
    }


def test_the_customers_phones_hold_the_same_conversations(loaded: list[demo.Account]) -> None:
    phones = demo.describe_phones()
    held = {row["wamid"] for row in phones["messages"]}
    assert held == set(
        db.session.scalars(select(Message.whatsapp_message_id).join(Message.whatsapp_number)
        .where(WhatsappNumber.provider == "meta"))
    )  # fmt: skip
    owners = {row["wa_id"]: row for row in phones["customers"]}
    assert owners.keys() >= {row["wa_id"] for row in phones["messages"]}
    assert owners["573015550142"]["name"] == "Carolina Restrepo"
    (hidden,) = (row for row in owners.values() if row["hidden"])
    assert hidden["username"] == "carlos.mejia"
    assert hidden["user_id"].startswith("CO.")
