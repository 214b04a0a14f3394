"""Our rows against an account at Meta, over HTTP against the simulator."""

import dataclasses

import pytest
import requests
from flask import current_app
from sqlalchemy import select

from crm.db import atomic, db
from crm.errors import Invalid, Unavailable
from crm.lib.crypto import encrypt
from crm.models import HeaderType, Template, TemplateStatus
from crm.providers.outbound import UrlParameter
from crm.services import templates
from tests.cast import make_cast
from tests.factories import make_number, save
from tests.simulator.server import NUMBER, WABA, simulator_server

TOKEN = "simulator-token"


@pytest.fixture(scope="module")
def meta():
    with simulator_server() as server:
        yield server


@pytest.fixture
def config(database, meta):
    return dataclasses.replace(current_app.config["CRM"], meta_graph_url=meta.graph_url)


@pytest.fixture
def cast(database, config):
    cast = make_cast()
    connect(cast.number, NUMBER, config)
    db.session.commit()
    return cast


def connect(number, meta_id, config, token=TOKEN):
    number.meta_phone_number_id = meta_id
    number.meta_business_account_id = WABA
    number.meta_access_token = encrypt(token, config.encryption_keys)


def rows_of(number):
    db.session.expire_all()
    return {
        (row.template_name, row.language): row
        for row in db.session.scalars(
            select(Template).where(Template.whatsapp_number_id == number.id)
        )
    }


def draft(number, **fields):
    template = save(
        Template(
            **{
                "whatsapp_number_id": number.id,
                "template_name": "pedido_listo",
                "language": "es",
                "category": "UTILITY",
                "body_content": "Hola, {{1}}: su pedido está listo para recoger.",
                "variables": ["1"],
                "examples": {"body": ["Ana"]},
                "status": TemplateStatus.PENDING,
                **fields,
            }
        )
    )
    db.session.commit()
    return template


def test_an_account_is_read_page_by_page_for_each_of_its_numbers(cast, config, monkeypatch):
    twin = make_number(campaign=cast.sales)
    connect(twin, None, config)
    db.session.commit()
    monkeypatch.setattr("crm.services.templates.syncing.PAGE", 2)
    result = templates.sync_templates(cast.number.id, config=config)
    mine, other = rows_of(cast.number), rows_of(twin)
    assert result.found == len(mine) == len(other) >= 5
    assert mine.keys() == other.keys()
    paused = mine["oferta_pausada", "es"]
    assert (paused.status, paused.category) == (TemplateStatus.PAUSED, "MARKETING")
    named = mine["retomar_conversacion", "es"]
    assert (named.parameter_format, named.variables) == ("NAMED", ["nombre"])
    assert mine["hello_world", "en_US"].header_type is HeaderType.TEXT
    again = templates.sync_templates(cast.number.id, config=config)
    assert (again.added, again.changed, again.gone) == (0, 0, 0)


def test_what_meta_has_no_more_is_marked_and_drafts_stay(cast, config):
    templates.sync_templates(cast.number.id, config=config)
    gone = draft(cast.number, template_name="ya_no_esta", template_id="4711")
    mine = draft(cast.number, template_name="borrador")
    assert templates.sync_templates(cast.number.id, config=config).gone == 1
    assert rows_of(cast.number)["ya_no_esta", "es"].status is TemplateStatus.DELETED
    assert db.session.get(Template, mine.id).status is TemplateStatus.PENDING
    assert gone is not None


def test_a_draft_goes_to_review_is_changed_and_deleted(cast, config):
    template = draft(cast.number)
    templates.submit_template(template.id, config=config)
    db.session.expire_all()
    assert template.template_id
    templates.sync_templates(cast.number.id, config=config)
    db.session.expire_all()
    assert template.status is TemplateStatus.APPROVED

    with atomic():
        template.footer_content = "Gracias"
    templates.submit_template(template.id, config=config)
    templates.sync_templates(cast.number.id, config=config)
    db.session.expire_all()
    assert template.footer_content == "Gracias"

    templates.delete_template(template.id, all_languages=False, config=config)
    assert ("pedido_listo", "es") not in rows_of(cast.number)
    templates.sync_templates(cast.number.id, config=config)
    assert ("pedido_listo", "es") not in rows_of(cast.number)


def test_all_languages_of_a_name_go_together_only_when_that_is_asked_for(cast, config):
    for language in ("es", "en"):
        templates.submit_template(draft(cast.number, language=language).id, config=config)
    spanish = rows_of(cast.number)["pedido_listo", "es"]
    templates.delete_template(spanish.id, all_languages=False, config=config)
    assert ("pedido_listo", "en") in rows_of(cast.number)
    english = rows_of(cast.number)["pedido_listo", "en"]
    templates.submit_template(draft(cast.number).id, config=config)
    templates.delete_template(english.id, all_languages=True, config=config)
    assert not [key for key in rows_of(cast.number) if key[0] == "pedido_listo"]


def test_metas_refusal_is_said_in_words_and_the_draft_stays(cast, config):
    template = draft(cast.number, examples=None)
    with pytest.raises(templates.Refused) as caught:
        templates.submit_template(template.id, config=config)
    assert caught.value.message == "Each variable needs an example."
    assert caught.value.values["told"]
    db.session.expire_all()
    assert template.template_id is None


def test_without_an_account_or_an_answer_nothing_changes(cast, config):
    away = dataclasses.replace(config, meta_graph_url="http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        templates.sync_templates(cast.number.id, config=away)
    cast.number.meta_business_account_id = None
    db.session.commit()
    with pytest.raises(templates.NoAccount):
        templates.sync_templates(cast.number.id, config=config)
    assert rows_of(cast.number) == {}


def test_an_example_file_becomes_a_handle(cast, config):
    handle = templates.upload_example(
        cast.number.id, b"%PDF-1.7 x", mime_type="application/pdf", filename="a.pdf", config=config
    )
    assert handle.startswith("4::")
    template = draft(
        cast.number, header_type=HeaderType.DOCUMENT, examples={"header": handle, "body": ["Ana"]}
    )
    templates.submit_template(template.id, config=config)
    db.session.expire_all()
    assert template.template_id


def test_a_wrong_token_is_said_as_such(cast, config, meta):
    connect(cast.number, NUMBER, config, token="another-token")
    db.session.commit()
    with pytest.raises(templates.Refused, match="token"):
        templates.sync_templates(cast.number.id, config=config)
    assert requests.get(f"{meta.graph_url}/{WABA}/message_templates", timeout=5).status_code == 401


FORM = {
    "language": "es",
    "category": "UTILITY",
    "parameter_format": "POSITIONAL",
    "header_type": None,
    "header_content": None,
    "header_example": None,
    "body_content": "Su pedido está listo.",
    "body_examples": None,
    "footer_content": None,
    "buttons": [],
}
CODE = {
    "category": "AUTHENTICATION",
    "code_security": True,
    "code_minutes": 10,
    "code_button": "COPY_CODE",
    "code_text": None,
    "code_autofill": None,
    "code_package": None,
    "code_hash": None,
}
TAP = {
    "code_button": "ONE_TAP",
    "code_package": "com.example.app",
    "code_hash": "K8a/AINcGX7",
}


def written(cast, name, values):
    """As the form saves it, in the same session that then speaks to Meta."""
    with atomic():
        values = {**FORM, "whatsapp_number_id": cast.number.id, "template_name": name, **values}
        return templates.create_template(values, created_by=cast.admin.id)


def test_what_was_just_written_with_a_header_goes_to_review(cast, config):
    header = {"header_type": "TEXT", "header_content": "Pedido listo"}
    template = written(cast, "con_encabezado", header)
    templates.submit_template(template.id, config=config)
    templates.sync_templates(cast.number.id, config=config)
    row = rows_of(cast.number)["con_encabezado", "es"]
    assert (row.header_type, row.header_content) == (HeaderType.TEXT, "Pedido listo")


@pytest.mark.parametrize("more", [{}, TAP], ids=["copied", "by one tap"])
def test_a_one_time_code_is_written_reviewed_and_sent(cast, config, more):
    template = written(cast, f"codigo_{len(more)}", {**CODE, **more})
    assert "no lo compartas" in template.body_content
    assert template.footer_content == "Este código caduca en 10 minutos."
    templates.submit_template(template.id, config=config)
    templates.sync_templates(cast.number.id, config=config)
    db.session.expire_all()
    assert template.status is TemplateStatus.APPROVED
    assert template.code_parts == {"security": True, "minutes": 10}
    assert templates.state_of(template)["code_button"] == more.get("code_button", "COPY_CODE")
    assert [blank.label for blank in templates.blanks_of(template)] == ["código"]
    filled = templates.fill(template, {"body.1": "482913"})
    assert filled.shown["body"].startswith("*482913* es tu código")
    assert filled.content.buttons == (UrlParameter(0, "482913"),)
    with pytest.raises(Invalid):
        templates.fill(template, {"body.1": "4" * 16})
