"""Alarms open once, go on, end, and are told to whom they concern."""

from __future__ import annotations

import threading

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from crm.db import atomic, db
from crm.models import Alarm, AlarmKind, OutgoingEmail
from crm.permissions import scope_of
from crm.services import alarms
from crm.services.alarms import WORDS, speak
from crm.services.alarms.raising import QUIET_SECONDS
from tests import factories
from tests.cast import make_cast

TOKEN = AlarmKind.TOKEN_EXPIRED


def rows() -> list[Alarm]:
    db.session.expire_all()
    return list(db.session.scalars(select(Alarm).order_by(Alarm.id)))


def age(seconds: int) -> None:
    """Let so much time pass for every alarm."""
    gone = func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    with atomic():
        db.session.execute(
            update(Alarm).values(
                last_seen_at=Alarm.last_seen_at - gone,
                opened_at=Alarm.opened_at - gone,
                announced_at=Alarm.announced_at - gone,
            )
        )


def test_the_same_trouble_is_one_open_alarm(database: Flask) -> None:
    with atomic():
        assert alarms.raise_alarm(TOKEN, subject="7", facts={"n": 1})
        assert not alarms.raise_alarm(TOKEN, subject="7", facts={"n": 1})
        assert alarms.raise_alarm(TOKEN, subject="8")
    assert [(row.subject, row.count) for row in rows()] == [("7", 1), ("8", 1)]


def test_a_recurrence_is_counted_and_brings_its_facts(database: Flask) -> None:
    with atomic():
        alarms.raise_alarm(TOKEN, subject="7", facts={"n": 1})
    age(QUIET_SECONDS + 1)
    with atomic():
        assert not alarms.raise_alarm(TOKEN, subject="7", facts={"n": 1})
        assert not alarms.raise_alarm(TOKEN, subject="7", facts={"n": 2})
    [row] = rows()
    assert (row.count, row.facts) == (3, {"n": 2})


def test_an_ended_alarm_opens_anew(database: Flask) -> None:
    with atomic():
        alarms.raise_alarm(TOKEN, subject="7")
    with atomic():
        assert alarms.end_alarm(TOKEN, subject="7")
        assert not alarms.end_alarm(TOKEN, subject="7")
    with atomic():
        assert alarms.raise_alarm(TOKEN, subject="7")
    assert [row.is_open for row in rows()] == [False, True]


def test_many_at_once_open_one(database: Flask) -> None:
    opened: list[bool] = []

    def cry() -> None:
        with database.app_context(), atomic():
            opened.append(alarms.raise_alarm(TOKEN, subject="7"))

    threads = [threading.Thread(target=cry) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(opened) == [False] * 5 + [True]
    assert len(rows()) == 1


def test_an_event_is_over_when_it_is_seen_and_a_state_is_not(database: Flask) -> None:
    with atomic():
        boss = factories.make_user(role="super_admin")
        alarms.raise_alarm(AlarmKind.TEMPLATE_REJECTED, subject="saludo")
        alarms.raise_alarm(TOKEN, subject="7")
    with atomic():
        assert alarms.acknowledge_all(scope_of(boss), by=boss.id) == 2
    rejected, token = rows()
    assert rejected.ended_at is not None
    assert token.ended_at is None
    assert token.acknowledged_by == boss.id


def test_a_supervisor_sees_what_concerns_everybody_and_own_campaigns(database: Flask) -> None:
    with atomic():
        cast = make_cast()
        elsewhere = factories.make_number(campaign=factories.make_campaign())
        alarms.raise_alarm(TOKEN, subject="own", number_id=cast.number.id)
        alarms.raise_alarm(TOKEN, subject="foreign", number_id=elsewhere.id)
        alarms.raise_alarm(TOKEN, subject="all")
        alarms.raise_alarm(
            TOKEN, subject="campaign", campaign_id=elsewhere.campaign_links[0].campaign_id
        )
    supervisor, boss = scope_of(cast.marta), scope_of(cast.admin)
    assert {row.subject for row in alarms.list_open(supervisor)} == {"own", "all"}
    assert alarms.find_bell(supervisor).count == 2
    assert alarms.find_bell(boss).count == 4
    newest = alarms.find_bell(boss).newest
    assert newest is not None
    assert newest.kind == TOKEN


def test_a_severe_alarm_is_mailed_once_to_whom_it_concerns(database: Flask) -> None:
    with atomic():
        cast = make_cast()
        outsider = factories.make_user(role="supervisor")
        alarms.raise_alarm(TOKEN, subject="7", number_id=cast.number.id)
        alarms.raise_alarm(AlarmKind.WEBHOOK_UNKNOWN)
    [due] = alarms.find_unannounced()
    with atomic():
        told = alarms.announce(due)
        assert alarms.announce(due) == 0
    mailed = set(db.session.scalars(select(OutgoingEmail.user_id)))
    assert {cast.admin.id, cast.marta.id} <= mailed
    assert not mailed & {outsider.id, cast.laura.id}
    assert told == len(mailed)
    assert alarms.find_unannounced() == []


def test_a_trouble_that_comes_and_goes_is_not_mailed_each_time(database: Flask) -> None:
    with atomic():
        factories.make_user(role="super_admin")
    told = []
    for pause in (60, 7200, 0):
        with atomic():
            alarms.raise_alarm(TOKEN)
        with atomic():
            told.append(alarms.announce(alarms.find_unannounced()[0]))
            alarms.end_alarm(TOKEN)
        age(pause)
    assert told == [1, 0, 1]


def test_metas_words_for_a_restriction_are_explained_and_new_ones_stay() -> None:
    reason = "ACCOUNT_RESTRICTION, RESTRICTED_BIZ_INITIATED_MESSAGING, SPAM"
    said = speak(AlarmKind.ACCOUNT_RESTRICTED, {"reason": reason}, translate=lambda text: text)
    words = "the account is restricted, customers may not be written to first, SPAM"
    assert said.meaning.endswith(f"Meta said: {words}")


@pytest.mark.parametrize("kind", AlarmKind)
def test_every_kind_has_words_that_need_no_fact(kind: AlarmKind) -> None:
    assert kind in WORDS
    said = speak(kind, {}, translate=lambda text: text)
    assert all((said.title, said.meaning, said.cure))
    assert "%(" not in f"{said}"
