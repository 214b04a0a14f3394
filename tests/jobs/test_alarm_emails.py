"""A severe alarm reaches a mailbox: raised, announced, written and handed to a real mail server."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from flask import Flask
from sqlalchemy import select

from crm.config import Config, MailServer
from crm.db import atomic, db
from crm.jobs import alarms as alarm_job
from crm.jobs import emails as email_job
from crm.jobs.schedule import SWEEPS
from crm.models import Alarm, EmailStatus, OutgoingEmail
from crm.providers.meta.codes import CODES
from crm.services import sending
from tests.cast import make_cast
from tests.factories import make_number
from tests.people import mail_server


@pytest.fixture
def letters(database: Flask) -> Iterator[list[EmailMessage]]:
    plain: Config = database.config["CRM"]
    with mail_server() as (port, received):
        server = MailServer(host="127.0.0.1", port=port, sender="crm@example.com", security="none")
        database.config["CRM"] = dataclasses.replace(
            plain, mail_server=server, public_url="https://crm.example.com"
        )
        yield received
    database.config["CRM"] = plain


def ring_all() -> None:
    """What the clock finds due, done: it needs no Redis to tell of an alarm."""
    jobs = {"alarms.announce": alarm_job.announce, "emails.send": email_job.send}
    found = {sweep.job: sweep.find for sweep in SWEEPS if sweep.job in jobs}
    assert set(found) == set(jobs)
    for name, run in jobs.items():
        db.session.rollback()
        for key in list(found[name]()):
            run(key)


def test_an_expired_token_is_in_each_admins_mailbox_once(
    letters: list[EmailMessage],
) -> None:
    make_cast()
    with atomic():
        number = make_number()
        number.display_name = "Ventas Bogotá"
    with atomic():
        meaning = CODES[190]
        sending.stop_number(number.id, code="190", reason=meaning.reason, seconds=30, tries=1)
    ring_all()
    ring_all()

    addressed = {letter["To"] for letter in letters}
    assert len(letters) == len(addressed) > 0, "each of them once"
    for letter in letters:
        assert letter["From"] == "crm@example.com"
        assert letter["Auto-Submitted"] == "auto-generated"
        assert letter["Subject"].strip()
        body = letter.get_content()
        assert "Ventas Bogotá" in letter["Subject"] + body
        assert "https://crm.example.com/" in body
    (alarm,) = db.session.scalars(select(Alarm))
    assert alarm.announced_at is not None
    assert set(db.session.scalars(select(OutgoingEmail.status))) == {EmailStatus.SENT}
