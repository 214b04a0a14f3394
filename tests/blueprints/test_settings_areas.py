"""Numbers, queues, tags, quick replies, rules and templates: what every area of the settings owes.

One table names for each area a row, its address, one good change and what the form must refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event, func, select

from crm.db import db
from crm.models import (
    AuditLog,
    ClientTag,
    QuickReply,
    RoutingRule,
    RuleAction,
    Tag,
    Template,
    TemplateStatus,
)
from tests.blueprints.admin_desk import (
    FRAGMENT,
    SMUGGLED,
    errors_in,
    form_of,
    post_form,
)
from tests.cast import Cast
from tests.factories import (
    make_campaign,
    make_client,
    make_number,
    make_queue,
    make_rule,
    make_user,
    save,
)


@dataclass(frozen=True)
class Area:
    address: str
    make: Callable[[Cast], Any]
    change: dict[str, Any]
    name: Callable[[Any], str]
    shown: str


AREAS = {
    "numbers": Area(
        "/settings/numbers",
        lambda cast: cast.number,
        {"display_name": "Otra línea"},
        lambda row: row.display_name,
        "Otra línea",
    ),
    "queues": Area(
        "/settings/queues",
        lambda cast: make_queue(cast.sales, name="Mayoristas"),
        {"name": "Exportación"},
        lambda row: row.name,
        "Exportación",
    ),
    "tags": Area(
        "/settings/tags",
        lambda cast: save(Tag(name="garantia", label="Garantía")),
        {"label": "Reclamo"},
        lambda row: row.label,
        "Reclamo",
    ),
    "quick-replies": Area(
        "/settings/quick-replies",
        lambda cast: save(
            QuickReply(shortcut="/hola", title="Saludo", content="Hola\n\n¿Qué tal?")
        ),
        {"title": "Bienvenida"},
        lambda row: row.shortcut,
        "Bienvenida",
    ),
    "rules": Area(
        "/settings/rules",
        lambda cast: make_rule(
            cast.sales,
            action=RuleAction.ASSIGN_QUEUE,
            target_queue_id=cast.queue.id,
            conditions={
                "keyword": "urgente",
                "first_contact": False,
                "number_id": cast.number.id,
                "bot_variable": {"name": "nit", "operator": "is_set", "value": None},
                "from_the_future": [1, 2],
            },
            required_skills=["ingles"],
            set_priority="high",
        ),
        {"name": "Urgencias"},
        lambda row: row.name,
        "Urgencias",
    ),
    "templates": Area(
        "/settings/templates",
        lambda cast: save(
            Template(
                whatsapp_number_id=cast.number.id,
                template_name="pedido_enviado",
                language="es",
                category="UTILITY",
                body_content="Hola {{1}}, su pedido {{2}} va en camino.",
                buttons=[
                    {"type": "URL", "text": "Ver", "url": "https://example.com"},
                    {"type": "QUICK_REPLY", "text": "Gracias"},
                ],
                variables=["1", "2"],
                examples={"body": ["Ana", "A-1"]},
            )
        ),
        {"footer_content": "Charla S. A. S."},
        lambda row: row.template_name,
        "pedido_enviado",
    ),
}
each_area = pytest.mark.parametrize("area", AREAS.values(), ids=AREAS)


def made(area: Area, cast: Cast) -> Any:
    row = area.make(cast)
    db.session.commit()
    return row


def columns_of(row: Any) -> dict[str, Any]:
    db.session.expire_all()
    row = db.session.get_one(type(row), row.id)
    return {a.key: getattr(row, a.key) for a in type(row).__mapper__.column_attrs}


@each_area
def test_saving_what_was_opened_changes_nothing_whatever_is_smuggled_in(admin, cast, area):
    row = made(area, cast)
    before = columns_of(row)
    answer = post_form(admin, f"{area.address}/{row.id}", SMUGGLED)
    assert answer.status_code == 204, errors_in(answer)
    after = columns_of(row)
    assert {k: v for k, v in after.items() if k != "updated_at"} == {
        k: v for k, v in before.items() if k != "updated_at"
    }


@each_area
def test_a_change_is_saved_listed_and_has_its_author(admin, cast, area):
    row = made(area, cast)
    assert post_form(admin, f"{area.address}/{row.id}", area.change).status_code == 204
    assert area.shown in admin.get(area.address).text
    page = admin.get(f"{area.address}/{row.id}").text
    assert "changed by Ana Duarte" in page
    log = db.session.scalars(
        select(AuditLog).where(AuditLog.entity_type == row.__tablename__)
    ).one()
    assert set(log.changes) == set(area.change)


@each_area
def test_a_form_opened_before_somebody_elses_save_says_so(admin, cast, browse, area):
    row = made(area, cast)
    path = f"{area.address}/{row.id}"
    stale = form_of(admin, path)
    other = browse(make_user(role="super_admin"))
    assert post_form(other, path, area.change).status_code == 204
    answer = admin.post(path, data=stale, headers=FRAGMENT)
    assert answer.status_code == 409
    assert "Somebody else has saved this" in answer.text
    assert "Taken over from them" in answer.text


@each_area
def test_what_does_not_exist_is_not_found(admin, area):
    assert admin.get(f"{area.address}/999999").status_code == 404
    assert admin.post(f"{area.address}/999999", data={}).status_code == 404
    assert admin.post(f"{area.address}/999999/delete", data={}).status_code == 404


@each_area
def test_deleting_needs_the_name(admin, cast, area):
    row = made(area, cast)
    path = f"{area.address}/{row.id}/delete"
    assert admin.post(path, data={"confirm_name": "otra cosa"}).status_code == 422
    assert admin.post(path, data={"confirm_name": area.name(row)}).status_code == 302
    assert admin.get(f"{area.address}/{row.id}").status_code == 404


@each_area
def test_an_empty_form_names_every_field_that_it_needs(admin, cast, area):
    answer = admin.post(f"{area.address}/new", data={}, headers=FRAGMENT)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "<html" not in answer.text
    assert errors_in(answer)


@each_area
def test_more_rows_do_not_cost_more_queries(admin, cast, browse, area):
    made(area, cast)

    def count() -> int:
        seen: list[str] = []

        def note(connection, cursor, statement, *rest):
            seen.append(statement)

        event.listen(db.engine, "before_cursor_execute", note)
        try:
            assert admin.get(area.address).status_code == 200
        finally:
            event.remove(db.engine, "before_cursor_execute", note)
        return len(seen)

    few = count()
    for n in range(8):
        number = make_number(campaign=make_campaign())
        make_queue(cast.sales, overflow_queue_id=cast.queue.id)
        save(Tag(name=f"t{n}", label=f"T{n}"))
        save(QuickReply(shortcut=f"s{n}", title="T", content="C", campaign_id=cast.sales.id))
        make_rule(cast.sales, action=RuleAction.ASSIGN_AGENT, target_user_id=cast.laura.id)
        save(
            Template(
                whatsapp_number_id=number.id, template_name="x", language="es", body_content="x"
            )
        )
    db.session.commit()
    assert count() == few


# What is typed, the field that says so, and some of its words.
BAD: dict[str, list[tuple[dict[str, str], str, str]]] = {
    "numbers": [
        ({"phone_number": "hola"}, "phone_number", "with its country"),
        ({"phone_number": ""}, "phone_number", "Write something"),
        ({"meta_phone_number_id": "+57 300"}, "meta_phone_number_id", "only digits"),
        ({"meta_phone_number_id": ""}, "meta_phone_number_id", "Meta needs it"),
        ({"rate_limit_per_minute": "-1"}, "rate_limit_per_minute", "Between 1"),
        ({"rate_limit_per_minute": "1e9"}, "rate_limit_per_minute", "whole number"),
        ({"daily_message_limit": "0"}, "daily_message_limit", "Between 1"),
        ({"display_name": "😀" * 101}, "display_name", "At most 100"),
        ({"provider": "telegram"}, "provider", "one of the options"),
        ({"meta_access_token-clear": "y"}, "meta_access_token", "Without it nothing"),
    ],
    "queues": [
        ({"name": "x" * 101}, "name", "At most 100"),
        ({"campaign_id": "999999"}, "campaign_id", "one of the options"),
        ({"campaign_id": "uno"}, "campaign_id", "one of the options"),
        ({"max_size": "0"}, "max_size", "Between 1"),
        ({"max_wait_seconds": "-5"}, "max_wait_seconds", "Between 10"),
        ({"overflow_action": "transfer"}, "overflow_queue_id", "Choose the queue"),
        ({"overflow_action": "reject"}, "overflow_message", "Write what"),
    ],
    "tags": [
        ({"label": "   "}, "label", "Write something"),
        ({"label": "x" * 51}, "label", "At most 50"),
        ({"colour": "url(x)"}, "colour", "one of the options"),
    ],
    "quick-replies": [
        ({"shortcut": "con espacio"}, "shortcut", "without spaces"),
        ({"shortcut": "😀"}, "shortcut", "without spaces"),
        ({"content": "x" * 4097}, "content", "At most 4,096"),
        ({"reach": "campaign"}, "campaign_id", "Choose the campaign"),
        ({"reach": "world"}, "reach", "one of the options"),
    ],
    "rules": [
        ({"regex": "(["}, "regex", "cannot be read"),
        ({"country": "XX"}, "country", "Two letters"),
        ({"target_queue_id": ""}, "target_queue_id", "Choose the queue"),
        ({"action": "assign_agent"}, "target_user_id", "Choose the person"),
        ({"action": "reject"}, "message", "Write what"),
        ({"action": "transfer_campaign"}, "target_campaign_id", "Choose the other"),
        ({"variable_operator": "="}, "variable_value", "compared with"),
        ({"message_type": "carta"}, "message_type", "one of the options"),
        ({"number_id": "999999"}, "number_id", "one of the options"),
    ],
    "templates": [
        ({"template_name": "Pedido Enviado"}, "template_name", "Small letters"),
        ({"body_content": "Hola {{2}}"}, "body_content", "without a gap"),
        ({"body_content": "Hola {{nombre}}"}, "body_content", "Variables are numbers"),
        ({"body_content": "{{1}}, su pedido {{2}} llega."}, "body_content", "beginning"),
        ({"body_content": "Hola {{1}}, su pedido: {{2}}."}, "body_content", "the end"),
        ({"body_content": "Señora {{1}} {{2}} hola a usted"}, "body_content", "between"),
        ({"body_content": "Hola {{1}} y {{2}} adiós"}, "body_content", "so little text"),
        ({"body_examples": "Ana"}, "body_examples", "one a line"),
        ({"header_type": "IMAGE"}, "header_example", "choose a file"),
        ({"buttons-0-value": "https://x/{{1}}/y"}, "buttons", "marked cells"),
        ({"buttons-0-type": "PHONE_NUMBER"}, "buttons", "marked cells"),
        ({"buttons-0-text": "Gracias"}, "buttons", "say the same"),
        ({"body_content": "x" * 1025}, "body_content", "At most 1,024"),
        ({"footer_content": "{{1}}"}, "footer_content", "no variables"),
        ({"header_type": "TEXT"}, "header_content", "text of the header"),
        ({"buttons-0-value": "http://x"}, "buttons", "marked cells"),
        ({"buttons-1-text": ""}, "buttons", "marked cells"),
    ],
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_input_is_named_beside_its_field(admin, cast, name):
    area = AREAS[name]
    row = made(area, cast)
    before = columns_of(row)
    for changes, field, words in BAD[name]:
        answer = post_form(admin, f"{area.address}/{row.id}", changes)
        assert answer.status_code == 422, changes
        assert words in errors_in(answer).get(field, ""), (changes, errors_in(answer))
        assert len(errors_in(answer)) == 1, changes
        assert columns_of(row) == before, changes


@pytest.mark.parametrize("path", ["numbers", "queues", "rules", "templates"])
def test_a_supervisor_finds_only_what_belongs_to_own_campaigns(cast, browse, path):
    other = make_cast_elsewhere()
    mine = made(AREAS[path], cast)
    marta = browse(cast.marta)
    assert marta.get(f"{AREAS[path].address}/{other[path].id}").status_code == 404
    if path != "queues":
        assert marta.post(f"{AREAS[path].address}/{other[path].id}").status_code in {403, 404}
    else:
        assert marta.post(f"{AREAS[path].address}/{other[path].id}").status_code == 404
    assert marta.get(f"{AREAS[path].address}/{mine.id}").status_code == 200
    listed = marta.get(AREAS[path].address).text
    assert f"{AREAS[path].address}/{mine.id}" in listed
    assert f'{AREAS[path].address}/{other[path].id}"' not in listed


def make_cast_elsewhere() -> dict[str, Any]:
    campaign = make_campaign()
    number = make_number(campaign=campaign)
    queue = make_queue(campaign)
    rule = make_rule(campaign, action=RuleAction.ASSIGN_QUEUE, target_queue_id=queue.id)
    template = save(
        Template(whatsapp_number_id=number.id, template_name="x", language="es", body_content="x")
    )
    db.session.commit()
    return {"numbers": number, "queues": queue, "rules": rule, "templates": template}


def test_a_tag_keeps_its_carriers_through_a_new_name(admin, cast):
    tag = save(Tag(name="garantia", label="Garantía"))
    save(ClientTag(client_id=make_client().id, tag="garantia"))
    db.session.commit()
    assert post_form(admin, f"/settings/tags/{tag.id}", {"label": "Garantías Ñ"}).status_code == 204
    assert db.session.scalars(select(ClientTag.tag)).all() == ["garantias n"]
    answer = admin.post(f"/settings/tags/{tag.id}/delete", data={"confirm_name": "Garantías Ñ"})
    assert answer.location == f"/settings/tags/{tag.id}", "refused: people carry it"
    answer = post_form(admin, "/settings/tags/new", {"label": "GARANTIAS ñ"})
    assert "Garantías Ñ" in errors_in(answer)["label"]


def test_an_agent_has_own_quick_replies_and_only_reads_shared_ones(cast, browse):
    shared = save(QuickReply(shortcut="/hola", title="Saludo", content="Hola"))
    theirs = save(QuickReply(shortcut="/hola", title="De Jhon", content="x", user_id=cast.jhon.id))
    db.session.commit()
    laura = browse(cast.laura)
    answer = post_form(
        laura,
        "/settings/quick-replies/new",
        {"shortcut": "Hola", "title": "Mío", "content": "Hola, soy Laura", "user_id": "1"},
    )
    assert answer.status_code == 204, errors_in(answer)
    own = db.session.scalars(select(QuickReply).filter_by(title="Mío")).one()
    assert (own.user_id, own.shortcut) == (cast.laura.id, "/hola")
    page = laura.get("/settings/quick-replies").text
    assert "Mío" in page
    assert "Saludo" in page
    assert "De Jhon" not in page
    assert laura.get(f"/settings/quick-replies/{theirs.id}").status_code == 404
    shown = laura.get(f"/settings/quick-replies/{shared.id}").text
    assert "<fieldset disabled>" in shown
    path = f"/settings/quick-replies/{shared.id}"
    data = {"shortcut": "x", "title": "x", "content": "x", "reach": "personal", "version": "x"}
    assert laura.post(path, data=data, headers=FRAGMENT).status_code in {403, 409}
    assert laura.post(f"{path}/delete", data={"confirm_name": "/hola"}).status_code == 403
    assert db.session.scalar(select(func.count()).select_from(QuickReply)) == 3
    again = post_form(
        laura,
        "/settings/quick-replies/new",
        {"shortcut": "hola", "title": "Otra", "content": "x"},
    )
    assert "Mío has this shortcut" in errors_in(again)["shortcut"]
    everybody = post_form(
        laura,
        "/settings/quick-replies/new",
        {"shortcut": "todos", "title": "T", "content": "x", "reach": "everybody"},
    )
    assert errors_in(everybody)["reach"] == "Choose one of the options."


def test_a_rule_keeps_conditions_that_the_form_does_not_know(admin, cast):
    rule = made(AREAS["rules"], cast)
    answer = post_form(admin, f"/settings/rules/{rule.id}", {"keyword": "ya", "hours": "outside"})
    assert answer.status_code == 204, errors_in(answer)
    db.session.expire_all()
    conditions = db.session.get_one(RoutingRule, rule.id).conditions or {}
    assert conditions["from_the_future"] == [1, 2]
    assert (conditions["keyword"], conditions["hours"]) == ("ya", "outside")
    assert conditions["first_contact"] is False


CODE = {"category": "AUTHENTICATION", "code_security": "y", "code_button": "COPY_CODE"}
TAP = {**CODE, "code_button": "ONE_TAP", "code_package": "com.example.app", "code_hash": "K8a/AIN"}
BAD_CODES = [
    ({**CODE, "code_minutes": "0"}, "code_minutes", "Between 1"),
    ({**CODE, "code_minutes": "91"}, "code_minutes", "Between 1"),
    ({**CODE, "code_text": "x" * 26}, "code_text", "At most 25"),
    ({**CODE, "code_text": "Copie {{1}}"}, "code_text", "No variables"),
    ({**CODE, "code_button": "ZERO_TAP"}, "code_button", "one of the options"),
    (TAP, "code_hash", "Eleven"),
    ({**TAP, "code_hash": "K8a/AINcGX7", "code_package": "app"}, "code_package", "com.example"),
    ({**TAP, "code_hash": "K8a/AINcGX7", "code_autofill": "😀"}, "code_autofill", "no emojis"),
]


def test_a_one_time_code_has_rules_of_its_own_and_none_of_the_others(admin, cast):
    template = made(AREAS["templates"], cast)
    path = f"/settings/templates/{template.id}"
    page, before = form_of(admin, path), columns_of(template)
    for changes, field, words in BAD_CODES:
        answer = admin.post(path, data={**page, **changes}, headers=FRAGMENT)
        assert answer.status_code == 422, changes
        assert list(errors_in(answer)) == [field], changes
        assert words in errors_in(answer)[field]
    assert columns_of(template) == before

    # What the other kinds ask for is neither asked for nor kept; Meta writes the text.
    ignored = {"body_content": "", "footer_content": "{{1}}", "header_type": "TEXT"}
    answer = admin.post(path, data={**page, **CODE, **ignored, "code_minutes": "5"})
    assert answer.status_code == 302, errors_in(answer)
    after = columns_of(template)
    assert after["body_content"].startswith("*{{1}}* es tu código")
    assert after["footer_content"] == "Este código caduca en 5 minutos."
    assert (after["header_type"], after["code_parts"]["minutes"]) == (None, 5)
    assert after["buttons"] == [{"type": "OTP", "otp_type": "COPY_CODE", "text": "Copiar código"}]


def test_a_template_in_review_is_only_shown(admin, cast):
    template = made(AREAS["templates"], cast)
    template.status, template.template_id = TemplateStatus.PENDING, "123"
    db.session.commit()
    path = f"/settings/templates/{template.id}"
    assert "<fieldset disabled>" in admin.get(path).text
    assert post_form(admin, path, {"footer_content": "x"}).status_code == 409


def test_what_meta_does_not_take_is_said_as_an_error_and_the_draft_stays(admin, cast):
    template = made(AREAS["templates"], cast)
    answer = admin.post(f"/settings/templates/{template.id}/submit", follow_redirects=True)
    assert 'class="said wrong"' in answer.text
    assert columns_of(template)["template_id"] is None


def test_a_templates_language_is_named_and_one_that_we_do_not_offer_is_kept(admin, cast):
    template = made(AREAS["templates"], cast)
    template.language = "zh_HK"
    db.session.commit()
    path = f"/settings/templates/{template.id}"
    for page in ("/settings/templates", path):
        assert "Chinese (Traditional, Hong Kong SAR China)" in admin.get(page).text
    template.template_id, template.status = "1", TemplateStatus.APPROVED
    db.session.commit()
    # What Meta does not let be changed is not offered for it.
    assert '<fieldset class="fixed" disabled>' in admin.get(path).text
    assert post_form(admin, path, {"footer_content": "x"}).status_code == 204
    assert columns_of(template)["language"] == "zh_HK"


def test_the_home_shows_each_person_what_they_may_open(cast, browse):
    areas = {f"/settings/{name}" for name in ("campaigns", *AREAS)}

    def shown(user) -> set[str]:
        page = browse(user).get("/settings").text
        return {path for path in areas if f'href="{path}"' in page}

    assert shown(cast.admin) == areas
    assert shown(cast.marta) == areas
    assert shown(cast.laura) == {"/settings/quick-replies", "/settings/templates"}
