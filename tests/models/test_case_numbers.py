"""Case numbers: `CODE-2026-000123`, given by Postgres."""

import re

import pytest
from sqlalchemy import func, select, text, true

from crm.db import db
from crm.models import Campaign, next_case_number
from tests import factories

pytestmark = pytest.mark.usefixtures("database")


def test_a_case_number_names_campaign_year_and_running_number() -> None:
    chat = factories.make_chat(campaign=factories.make_campaign(code="VENTAS"))
    year = db.session.scalar(text("SELECT to_char(now() AT TIME ZONE 'America/Bogota', 'YYYY')"))
    assert re.fullmatch(rf"VENTAS-{year}-\d{{6}}", chat.case_number)


def test_the_year_is_that_of_the_campaigns_zone() -> None:
    """New Year reaches Kiritimati 24 hours before Pago Pago: the two never share every hour."""
    statement = select(
        next_case_number("A", "Pacific/Kiritimati"),
        func.to_char(func.timezone("Pacific/Kiritimati", func.now()), "YYYY"),
    )
    number, year = db.session.execute(statement).one()
    assert number.split("-")[1] == year


def test_many_chats_of_one_statement_get_numbers_of_their_own() -> None:
    factories.make_campaign(code="VENTAS")
    numbers = db.session.scalars(
        select(next_case_number(Campaign.code, Campaign.timezone)).join(
            func.generate_series(1, 50).alias(), true()
        )
    ).all()
    assert len(set(numbers)) == 50


def test_the_millionth_case_keeps_all_its_digits() -> None:
    db.session.execute(text("SELECT setval('chat_case_numbers', 1234566)"))
    number = db.session.scalar(select(next_case_number("VENTAS", "America/Bogota")))
    assert re.fullmatch(r"VENTAS-\d{4}-1234567", number or "")
