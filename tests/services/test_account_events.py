"""News of the account, its numbers and templates: what they change, and whom they warn."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from crm.db import db
from crm.models import Alarm, Template, TemplateStatus, WhatsappNumber
from tests.factories import make_campaign, make_number
from tests.providers.deliveries import PHONE_NUMBER_ID, body
from tests.services.way_in import NOW, every, one, take_in

WABA = "200000000000001"
SHOWN = "576015550101"


@pytest.fixture(autouse=True)
def number(database: Flask) -> WhatsappNumber:
    number = make_number(
        campaign=make_campaign(),
        meta_phone_number_id=PHONE_NUMBER_ID,
        meta_business_account_id=WABA,
        phone_number=f"+{SHOWN}",
        meta_messaging_tier="TIER_1K",
        meta_quality_rating="GREEN",
    )
    db.session.add(
        Template(
            whatsapp_number_id=number.id,
            template_name="cita",
            template_id="77",
            language="es_CO",
            category="UTILITY",
            body_content="Su cita es mañana",
            status=TemplateStatus.APPROVED,
        )
    )
    db.session.commit()
    return number


def news(field: str, at: int = NOW, account: str = WABA, **value: Any) -> bytes:
    entry = {"id": account, "time": at, "changes": [{"field": field, "value": value}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def template_status(event: str, at: int = NOW, **value: Any) -> bytes:
    return news(
        "message_template_status_update",
        at,
        event=event,
        message_template_id=77,
        message_template_name="cita",
        message_template_language="es_CO",
        **value,
    )


def alarms() -> list[tuple[str, bool]]:
    """(kind, still open), the oldest first."""
    return [(alarm.kind, alarm.ended_at is None) for alarm in every(Alarm)]


def test_a_paused_template_warns_until_it_may_be_sent_again() -> None:
    take_in(template_status("PAUSED", other_info={"title": "FIRST_PAUSE"}))
    assert one(Template).status == TemplateStatus.PAUSED
    assert alarms() == [("template_paused", True)]
    take_in(template_status("APPROVED", NOW + 5))
    assert one(Template).status == TemplateStatus.APPROVED
    assert alarms() == [("template_paused", False)]


def test_older_news_that_come_later_change_nothing() -> None:
    take_in(template_status("APPROVED", NOW + 5), template_status("PAUSED", NOW))
    assert one(Template).status == TemplateStatus.APPROVED
    assert alarms() == []


def test_a_rejection_tells_why() -> None:
    take_in(template_status("REJECTED", reason="INVALID_FORMAT"))
    assert one(Template).rejected_reason == "INVALID_FORMAT"
    [alarm] = every(Alarm)
    assert alarm.facts["template"] == "cita (es_CO)"
    assert "INVALID_FORMAT" in alarm.facts["reason"]


def test_quality_and_category_of_a_template_are_kept() -> None:
    key = {
        "message_template_id": 77,
        "message_template_name": "cita",
        "message_template_language": "es_CO",
    }
    take_in(
        news("message_template_quality_update", new_quality_score="YELLOW", **key),
        news("template_category_update", correct_category="MARKETING", **key),
    )
    template = one(Template)
    assert (template.quality_score, template.category, template.next_category) == (
        "YELLOW", "UTILITY", "MARKETING",
    )  # fmt: skip
    take_in(news("template_category_update", NOW + 5, new_category="MARKETING", **key))
    db.session.refresh(template)
    assert (template.category, template.next_category) == ("MARKETING", None)


def test_a_flagged_number_is_low_and_its_limit_is_kept(number: WhatsappNumber) -> None:
    field = "phone_number_quality_update"
    take_in(news(field, display_phone_number=SHOWN, event="FLAGGED", current_limit="TIER_250"))
    db.session.refresh(number)
    assert (number.meta_quality_rating, number.meta_messaging_tier) == ("RED", "TIER_250")
    assert set(alarms()) == {("number_quality_low", True), ("number_limit_changed", True)}
    unflagged = {"display_phone_number": SHOWN, "event": "UNFLAGGED", "current_limit": "TIER_250"}
    take_in(news(field, NOW + 5, **unflagged))
    assert ("number_quality_low", False) in alarms()


@pytest.mark.parametrize(
    ("told", "tier"), [(2000, "TIER_2K"), ("TIER_10K", "TIER_10K"), (-1, "TIER_UNLIMITED")]
)
def test_the_portfolio_s_limit_comes_as_a_number_or_a_word(
    number: WhatsappNumber, told: Any, tier: str
) -> None:
    take_in(news("business_capability_update", max_daily_conversations_per_business=told))
    db.session.refresh(number)
    assert number.meta_messaging_tier == tier


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}, "DISABLE"),
        (
            {"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "ADULT"}},
            "ACCOUNT_VIOLATION, ADULT",
        ),
        (
            {"event": "ACCOUNT_RESTRICTION", "restriction_info": [{"restriction_type": "X"}]},
            "ACCOUNT_RESTRICTION, X",
        ),
    ],
)
def test_a_restricted_account_is_a_severe_alarm_until_it_is_back(
    value: dict[str, Any], reason: str
) -> None:
    take_in(news("account_update", **value))
    [alarm] = every(Alarm)
    assert (alarm.kind, alarm.facts["reason"]) == ("account_restricted", reason)
    back = {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}}
    take_in(news("account_update", NOW + 5, **back))
    assert alarms() == [("account_restricted", False)]


def test_names_reviews_alerts_security_and_errors_warn() -> None:
    alert = {"alert_severity": "CRITICAL", "alert_type": "X_BLOCKED", "alert_description": "Ojo"}
    take_in(
        news(
            "phone_number_name_update",
            display_phone_number=SHOWN,
            decision="REJECTED",
            requested_verified_name="Tienda",
            rejection_reason="NAME_EMPLOYEE_ENTITY",
        ),
        news("account_review_update", decision="REJECTED"),
        news("account_alerts", entity_type="WABA", alert_info=alert),
        news("security", event="PIN_CHANGED", display_phone_number=SHOWN),
        body(errors=[{"code": 130429, "title": "Rate limit hit"}]),
    )
    assert {kind for kind, _ in alarms()} == {
        "number_name_rejected", "account_restricted", "account_alert", "number_security",
        "number_errors",
    }  # fmt: skip


def test_an_approved_name_is_kept(number: WhatsappNumber) -> None:
    name = {"decision": "APPROVED", "requested_verified_name": "Tienda Bonita"}
    take_in(news("phone_number_name_update", display_phone_number=SHOWN, **name))
    db.session.refresh(number)
    assert number.meta_verified_name == "Tienda Bonita"


def test_news_of_another_account_are_nobody_s() -> None:
    take_in(
        news("account_update", account="999", event="ACCOUNT_DELETED"),
        template_status("PAUSED").replace(WABA.encode(), b"999"),
    )
    assert alarms() == []
    assert one(Template).status == TemplateStatus.APPROVED
