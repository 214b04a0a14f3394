"""The ledger: counts by hour, alarms that open and end by themselves, processing again, purging."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update

from crm.db import atomic, db
from crm.errors import Conflict
from crm.jobs import ledger as jobs
from crm.lib.clock import utcnow
from crm.models import (
    Alarm,
    AlarmKind,
    Message,
    WebhookEvent,
    WebhookHour,
    WebhookReplay,
    WhatsappNumber,
)
from crm.permissions import scope_of
from crm.services import alarms
from crm.services.alarms.words import WORDS
from crm.services.hourly import hour_of
from crm.services.ledger import contents, hours, kinds, purging, reading, replays, watching
from crm.services.ledger.reading import LedgerQuery
from crm.services.messages.replay import replay
from tests.factories import link_number, make_campaign, make_number, make_user, save
from tests.providers.deliveries import OWN, PHONE_NUMBER_ID, body, status, words
from tests.services.test_inbound import take_in


@pytest.fixture
def number(database: Flask) -> WhatsappNumber:
    number = make_number(campaign=make_campaign(), meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    return number


def failed(raw: bytes = b"", **fields: Any) -> WebhookEvent:
    """A delivery that could not be stored, whole in itself."""
    given = {"provider": "meta", "status": "failed", "problems": [{"reason": "refused"}]}
    return save(WebhookEvent(body=raw or body(words("wamid.1")), **{**given, **fields}))


def watch() -> dict[str, Alarm]:
    """Let the clock look, as often as it says that there is news; the open alarms by kind."""
    for _ in range(3):
        if not watching.has_news():
            break
        db.session.rollback()
        with atomic():
            watching.watch()
    else:
        raise AssertionError("the clock would ring for ever")
    db.session.rollback()
    db.session.expire_all()
    return {a.kind: a for a in db.session.scalars(select(Alarm).where(Alarm.ended_at.is_(None)))}


def test_a_failed_delivery_alarms_until_it_is_processed(number: WhatsappNumber) -> None:
    assert watch() == {}
    with atomic():
        row = failed(status="partly")
    assert watch()[AlarmKind.WEBHOOK_FAILED].facts["count"] == 1
    place = WORDS[AlarmKind.WEBHOOK_FAILED].place
    assert place is not None
    ((listed, _size),), _more = reading.list_deliveries(LedgerQuery(**place.fixed))
    assert listed.id == row.id, "where the alarm leads"
    with atomic():
        run = replays.begin_replay(ids=[row.id], by=None)
    jobs.replay(run.id)
    assert watch() == {}
    assert db.session.scalar(select(func.count()).select_from(Message)) == 1


def test_one_more_failure_asks_again_who_has_seen_the_first(number: WhatsappNumber) -> None:
    with atomic():
        boss = make_user(role="super_admin")
        failed()
    alarm = watch()[AlarmKind.WEBHOOK_FAILED]
    with atomic():
        alarms.acknowledge(alarm, by=boss.id)
    assert alarms.find_bell(scope_of(boss)).count == 0
    with atomic():
        failed()
    assert watch()[AlarmKind.WEBHOOK_FAILED].acknowledged_at is None
    assert alarms.find_bell(scope_of(boss)).count == 1


def test_what_is_set_aside_alarms_no_more(number: WhatsappNumber) -> None:
    with atomic():
        boss = make_user(role="super_admin")
        row = failed()
    assert watch()
    with atomic():
        reading.set_aside(row, by=boss.id)
    assert watch() == {}
    with atomic():
        reading.set_aside(row, by=None)
    assert AlarmKind.WEBHOOK_FAILED in watch()


def test_an_unknown_kind_is_told_once(number: WhatsappNumber) -> None:
    with atomic():
        boss = make_user(role="super_admin")
    take_in(body(field="from_the_future"))
    alarm = watch()[AlarmKind.WEBHOOK_UNKNOWN]
    with atomic():
        alarms.acknowledge(alarm, by=boss.id)
    assert watch() == {}
    take_in(body(field="from_the_future"))
    assert watch()[AlarmKind.WEBHOOK_UNKNOWN].facts["count"] == 1


def test_what_waits_is_told_and_processed_when_its_number_gets_a_campaign(
    database: Flask,
) -> None:
    number = make_number(meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    take_in(body(words("wamid.1")), body(words("wamid.2")))
    take_in(body(words("wamid.3"), number="999"))
    told = watch()
    assert told[AlarmKind.NUMBER_WAITING].facts["count"] == 2
    assert told[AlarmKind.NUMBER_WAITING].whatsapp_number_id == number.id
    assert told[AlarmKind.NUMBER_UNKNOWN].facts["id"] == "999"
    assert replays.find_served_numbers() == []
    link_number(make_campaign(), number)
    db.session.commit()
    assert replays.find_served_numbers() == [number.id]
    db.session.rollback()
    jobs.serve(number.id)
    assert replays.find_served_numbers() == []
    assert set(watch()) == {AlarmKind.NUMBER_UNKNOWN}
    assert db.session.scalar(select(func.count()).select_from(Message)) == 2


def test_a_run_ends_counts_and_leaves_what_fails_as_it_is(number: WhatsappNumber) -> None:
    with atomic():
        for n in range(45):
            failed(body(words(f"wamid.{n}")))
        failed(b"{not json", problems=[{"reason": "entry_unreadable"}])
        run = replays.begin_replay(query=LedgerQuery(status="trouble"), by=None)
        assert run.total == 46
    with atomic(), pytest.raises(Conflict):
        replays.begin_replay(ids=[1], by=None)
    later = failed(body(words("wamid.later")))
    db.session.commit()
    jobs.replay(run.id)
    db.session.expire_all()
    run = db.session.scalars(select(WebhookReplay)).one()
    assert (run.done, run.processed) == (46, 45)
    assert run.finished_at is not None
    assert later.status == "failed"
    assert db.session.scalar(select(func.count()).select_from(Message)) == 45


def test_a_run_goes_on_where_it_was_and_stops_when_asked(number: WhatsappNumber) -> None:
    with atomic():
        ids = [failed(body(words(f"wamid.{n}"))).id for n in range(30)]
        run = replays.begin_replay(ids=ids, by=None)
    with atomic():
        assert replays.replay_some(run.id)[1]
    assert replays.find_open_replays() == [run.id]
    db.session.rollback()
    with atomic():
        assert replays.stop_replay(run.id).cancelled
    jobs.replay(run.id)
    db.session.expire_all()
    assert db.session.get_one(WebhookReplay, run.id).done == replays.AT_ONCE


def test_processing_again_what_is_stored_changes_nothing(number: WhatsappNumber) -> None:
    take_in(body(words("wamid.1")), body(words("wamid.2")))
    before = db.session.execute(text("SELECT id, content, status FROM messages")).all()
    for _ in range(2):
        with atomic():
            run = replays.begin_replay(query=LedgerQuery(status="processed"), by=None)
        jobs.replay(run.id)
    assert db.session.execute(text("SELECT id, content, status FROM messages")).all() == before


def test_hours_are_counted_by_number_and_counted_anew(number: WhatsappNumber) -> None:
    now = utcnow()
    with atomic():
        for hours_ago, status in ((0, "processed"), (0, "failed"), (1, "partly"), (30, "waiting")):
            at = now - timedelta(hours=hours_ago)
            failed(status=status, received_at=at, whatsapp_number_id=number.id)
        failed(status="processed", received_at=now, unknown_count=1)
    jobs.count(now.isoformat())
    day = hours.chart(hours=24)
    assert len(day) == 24
    assert (day[-1].processed, day[-1].trouble, day[-1].unknown) == (2, 1, 1)
    assert (day[-2].trouble, day[-2].total) == (1, 1)
    assert sum(hour.total for hour in hours.chart(hours=72)) == 5
    assert hours.chart(hours=24, number_id=number.id)[-1].processed == 1
    with atomic():
        db.session.execute(update(WebhookEvent).values(status="processed"))
        hours.recount([now])
    assert hours.chart(hours=24)[-1].trouble == 0


def test_a_long_silence_is_counted_in_one_go(number: WhatsappNumber) -> None:
    now = utcnow()
    with atomic():
        failed(received_at=now - timedelta(days=20))
    jobs.count((now - timedelta(minutes=1)).isoformat())
    with atomic():
        failed(received_at=now)
    jobs.count(now.isoformat())
    jobs.count((now + timedelta(minutes=1)).isoformat())
    assert db.session.scalar(select(func.sum(WebhookHour.trouble))) == 2


def test_old_deliveries_go_and_what_asks_for_somebody_stays_longer(number: WhatsappNumber) -> None:
    now = utcnow()
    with atomic():
        for age in (29, 31, 61):
            at = now - timedelta(days=age)
            failed(status="processed", received_at=at)
            failed(status="failed", received_at=at)
            failed(status="failed", received_at=at, set_aside_at=now)
    with atomic():
        assert purging.remove_old(days=30) == 5
    left = db.session.execute(select(WebhookEvent.status, WebhookEvent.set_aside_at.is_not(None)))
    assert sorted(left.all()) == [
        ("failed", False), ("failed", False), ("failed", True), ("processed", False),
    ]  # fmt: skip


def test_long_bodies_come_in_parts_and_broken_ones_as_they_are(database: Flask) -> None:
    big = b'{"a": "' + b"x" * (5 * 1024 * 1024) + b'"}'
    with atomic():
        short, broken = failed(b'{"a":1}'), failed(b"\xff\x00{")
        long, deep = failed(big), failed(b"[" * 5000)
    assert reading.read_body(short.id).text == '{\n  "a": 1\n}'
    assert not reading.read_body(broken.id).pretty
    assert not reading.read_body(deep.id).pretty
    part = reading.read_body(long.id, page=10**6)
    assert (part.number, part.pretty) == (part.pages, False)
    parts = (reading.read_body(long.id, page=n).text for n in range(1, part.pages + 1))
    assert "".join(parts) == big.decode()


FILTERS = {
    "all": LedgerQuery(),
    "processed": LedgerQuery(status="processed"),
    "trouble": LedgerQuery(status="trouble"),
    "waiting": LedgerQuery(status="waiting"),
    "unknown": LedgerQuery(kind="unknown"),
    "messages": LedgerQuery(kind="message"),
    "templates": LedgerQuery(kind="template"),
    "templates in trouble": LedgerQuery(kind="template", status="trouble"),
    "templates of a number": LedgerQuery(kind="template", number_id=1),
    "hour": LedgerQuery(hour=hour_of(utcnow() - timedelta(days=3))),
    "number": LedgerQuery(number_id=1),
}


@pytest.fixture
def full(database: Flask) -> int:
    """A ledger with many rows, nearly all of them well; the id of its number."""
    with atomic():
        number_id = make_number().id
        db.session.execute(
            text("""
                INSERT INTO webhook_events (provider, whatsapp_number_id, body, status,
                                            unknown_count, holds, received_at)
                SELECT 'meta', CASE WHEN n % 10 > 0 THEN :number END, '{}',
                       CASE WHEN n % 997 = 0 THEN 'failed' WHEN n % 499 = 0 THEN 'waiting'
                            ELSE 'processed' END,
                       (n % 1009 = 0)::int,
                       CASE WHEN n % 4 = 0 THEN '{"message": []}'::jsonb
                            WHEN n % 997 = 0 THEN '{"template": []}' ELSE '{"receipt": []}' END,
                       now() - interval '6 seconds' * (60000 - n)
                FROM generate_series(1, 60000) n
            """),
            {"number": number_id},
        )
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE webhook_events"))
    return number_id


def test_no_list_of_a_full_ledger_reads_the_whole_table(full: int) -> None:
    for name, query in FILTERS.items():
        if query.number_id:
            query = replace(query, number_id=full)
        rows, more = reading.list_deliveries(query)
        assert rows, name
        place = (rows[-1][0].received_at, rows[-1][0].id)
        for part in (query, LedgerQuery(**{**vars(query), "before": place})):
            plan = explain(part)
            assert "Seq Scan on webhook_events" not in plan, f"{name}:\n{plan}"
            assert removed(plan) < 5000, f"{name}:\n{plan}"
    assert more is not None


def explain(query: LedgerQuery) -> str:
    order = (WebhookEvent.received_at.desc(), WebhookEvent.id.desc())
    statement = select(WebhookEvent.id).where(*query.criteria(), *query.place()).order_by(*order)
    compiled = statement.limit(reading.PAGE + 1).compile(
        db.engine, compile_kwargs={"literal_binds": True}
    )
    lines = db.session.execute(text(f"EXPLAIN (ANALYZE, TIMING OFF) {compiled}")).scalars()
    return "\n".join(lines)


def removed(plan: str) -> int:
    """How many rows were read for nothing."""
    marks = [line.rpartition(":")[2] for line in plan.splitlines() if "Rows Removed" in line]
    return sum(map(int, marks))


def test_the_list_turns_pages_without_a_gap_or_a_double(full: int) -> None:
    query, seen = LedgerQuery(status="waiting"), []
    while True:
        rows, more = reading.list_deliveries(query)
        seen += [row.id for row, _size in rows]
        if not more:
            break
        query = LedgerQuery(status="waiting", before=(rows[-1][0].received_at, seen[-1]))
    every = db.session.scalars(select(WebhookEvent.id).where(WebhookEvent.status == "waiting"))
    assert seen == sorted(every, reverse=True)


def test_each_kind_of_delivery_tells_what_it_holds(database: Flask) -> None:
    """Every body that we keep as an example, as the list and as the page reads it: no words of
    anybody in it, no whole phone number, and both say the same.
    """
    for path in sorted(OWN.glob("*.json")):
        with atomic():
            row = failed(path.read_bytes())
        found = contents.find_contents(row.id)
        assert {content.what for content in found} <= set(kinds.KINDS), path.name
        assert all(content.who is None or len(content.who) <= 5 for content in found), path.name
        with atomic():
            replay(row.id)
        held = kinds.contents_of(reading.load_delivery(row.id).holds)
        assert {content.alike for content in held} == {content.alike for content in found}, (
            path.name
        )
        assert sum(content.count for content in held) == sum(content.count for content in found)


def test_a_long_delivery_is_summed_up_by_kind(number: WhatsappNumber) -> None:
    ticks = [status(f"wamid.{n}", "read" if n % 2 else "delivered") for n in range(300)]
    news = [body(field=f"news_{n}") for n in range(30)]
    entries = [json.loads(raw)["entry"][0] for raw in [body(statuses=ticks), *news]]
    take_in(json.dumps({"object": "whatsapp_business_account", "entry": entries}).encode())
    holds = db.session.scalars(select(WebhookEvent.holds)).one()
    assert [(line["kind"], line["count"]) for line in holds["receipt"]] == [
        ("delivered", 150),
        ("read", 150),
    ]
    assert len(holds["unknown"]) == kinds.MOST_LINES - 2
