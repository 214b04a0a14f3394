"""The pages of the alarms."""

from __future__ import annotations

from sqlalchemy import select

from crm.db import atomic, db
from crm.jobs.emails import write
from crm.models import Alarm, AlarmKind, EmailKind
from crm.services import alarms
from crm.services.emails import Claimed, queue_email
from tests.cast import Cast


def raise_token(cast: Cast) -> Alarm:
    with atomic():
        alarms.raise_alarm(AlarmKind.TOKEN_EXPIRED, subject="7", number_id=cast.number.id)
    return db.session.scalars(select(Alarm)).one()


def test_the_bell_stands_on_every_page_of_who_may_read_alarms(cast, browse):
    raise_token(cast)
    for address in ("/inbox", "/settings"):
        page = browse(cast.admin).get(address).text
        assert "1 new alarm" in page
        assert "is not valid any more" in page
        assert "alarm-bell" not in browse(cast.laura).get(address).text


def test_an_alarm_says_what_to_do_and_where(cast, browse):
    raise_token(cast)
    page = browse(cast.admin).get("/settings/alarms").text
    assert f"The access token of {cast.number.display_name} is not valid any more" in page
    assert f'href="/settings/numbers/{cast.number.id}"' in page


def test_seen_alarms_leave_the_bell_and_stay_on_the_page(cast, browse):
    alarm = raise_token(cast)
    admin = browse(cast.admin)
    assert admin.post(f"/settings/alarms/{alarm.id}/acknowledge").status_code == 302
    assert "1 new alarm" not in admin.get("/alarms/bell").text
    assert "seen by Ana Duarte" in admin.get("/settings/alarms").text


def test_somebody_elses_alarm_does_not_exist(cast, browse):
    alarm = raise_token(cast)
    with atomic():
        db.session.delete(cast.number.campaign_links[0])
    assert browse(cast.marta).post(f"/settings/alarms/{alarm.id}/acknowledge").status_code == 404
    assert browse(cast.admin).post("/settings/alarms/999/acknowledge").status_code == 404


def test_an_alarm_of_a_newer_release_does_not_break_the_page(cast, browse):
    with atomic():
        db.session.add(Alarm(kind="from_the_future", facts={"x": "100 %"}))
    page = browse(cast.admin).get("/settings/alarms")
    assert page.status_code == 200
    assert "Something needs your attention" in page.text


def test_past_alarms_come_page_by_page(cast, browse):
    for n in range(35):
        with atomic():
            alarms.raise_alarm(AlarmKind.STORE_FULL, subject=str(n), facts={"reason": f"disk {n}"})
            alarms.end_alarm(AlarmKind.STORE_FULL, subject=str(n))
    admin = browse(cast.admin)
    first = admin.get("/settings/alarms").text
    assert first.count("The store of files is full") == 30
    older = first.partition('href="/settings/alarms?before=')[2].partition('"')[0]
    assert admin.get(f"/settings/alarms?before={older}").text.count("The store of files") == 5
    assert admin.get("/settings/alarms?before=-1%00").status_code == 200


def test_the_email_speaks_the_readers_language(app, cast):
    alarm = raise_token(cast)
    with atomic():
        cast.admin.language = "es"
        row = queue_email(EmailKind.ALARM, cast.admin, alarm_id=alarm.id)
    claimed = Claimed(row.id, row.kind, row.recipient, row.user_id, 0, alarm.id)
    letter = write(claimed, base="https://crm.example.com")
    assert letter is not None
    address, subject, text = letter
    assert address == cast.admin.email
    assert "ya no es válido" in subject
    assert "https://crm.example.com/settings/alarms" in text
