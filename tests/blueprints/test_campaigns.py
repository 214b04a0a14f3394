"""Campaigns in the settings: the list, the form, what it refuses, and two people at once."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import event, func, select

from crm.db import db
from crm.models import Campaign, CampaignAgent, CampaignNumber, CampaignStatus, ChatStatus
from tests.blueprints.admin_desk import (
    FRAGMENT,
    SMUGGLED,
    FormReader,
    errors_in,
    form_of,
    post_form,
)
from tests.factories import link_agent, make_campaign, make_chat, make_number, make_user


def path_of(campaign: Campaign) -> str:
    return f"/settings/campaigns/{campaign.id}"


def fresh(campaign: Campaign) -> Campaign:
    db.session.expire_all()
    return db.session.get_one(Campaign, campaign.id)


def test_a_new_campaign_is_made_with_its_people_numbers_and_hours(admin, cast):
    answer = post_form(
        admin,
        "/settings/campaigns/new",
        {
            "name": "  Cobranza   2026 ",
            "code": "COBRANZA",
            "business_hours-mode": "hours",
            "business_hours-monday-start": ["14:00", "8"],
            "business_hours-monday-end": ["24:00", "12:30"],
            "business_hours-holiday-date": ["2026-12-25"],
            "business_hours-holiday-name": ["Navidad"],
            "agents": [str(cast.laura.id)],
            f"agents-{cast.laura.id}-max_concurrent_chats": "3",
            f"agents-{cast.laura.id}-priority": "7",
            f"agents-{cast.laura.id}-skills": "Inglés, mayoristas,inglés",
            f"agents-{cast.laura.id}-is_active": "y",
            "numbers": [str(cast.number.id)],
            f"numbers-{cast.number.id}-priority": "2",
        },
    )
    assert answer.status_code == 204, errors_in(answer)
    made = db.session.scalars(select(Campaign).where(Campaign.code == "COBRANZA")).one()
    assert answer.headers["HX-Redirect"] == path_of(made)
    assert (made.name, made.created_by) == ("Cobranza 2026", cast.admin.id)
    assert made.business_hours["monday"] == [
        {"start": "08:00", "end": "12:30"},
        {"start": "14:00", "end": "24:00"},
    ]
    assert made.business_hours["tuesday"] == []
    assert made.business_hours["holidays"] == {"2026-12-25": "Navidad"}
    link = db.session.scalars(select(CampaignAgent).filter_by(campaign_id=made.id)).one()
    assert (link.max_concurrent_chats, link.priority) == (3, 7)
    assert link.skills == ["ingles", "mayoristas"]
    number = db.session.scalars(select(CampaignNumber).filter_by(campaign_id=made.id)).one()
    assert (number.priority, number.is_primary) == (2, True)


def test_saving_what_was_opened_changes_nothing(admin, cast):
    cast.sales.business_hours = {
        "monday": {"start": "08:00", "end": "12:00"},
        "friday": [{"start": "08:00", "end": "12:00"}, {"start": "14:00", "end": "24:00"}],
        "holidays": ["2026-12-25"],
    }
    cast.sales.welcome_message = "Hola\n\n<b>&amp; ¿cómo está?</b>"
    db.session.commit()
    before = {c.name: getattr(cast.sales, c.name) for c in Campaign.__table__.columns}
    answer = post_form(admin, path_of(cast.sales))
    assert answer.status_code == 204, errors_in(answer)
    after = fresh(cast.sales)
    for name in before:
        if name not in {"updated_at", "business_hours"}:
            assert getattr(after, name) == before[name], name
    assert after.business_hours["monday"] == [{"start": "08:00", "end": "12:00"}]
    assert len(after.business_hours["friday"]) == 2
    assert after.business_hours["holidays"] == {"2026-12-25": ""}
    people = db.session.scalars(select(CampaignAgent).filter_by(campaign_id=after.id)).all()
    assert {link.user_id for link in people} == {cast.laura.id, cast.jhon.id, cast.marta.id}


def day(name: str, *intervals: tuple[str, str]) -> dict[str, object]:
    return {
        "business_hours-mode": "hours",
        f"business_hours-{name}-start": [start for start, _ in intervals],
        f"business_hours-{name}-end": [end for _, end in intervals],
    }


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"name": ""}, "name", "Write something"),
        ({"name": " \t "}, "name", "Write something"),
        ({"name": "x" * 151}, "name", "At most 150"),
        ({"code": "VENTAS 😀"}, "code", "capital letters"),
        ({"code": "ventas"}, "code", "capital letters"),
        ({"code": "A"}, "code", "capital letters"),
        ({"code": "A" * 21}, "code", "At most 20"),
        ({"status": "deleted"}, "status", "one of the options"),
        ({"routing_strategy": "magic"}, "routing_strategy", "one of the options"),
        ({"language": "xx"}, "language", "one of the options"),
        ({"currency": "BTC"}, "currency", "one of the options"),
        ({"priority": ""}, "priority", "Write something"),
        ({"priority": "1.5"}, "priority", "whole number"),
        ({"max_queue_size": "-1"}, "max_queue_size", "Between 1 and 100,000"),
        ({"max_queue_size": "0"}, "max_queue_size", "Between 1"),
        ({"max_wait_seconds": "1e9"}, "max_wait_seconds", "whole number"),
        ({"max_wait_seconds": "99999999999999"}, "max_wait_seconds", "Between"),
        ({"max_wait_seconds": "1_000"}, "max_wait_seconds", "whole number"),
        (
            {"sla_first_response_seconds": "2", "sla_first_response_seconds-unit": "s"},
            "sla_first_response_seconds",
            "Between 5 seconds and 1 day",
        ),
        ({"sla_resolution_seconds": "-60"}, "sla_resolution_seconds", "Between"),
        ({"timezone": "Bogota"}, "timezone", "no such time zone"),
        ({"timezone": "../../etc/passwd"}, "timezone", "no such time zone"),
        ({"welcome_message": "x" * 4001}, "welcome_message", "At most 4,000"),
        ({"csat_enabled": "y", "csat_question": ""}, "csat_question", "Write the question"),
        (
            {"inactivity_reminder_seconds": "60", "inactivity_reminder_message": ""},
            "inactivity_reminder_message",
            "what the reminder says",
        ),
        (
            {
                "inactivity_reminder_seconds": "60",
                "inactivity_reminder_message": "¿Sigue ahí?",
                "inactivity_close_seconds": "60",
            },
            "inactivity_close_seconds",
            "after the reminder",
        ),
        ({"business_hours-mode": "hours"}, "business_hours", "at least one interval"),
        (day("monday", ("08:00", "12:00"), ("11:00", "13:00")), "business_hours", "marked days"),
        (day("monday", ("18:00", "08:00")), "business_hours", "marked days"),
        (day("monday", ("24:00", "24:00")), "business_hours", "marked days"),
        (day("monday", ("08:00", "08:00")), "business_hours", "marked days"),
        (day("monday", ("25:00", "26:00")), "business_hours", "marked days"),
        (day("monday", ("08:00", "")), "business_hours", "marked days"),
        (day("monday", ("ocho", "doce")), "business_hours", "marked days"),
        (
            day("monday", *[(f"{hour:02}:00", f"{hour:02}:30") for hour in range(9)]),
            "business_hours",
            "marked days",
        ),
        (
            {"business_hours-holiday-date": ["2026-02-30"], "business_hours-holiday-name": ["x"]},
            "business_hours",
            "marked days",
        ),
        ({"agents": ["999999"]}, "agents", "not available"),
        ({"numbers": ["999999"]}, "numbers", "not available"),
        ({"primary_number": "999999"}, "primary_number", "one of"),
    ],
)
def test_wrong_input_is_named_beside_its_field_and_kept(admin, cast, changes, field, words):
    answer = post_form(admin, path_of(cast.sales), {"description": "Se queda aquí", **changes})
    assert answer.status_code == 422
    found = errors_in(answer)
    assert words in found.get(field, ""), found
    assert len(found) == 1
    assert "Se queda aquí" in answer.text
    assert fresh(cast.sales).description is None


@pytest.mark.parametrize(
    ("intervals", "words"),
    [
        ([("08:00", "12:00"), ("11:00", "13:00")], "one ends at 12:00, the next begins at 11:00"),
        ([("18:00", "08:00")], "write until 24:00 here"),
        ([("24:00", "24:00")], "24:00 can only be an end"),
        ([("8:61", "9:00")], "Write times like 08:00"),
    ],
)
def test_a_wrong_day_says_what_is_wrong_with_it(admin, cast, intervals, words):
    answer = post_form(admin, path_of(cast.sales), day("monday", *intervals))
    assert words in answer.text


def test_a_wrong_cell_of_an_agent_is_marked_and_keeps_what_was_written(admin, cast):
    name = f"agents-{cast.laura.id}-max_concurrent_chats"
    answer = post_form(admin, path_of(cast.sales), {name: "1e9"})
    assert answer.status_code == 422
    assert f'id="{name}-error"' in answer.text
    assert 'value="1e9"' in answer.text


def test_a_code_that_is_taken_names_who_has_it(admin, cast):
    make_campaign(name="Soporte", code="SOPORTE")
    db.session.commit()
    answer = post_form(admin, path_of(cast.sales), {"code": "SOPORTE"})
    assert answer.status_code == 422
    assert errors_in(answer) == {"code": "The campaign Soporte has this code already."}


def test_the_code_stays_after_the_first_chat(admin, cast):
    make_chat(campaign=cast.sales, number=cast.number)
    db.session.commit()
    answer = post_form(admin, path_of(cast.sales), {"code": "OTRA"})
    assert "case numbers" in errors_in(answer)["code"]


def test_fields_that_the_form_does_not_have_change_nothing(admin, cast):
    before = {c.name: getattr(cast.sales, c.name) for c in Campaign.__table__.columns}
    assert post_form(admin, path_of(cast.sales), SMUGGLED).status_code == 204
    after = fresh(cast.sales)
    for name in set(before) - {"updated_at", "business_hours"}:
        assert getattr(after, name) == before[name], name


def test_two_people_at_once_lose_nothing(cast, browse):
    """Ana and Andrés open the same form; who saves second is told, and keeps every word."""
    ana, andres = browse(cast.admin), browse(make_user(role="super_admin"))
    path = path_of(cast.sales)
    first, second = form_of(ana, path), form_of(andres, path)
    first["name"], first["welcome_message"] = "Ventas nacionales", "Buenos días"
    second["name"], second["description"] = "Ventas internacionales", "Exportación"
    assert ana.post(path, data=first, headers=FRAGMENT).status_code == 204
    answer = andres.post(path, data=second, headers=FRAGMENT)
    assert answer.status_code == 409
    assert "You both changed: Name" in answer.text
    assert "Taken over from them: Welcome" in answer.text
    for words in ("Ventas internacionales", "Exportación", "Buenos días"):
        assert words in answer.text
    assert fresh(cast.sales).name == "Ventas nacionales"
    # What came back is saved as it stands: his words, and her text that he had not touched.
    reader = FormReader()
    reader.feed(answer.text)
    assert andres.post(path, data=reader.values, headers=FRAGMENT).status_code == 204
    after = fresh(cast.sales)
    assert (after.name, after.description) == ("Ventas internacionales", "Exportación")
    assert after.welcome_message == "Buenos días"


def test_people_who_were_added_meanwhile_are_not_thrown_out(cast, browse):
    ana, andres = browse(cast.admin), browse(make_user(role="super_admin"))
    path = path_of(cast.sales)
    stale = form_of(andres, path)
    new = make_user(first_name="Nueva")
    link_agent(cast.sales, new)
    db.session.commit()
    assert andres.post(path, data=stale, headers=FRAGMENT).status_code == 409
    assert ana.get(path).status_code == 200
    assert db.session.scalar(select(func.count()).select_from(CampaignAgent)) == 4


@pytest.mark.parametrize("status", ["active", "error"])
def test_a_number_that_is_on_is_not_left_without_a_campaign(admin, cast, status):
    """In trouble, too: else what its customers write would wait once the trouble is over."""
    cast.number.status = status
    db.session.commit()
    answer = post_form(admin, path_of(cast.sales), {"numbers": None, "primary_number": None})
    assert "no other campaign" in errors_in(answer)["numbers"]
    answer = post_form(admin, path_of(cast.sales), {"status": "ended"})
    assert "no other campaign" in errors_in(answer)["status"]
    make_campaign(number=cast.number)
    db.session.commit()
    assert post_form(admin, path_of(cast.sales), {"status": "ended"}).status_code == 204


def test_deleting_asks_for_the_name_and_refuses_what_is_in_use(admin, cast):
    path = f"{path_of(cast.sales)}/delete"
    assert admin.post(path, data={"confirm_name": "Otra"}).status_code == 422
    chat = make_chat(campaign=cast.sales, number=cast.number, status=ChatStatus.QUEUED)
    db.session.commit()
    refused = admin.post(path, data={"confirm_name": "ventas"}, follow_redirects=True)
    assert refused.request.path == path_of(cast.sales), "said where it can be mended"
    assert "open chats (1)" in refused.text
    chat.status, chat.closed_at = ChatStatus.CLOSED, func.now()
    db.session.commit()
    for status in ("active", "disconnected"):
        cast.number.status = status
        db.session.commit()
        refused = admin.post(path, data={"confirm_name": "Ventas"}, follow_redirects=True)
        assert "switched on (1)" in refused.text
    cast.number.status = "inactive"
    db.session.commit()
    assert admin.post(path, data={"confirm_name": "Ventas"}).status_code == 302
    assert fresh(cast.sales).deleted_at is not None
    assert admin.get(path_of(cast.sales)).status_code == 404
    # Its code is free again.
    assert (
        post_form(
            admin, "/settings/campaigns/new", {"name": "Ventas", "code": "VENTAS"}
        ).status_code
        == 204
    )


def test_a_supervisor_sees_own_campaigns_without_changing_them(cast, browse):
    other = make_campaign(name="Ajena", number=make_number())
    db.session.commit()
    marta = browse(cast.marta)
    page = marta.get("/settings/campaigns").text
    assert "Ventas" in page
    assert "Ajena" not in page
    assert marta.get(path_of(other)).status_code == 404
    shown = marta.get(path_of(cast.sales))
    assert "<fieldset disabled>" in shown.text
    assert "savebar" not in shown.text
    assert marta.post(path_of(cast.sales), data={"name": "x"}).status_code == 403
    assert marta.post(f"{path_of(cast.sales)}/delete").status_code == 403
    assert marta.get("/settings/campaigns/new").status_code == 403


def test_an_agent_finds_no_campaigns_in_the_settings(cast, browse):
    laura = browse(cast.laura)
    assert "/settings/campaigns" not in laura.get("/settings").text
    assert laura.get("/settings/campaigns").status_code == 403
    assert laura.get(path_of(cast.sales)).status_code == 403


def test_the_list_searches_filters_sorts_and_pages_by_its_address(admin, cast):
    for n in range(30):
        make_campaign(name=f"Atención número {n:02}", code=f"N{n:02}", status=CampaignStatus.PAUSED)
    db.session.commit()
    address = "/settings/campaigns?q=atencion+NUM&status=paused&sort=-name"
    first = admin.get(address).text
    assert "1–25 of 30" in first
    assert first.index("número 29") < first.index("número 28")
    assert "Ventas" not in first
    second = admin.get(f"{address}&page=2").text
    assert "26–30 of 30" in second
    beyond = admin.get(f"{address}&page=999").text
    assert "26–30 of 30" in beyond
    answer = admin.get(f"{address}&page=2&x=1", headers=FRAGMENT)
    assert "<html" not in answer.text
    assert answer.headers["HX-Push-Url"].startswith("/settings/campaigns?q=atencion")
    assert "page=2" in answer.headers["HX-Push-Url"]
    assert "x=1" not in answer.headers["HX-Push-Url"]


@pytest.mark.parametrize("junk", ["%", "_", "'", "\\", "\x00", "<script>", "😀" * 60])
def test_a_search_for_signs_is_a_search_for_those_signs(admin, cast, junk):
    answer = admin.get("/settings/campaigns", query_string={"q": junk, "sort": junk, "page": junk})
    assert answer.status_code == 200
    assert "<script>" not in answer.text.split("</head>")[1]
    if junk != "\x00":
        assert "Nothing matches" in answer.text


def test_more_campaigns_do_not_cost_more_queries(admin, cast):
    def count_queries() -> int:
        seen: list[str] = []

        def note(connection, cursor, statement, *rest):
            seen.append(statement)

        event.listen(db.engine, "before_cursor_execute", note)
        try:
            assert admin.get("/settings/campaigns").status_code == 200
        finally:
            event.remove(db.engine, "before_cursor_execute", note)
        return len(seen)

    for _ in range(4):
        make_campaign(number=cast.number)
    db.session.commit()
    few = count_queries()
    for _ in range(8):
        make_campaign(number=cast.number)
    db.session.commit()
    assert count_queries() == few


def test_hours_past_midnight_are_shown_as_each_days_own_part(admin, cast):
    cast.sales.business_hours = {"friday": {"start": "22:00", "end": "02:00"}}
    db.session.commit()
    assert post_form(admin, path_of(cast.sales)).status_code == 204
    hours = fresh(cast.sales).business_hours
    assert hours["friday"] == [{"start": "22:00", "end": "24:00"}]
    assert hours["saturday"] == [{"start": "00:00", "end": "02:00"}]


def test_a_week_of_midnight_to_midnight_is_always_open(admin, cast):
    day_long = {"start": "00:00", "end": "00:00"}
    weekdays = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    cast.sales.business_hours = dict.fromkeys(weekdays, day_long)
    db.session.commit()
    assert form_of(admin, path_of(cast.sales))["business_hours-mode"] == "always"


@pytest.mark.parametrize(
    ("seconds", "written", "unit"),
    [(90, "90", "s"), (300, "5", "m"), (5400, "90", "m"), (7200, "2", "h"), (172_800, "2", "d")],
)
def test_a_time_is_written_in_the_largest_unit_that_fits_and_comes_back_the_same(
    admin, cast, seconds, written, unit
):
    cast.sales.sla_resolution_seconds = seconds
    db.session.commit()
    form = form_of(admin, path_of(cast.sales))
    name = "sla_resolution_seconds"
    assert (form[name], form[f"{name}-unit"]) == (written, unit)
    assert post_form(admin, path_of(cast.sales), {"description": "Otra"}).status_code == 204
    assert fresh(cast.sales).sla_resolution_seconds == seconds
    # Without a unit, as somebody's own program may send it, it means seconds.
    changed = {name: "120", f"{name}-unit": None}
    assert post_form(admin, path_of(cast.sales), changed).status_code == 204
    assert fresh(cast.sales).sla_resolution_seconds == 120


def test_people_stand_in_the_form_as_one_looks_for_them(admin, cast):
    for first, last in (("Óscar", "Peña"), ("Ximena", "Ruiz"), ("Ángela", "Díaz")):
        link_agent(cast.sales, make_user(first_name=first, last_name=last))
    db.session.commit()
    page = admin.get(path_of(cast.sales)).text
    names = re.findall(r'<b class="who" data-label>(\w+) \w+ <span', page)
    assert names[:6] == ["Ángela", "Jhon", "Laura", "Marta", "Óscar", "Ximena"]
