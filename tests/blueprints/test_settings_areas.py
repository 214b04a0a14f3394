"""Numbers, queues, tags, quick replies, rules and templates: what every area of the settings owes.

One table names for each area a row, its address, one good change and what the form must refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select

from crm.db import db
from crm.lib.crypto import decrypt
from crm.models import (
    AuditLog,
    Chat,
    ChatStatus,
    ClientTag,
    Queue,
    QuickReply,
    RoutingRule,
    RuleAction,
    Tag,
    Template,
    TemplateStatus,
    WhatsappNumber,
)
from tests.blueprints.admin_desk import (
    FRAGMENT,
    SMUGGLED,
    browser_of,
    errors_in,
    form_of,
    post_form,
)
from tests.cast import Cast, make_cast
from tests.factories import (
    make_campaign,
    make_chat,
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
        lambda row: row.phone_number,
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


@pytest.fixture
def cast(app: Flask) -> Cast:
    made = make_cast()
    db.session.commit()
    return made


@pytest.fixture
def browse(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FlaskClient]:
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", False)
    return lambda user, **options: browser_of(app, user, **options)


@pytest.fixture
def admin(cast: Cast, browse: Callable[..., FlaskClient]) -> FlaskClient:
    return browse(cast.admin)


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


BAD = [
    ("numbers", {"phone_number": "hola"}, "phone_number", "with its country"),
    ("numbers", {"phone_number": ""}, "phone_number", "Write something"),
    ("numbers", {"meta_phone_number_id": "+57 300"}, "meta_phone_number_id", "only digits"),
    ("numbers", {"meta_phone_number_id": ""}, "meta_phone_number_id", "Meta needs it"),
    ("numbers", {"rate_limit_per_minute": "-1"}, "rate_limit_per_minute", "Between 1"),
    ("numbers", {"rate_limit_per_minute": "1e9"}, "rate_limit_per_minute", "whole number"),
    ("numbers", {"daily_message_limit": "0"}, "daily_message_limit", "Between 1"),
    ("numbers", {"display_name": "😀" * 101}, "display_name", "At most 100"),
    ("numbers", {"provider": "telegram"}, "provider", "one of the options"),
    ("numbers", {"meta_access_token-clear": "y"}, "meta_access_token", "Without it nothing"),
    ("queues", {"name": "x" * 101}, "name", "At most 100"),
    ("queues", {"campaign_id": "999999"}, "campaign_id", "one of the options"),
    ("queues", {"campaign_id": "uno"}, "campaign_id", "one of the options"),
    ("queues", {"max_size": "0"}, "max_size", "Between 1"),
    ("queues", {"max_wait_seconds": "-5"}, "max_wait_seconds", "Between 10"),
    ("queues", {"overflow_action": "transfer"}, "overflow_queue_id", "Choose the queue"),
    ("queues", {"overflow_action": "reject"}, "overflow_message", "Write what"),
    ("tags", {"label": "   "}, "label", "Write something"),
    ("tags", {"label": "x" * 51}, "label", "At most 50"),
    ("tags", {"colour": "url(x)"}, "colour", "one of the options"),
    ("quick-replies", {"shortcut": "con espacio"}, "shortcut", "without spaces"),
    ("quick-replies", {"shortcut": "😀"}, "shortcut", "without spaces"),
    ("quick-replies", {"content": "x" * 4097}, "content", "At most 4,096"),
    ("quick-replies", {"reach": "campaign"}, "campaign_id", "Choose the campaign"),
    ("quick-replies", {"reach": "world"}, "reach", "one of the options"),
    ("rules", {"regex": "(["}, "regex", "cannot be read"),
    ("rules", {"country": "XX"}, "country", "Two letters"),
    ("rules", {"target_queue_id": ""}, "target_queue_id", "Choose the queue"),
    ("rules", {"action": "assign_agent"}, "target_user_id", "Choose the person"),
    ("rules", {"action": "reject"}, "message", "Write what"),
    ("rules", {"action": "transfer_campaign"}, "target_campaign_id", "Choose the other"),
    ("rules", {"variable_operator": "="}, "variable_value", "compared with"),
    ("rules", {"message_type": "carta"}, "message_type", "one of the options"),
    ("rules", {"number_id": "999999"}, "number_id", "one of the options"),
    ("templates", {"template_name": "Pedido Enviado"}, "template_name", "Small letters"),
    ("templates", {"body_content": "Hola {{2}}"}, "body_content", "without a gap"),
    ("templates", {"body_content": "Hola {{nombre}}"}, "body_content", "Variables are numbers"),
    ("templates", {"body_content": "{{1}}, su pedido {{2}} llega."}, "body_content", "beginning"),
    ("templates", {"body_content": "Hola {{1}}, su pedido: {{2}}."}, "body_content", "the end"),
    ("templates", {"body_content": "Señora {{1}} {{2}} hola a usted"}, "body_content", "between"),
    ("templates", {"body_content": "Hola {{1}} y {{2}} adiós"}, "body_content", "so little text"),
    ("templates", {"body_examples": "Ana"}, "body_examples", "one a line"),
    ("templates", {"header_type": "IMAGE"}, "header_example", "choose a file"),
    ("templates", {"buttons-0-value": "https://x/{{1}}/y"}, "buttons", "marked cells"),
    ("templates", {"buttons-0-type": "PHONE_NUMBER"}, "buttons", "marked cells"),
    ("templates", {"buttons-0-text": "Gracias"}, "buttons", "say the same"),
    ("templates", {"body_content": "x" * 1025}, "body_content", "At most 1,024"),
    ("templates", {"footer_content": "{{1}}"}, "footer_content", "no variables"),
    ("templates", {"header_type": "TEXT"}, "header_content", "text of the header"),
    ("templates", {"buttons-0-value": "http://x"}, "buttons", "marked cells"),
    ("templates", {"buttons-1-text": ""}, "buttons", "marked cells"),
]


@pytest.mark.parametrize(("name", "changes", "field", "words"), BAD)
def test_wrong_input_is_named_beside_its_field(admin, cast, name, changes, field, words):
    area = AREAS[name]
    row = made(area, cast)
    before = columns_of(row)
    answer = post_form(admin, f"{area.address}/{row.id}", changes)
    assert answer.status_code == 422
    assert words in errors_in(answer).get(field, ""), errors_in(answer)
    assert len(errors_in(answer)) == 1
    assert columns_of(row) == before


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


def test_a_secret_goes_in_and_never_comes_out(app, admin, cast):
    canary = "EAAG-canary-4711"
    path = f"/settings/numbers/{cast.number.id}"
    answer = post_form(admin, path, {"meta_access_token": canary, "webhook_verify_token": canary})
    assert answer.status_code == 204
    db.session.expire_all()
    number = db.session.get_one(WhatsappNumber, cast.number.id)
    keys = app.config["CRM"].encryption_keys
    assert canary not in (number.meta_access_token or "")
    assert decrypt(number.meta_access_token or "", keys) == canary
    assert decrypt(number.webhook_verify_token or "", keys) == canary
    page = admin.get(path).text
    assert canary not in page
    assert (number.meta_access_token or "") not in page
    wrong = post_form(admin, path, {"meta_access_token": canary, "phone_number": "x"})
    assert wrong.status_code == 422
    assert canary not in wrong.text
    told = "".join(str(row.changes) for row in db.session.scalars(select(AuditLog)))
    assert "meta_access_token" in told
    assert canary not in told
    # Empty keeps it, the tick removes it.
    kept = number.meta_access_token
    assert post_form(admin, path).status_code == 204
    db.session.refresh(number)
    assert number.meta_access_token == kept
    assert post_form(admin, path, {"webhook_verify_token-clear": "y"}).status_code == 204
    db.session.refresh(number)
    assert number.webhook_verify_token is None


def test_rotation_encrypts_everything_with_the_newest_key(app, cast):
    from cryptography.fernet import Fernet

    from crm.db import atomic
    from crm.services import numbers

    old = app.config["CRM"].encryption_keys
    new = Fernet.generate_key().decode()
    with atomic():
        cast.number.webhook_verify_token = "plain-of-an-older-release"
        cast.number.wppconnect_api_key = "gAAAA-nobody-opens-this"
    with atomic():
        done, closed = numbers.rotate_secrets([new, *old])
    assert done == 2
    assert closed == [f"whatsapp_numbers {cast.number.id} wppconnect_api_key"]
    assert decrypt(cast.number.meta_access_token or "", [new]) == "test-access-token"
    assert decrypt(cast.number.webhook_verify_token or "", [new]) == "plain-of-an-older-release"


def test_the_rotation_command_says_what_it_did(app, cast):
    result = app.test_cli_runner().invoke(args=["secrets", "rotate"])
    assert result.exit_code == 0
    assert "Encrypted anew: 1" in result.output


def test_a_new_number_is_made_in_steps_and_proposed_its_pace(admin, cast):
    answer = post_form(
        admin, "/settings/numbers/new", {"display_name": "Nueva", "phone_number": "300 123 4567"}
    )
    assert answer.status_code == 204, errors_in(answer)
    number = db.session.scalars(select(WhatsappNumber).filter_by(display_name="Nueva")).one()
    assert answer.headers["HX-Redirect"] == f"/settings/numbers/{number.id}/credentials"
    assert (number.phone_number, number.status) == ("+573001234567", "inactive")
    assert (number.rate_limit_per_minute, number.daily_message_limit) == (4800, None)
    answer = post_form(
        admin,
        f"/settings/numbers/{number.id}/credentials",
        {
            "meta_phone_number_id": "1234567",
            "meta_business_account_id": "7654321",
            "meta_access_token": "EAAG-secret",
        },
    )
    assert answer.headers["HX-Redirect"] == f"/settings/numbers/{number.id}/webhook"
    db.session.refresh(number)
    assert number.meta_phone_number_id == "1234567"
    page = admin.get(f"/settings/numbers/{number.id}/webhook").text
    assert "/webhooks/meta" in page
    assert "EAAG" not in page


def test_a_pause_is_shown_kept_in_the_trail_and_ended(admin, cast):
    path = f"/settings/numbers/{cast.number.id}"
    assert admin.post(f"{path}/pause").status_code == 302
    assert "Sending is paused" in admin.get(path).text
    assert "paused" in admin.get("/settings/numbers").text
    assert admin.post(f"{path}/resume").status_code == 302
    assert "Pause sending" in admin.get(path).text
    deeds = db.session.scalars(select(AuditLog.action).order_by(AuditLog.id)).all()
    assert [deed for deed in deeds if "numbers." in deed] == ["numbers.pause", "numbers.resume"]


def test_a_number_without_a_campaign_cannot_be_switched_on(admin, cast):
    lonely = make_number(status="inactive")
    db.session.commit()
    answer = post_form(admin, f"/settings/numbers/{lonely.id}", {"switched_on": "y"})
    assert "campaign first" in errors_in(answer)["switched_on"]


def test_a_deleted_phone_comes_back_as_the_same_row(admin, cast):
    number = make_number(status="inactive")
    db.session.commit()
    path = f"/settings/numbers/{number.id}"
    assert (
        admin.post(f"{path}/delete", data={"confirm_name": number.phone_number}).status_code == 302
    )
    answer = post_form(
        admin,
        "/settings/numbers/new",
        {"display_name": "Otra vez", "phone_number": number.phone_number},
    )
    assert answer.headers["HX-Redirect"] == f"{path}/credentials"


def test_a_phone_or_an_id_that_is_taken_names_who_has_it(admin, cast):
    other = make_number(display_name="Línea Soporte")
    db.session.commit()
    path = f"/settings/numbers/{cast.number.id}"
    answer = post_form(admin, path, {"phone_number": other.phone_number})
    assert "Línea Soporte" in errors_in(answer)["phone_number"]
    answer = post_form(admin, path, {"meta_phone_number_id": other.meta_phone_number_id})
    assert "Línea Soporte" in errors_in(answer)["meta_phone_number_id"]


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:21465", "http://localhost", "http://localhost.", "http://127.1",
        "http://0x7f000001", "http://2130706433", "http://[::1]", "http://[::ffff:127.0.0.1]",
        "http://10.0.0.5", "http://169.254.169.254", "http://wpp", "ftp://example.com",
        "gopher://example.com", "http://ok@127.0.0.1", "http://127.0.0.1#@ok", "javascript:x",
        "http://0177.0.0.1", "https://", "http://[", "http://x:99999",
    ],
)  # fmt: skip
def test_a_wppconnect_server_inside_the_network_is_refused(admin, cast, address):
    number = make_number(status="inactive")
    db.session.commit()
    changes = {
        "provider": "wppconnect",
        "wppconnect_session_name": "ventas",
        "wppconnect_server_url": address,
    }
    answer = post_form(admin, f"/settings/numbers/{number.id}", changes)
    assert answer.status_code == 422
    assert set(errors_in(answer)) == {"wppconnect_server_url"}
    good = {**changes, "wppconnect_server_url": "https://wpp.example.com/"}
    assert post_form(admin, f"/settings/numbers/{number.id}", good).status_code == 204


def test_overflow_queues_never_form_a_circle(admin, cast):
    first, second, third = (make_queue(cast.sales, name=name) for name in ("A", "B", "C"))
    db.session.commit()
    over = {"overflow_action": "transfer"}
    for queue, target in ((first, second), (second, third)):
        answer = post_form(
            admin, f"/settings/queues/{queue.id}", {**over, "overflow_queue_id": target.id}
        )
        assert answer.status_code == 204, errors_in(answer)
    answer = post_form(
        admin, f"/settings/queues/{third.id}", {**over, "overflow_queue_id": first.id}
    )
    assert "C → A → B → C" in errors_in(answer)["overflow_queue_id"]
    answer = post_form(
        admin, f"/settings/queues/{third.id}", {**over, "overflow_queue_id": third.id}
    )
    assert answer.status_code == 422


def test_an_overflow_queue_of_another_campaign_is_refused(admin, cast):
    foreign = make_queue(make_campaign())
    db.session.commit()
    answer = post_form(
        admin,
        f"/settings/queues/{cast.queue.id}",
        {"overflow_action": "transfer", "overflow_queue_id": foreign.id},
    )
    assert "same campaign" in errors_in(answer)["overflow_queue_id"]


def test_switching_a_queue_off_asks_and_then_moves_who_waits(admin, cast):
    chats = [
        make_chat(
            campaign=cast.sales,
            number=cast.number,
            client=make_client(),
            status=ChatStatus.QUEUED,
            queue_id=cast.queue.id,
        )
        for _ in range(2)
    ]
    db.session.commit()
    path = f"/settings/queues/{cast.queue.id}"
    answer = post_form(admin, path, {"is_active": None})
    assert "no other active queue" in errors_in(answer)["is_active"]
    other = make_queue(cast.sales, name="Otra")
    db.session.commit()
    answer = post_form(admin, path, {"is_active": None})
    assert "Waiting here: 2. They would move to Otra." in errors_in(answer)["move_waiting"]
    assert 'name="move_waiting"' in answer.text
    assert post_form(admin, path, {"is_active": None, "move_waiting": "y"}).status_code == 204
    db.session.expire_all()
    moved = set(db.session.scalars(select(Chat.queue_id).where(Chat.id.in_([c.id for c in chats]))))
    assert moved == {other.id}
    assert db.session.get_one(Queue, cast.queue.id).is_active is False
    make_rule(cast.sales, action=RuleAction.ASSIGN_QUEUE, target_queue_id=cast.queue.id)
    db.session.commit()
    page = admin.get(path).text
    assert "2 waiting chats moved to the next queue." in page
    assert "Switched off: it takes nothing new. 1 rule or queue still sends chats here" in page


def test_a_queue_that_is_referred_to_is_not_deleted(admin, cast):
    make_rule(cast.sales, action=RuleAction.ASSIGN_QUEUE, target_queue_id=cast.queue.id)
    db.session.commit()
    answer = admin.post(
        f"/settings/queues/{cast.queue.id}/delete", data={"confirm_name": "General"}
    )
    assert answer.status_code == 409
    assert "Switch it off" in answer.text


def test_a_tag_keeps_its_carriers_through_a_new_name(admin, cast):
    tag = save(Tag(name="garantia", label="Garantía"))
    save(ClientTag(client_id=make_client().id, tag="garantia"))
    db.session.commit()
    assert post_form(admin, f"/settings/tags/{tag.id}", {"label": "Garantías Ñ"}).status_code == 204
    assert db.session.scalars(select(ClientTag.tag)).all() == ["garantias n"]
    answer = admin.post(f"/settings/tags/{tag.id}/delete", data={"confirm_name": "Garantías Ñ"})
    assert answer.status_code == 409
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


def test_a_template_in_review_is_only_shown(admin, cast):
    template = made(AREAS["templates"], cast)
    template.status, template.template_id = TemplateStatus.PENDING, "123"
    db.session.commit()
    path = f"/settings/templates/{template.id}"
    assert "<fieldset disabled>" in admin.get(path).text
    assert post_form(admin, path, {"footer_content": "x"}).status_code == 409


def test_the_home_shows_each_person_what_they_may_open(cast, browse):
    areas = {f"/settings/{name}" for name in ("campaigns", *AREAS)}

    def shown(user) -> set[str]:
        page = browse(user).get("/settings").text
        return {path for path in areas if f'href="{path}"' in page}

    assert shown(cast.admin) == areas
    assert shown(cast.marta) == areas
    assert shown(cast.laura) == {"/settings/quick-replies", "/settings/templates"}
