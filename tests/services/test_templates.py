"""Templates: what has to be filled in, how it reads, how it leaves, and what Meta tells of it."""

import pytest
from sqlalchemy import func, select

from crm.db import atomic, db
from crm.errors import Invalid, NotFound
from crm.lib.clock import utcnow
from crm.models import (
    File,
    HeaderType,
    Message,
    MessageType,
    QueuedMessage,
    Template,
    TemplateStatus,
)
from crm.providers.outbound import (
    CopyCodeParameter,
    CurrencyParameter,
    DateTimeParameter,
    FilledTemplate,
    Location,
    Media,
    MediaKind,
    TextParameter,
    UrlParameter,
)
from crm.services import inbox, templates
from crm.services.media import uploading
from crm.services.media.sending import SentAlready
from crm.services.messages.contents import read_content
from crm.services.messages.outbound import OptedOut
from crm.services.templates import TemplateKey
from crm.services.templates.definition import components_of, read_definition
from tests.cast import make_cast
from tests.factories import make_chat, make_number, save

META = {
    "id": "77",
    "name": "pedido_enviado",
    "language": "es",
    "status": "APPROVED",
    "category": "UTILITY",
    "parameter_format": "POSITIONAL",
    "quality_score": {"score": "GREEN"},
    "rejected_reason": "NONE",
    "components": [
        {
            "type": "HEADER",
            "format": "TEXT",
            "text": "Pedido {{1}}",
            "example": {"header_text": ["A-1"]},
        },
        {
            "type": "BODY",
            "text": "Hola, {{2}}: su pedido {{1}} llega el {{3}}.",
            "example": {"body_text": [["A-1", "Ana", "lunes"]]},
        },
        {"type": "FOOTER", "text": "Charla"},
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "QUICK_REPLY", "text": "Gracias"},
                {
                    "type": "URL",
                    "text": "Rastrear",
                    "url": "https://example.com/{{1}}",
                    "example": ["https://example.com/A-1"],
                },
                {"type": "COPY_CODE", "text": "Copiar", "example": "X9"},
            ],
        },
    ],
}
VALUES = {
    "header": "A-1042",
    "body.1": "A-1042",
    "body.2": " Ana  María\n",
    "body.3": "lunes",
    "button.1": "A-1042",
    "button.2": "PROMO10",
}


@pytest.fixture
def cast(database):
    cast = make_cast()
    cast.number.meta_business_account_id = "900"
    db.session.commit()
    return cast


@pytest.fixture
def chat(cast):
    chat = make_chat(campaign=cast.sales, number=cast.number, agent=cast.laura)
    db.session.commit()
    return chat


def make_template(number, row=META, **fields):
    columns = read_definition(row)
    template = save(
        Template(
            **{
                "whatsapp_number_id": number.id,
                "template_name": row["name"],
                "language": row["language"],
                **columns,
                **fields,
            }
        )
    )
    db.session.commit()
    return template


def send(chat, template, values=VALUES, **more):
    with atomic():
        return templates.queue_template(chat, template.id, values, **more)


def test_metas_definition_survives_the_way_through_a_row(cast):
    template = make_template(cast.number)
    again = components_of(template)
    theirs = [dict(part) for part in META["components"]]
    theirs[3]["buttons"] = [dict(row) for row in theirs[3]["buttons"]]
    theirs[3]["buttons"][2]["example"] = ["X9"]
    assert again == theirs


def test_what_has_to_be_filled_in_is_asked_for_in_reading_order(cast):
    blanks = templates.blanks_of(make_template(cast.number, variables=["pedido", "nombre", "día"]))
    assert [(blank.key, blank.kind, blank.label, blank.example) for blank in blanks] == [
        ("header", "text", "1", "A-1"),
        ("body.1", "text", "pedido", "A-1"),
        ("body.2", "text", "nombre", "Ana"),
        ("body.3", "text", "día", "lunes"),
        ("button.1", "text", "Rastrear", "A-1"),
        ("button.2", "code", "Copiar", "X9"),
    ]


def test_it_leaves_with_its_values_and_reads_like_them(chat, cast):
    template = make_template(cast.number)
    message = send(chat, template, author=cast.laura)

    assert message.message_type is MessageType.TEMPLATE
    assert message.content == "Hola, Ana María: su pedido A-1042 llega el lunes."
    assert message.meta["template"]["shown"] == {
        "header": "Pedido A-1042",
        "header_type": "TEXT",
        "body": message.content,
        "footer": "Charla",
        "buttons": [
            {"type": "QUICK_REPLY", "text": "Gracias"},
            {"type": "URL", "text": "Rastrear"},
            {"type": "COPY_CODE", "text": "Copiar"},
        ],
    }
    assert read_content(message) == FilledTemplate(
        "pedido_enviado",
        "es",
        header=TextParameter("A-1042"),
        body=(TextParameter("A-1042"), TextParameter("Ana María"), TextParameter("lunes")),
        buttons=(UrlParameter(1, "A-1042"), CopyCodeParameter(2, "PROMO10")),
    )
    assert db.session.get_one(Template, template.id).usage_count == 1


def test_it_leaves_outside_the_window_too(chat, cast):
    chat.last_inbound_at = None
    db.session.commit()
    send(chat, make_template(cast.number))
    assert db.session.scalar(select(func.count(QueuedMessage.id))) == 1


@pytest.mark.parametrize("missing", list(VALUES))
def test_a_blank_that_is_left_empty_is_named(chat, cast, missing):
    template = make_template(cast.number)
    with pytest.raises(Invalid, match=r"Fill in|Write the"):
        send(chat, template, {**VALUES, missing: "  "})
    assert db.session.scalar(select(func.count(Message.id))) == 0
    assert db.session.get_one(Template, template.id).usage_count == 0


def test_what_gets_too_long_by_filling_is_refused(chat, cast):
    template = make_template(cast.number)
    for key, words in (("body.2", "a" * 1020), ("header", "b" * 55), ("button.2", "c" * 16)):
        with pytest.raises(Invalid, match=r"more than|at most"):
            send(chat, template, {**VALUES, key: words})


def test_named_variables_carry_their_names(chat, cast):
    row = {**META, "parameter_format": "named", "name": "saludo"}
    row["components"] = [{"type": "BODY", "text": "Hola, {{nombre}}: le habla {{agente}} hoy."}]
    template = make_template(cast.number, row)
    message = send(chat, template, {"body.nombre": "Ana", "body.agente": "Laura"})
    assert read_content(message).body == (
        TextParameter("Ana", "nombre"),
        TextParameter("Laura", "agente"),
    )


def test_a_place_and_a_file_stand_in_headers(chat, cast):
    body = {"type": "BODY", "text": "Aquí estamos."}
    place = {
        **META,
        "name": "lugar",
        "components": [{"type": "HEADER", "format": "LOCATION"}, body],
    }
    template = make_template(cast.number, place)
    values = {"header.latitude": "4,61", "header.longitude": "-74.08", "header.name": "Sede"}
    with pytest.raises(Invalid, match="name and an address"):
        send(chat, template, values)
    message = send(chat, template, {**values, "header.address": "Carrera 7"})
    assert read_content(message).header == Location(4.61, -74.08, "Sede", "Carrera 7")

    file = {**META, "name": "foto", "components": [{"type": "HEADER", "format": "IMAGE"}, body]}
    template = make_template(cast.number, file)
    with pytest.raises(Invalid, match="file"):
        send(chat, template, {"header": "http://example.com/a.jpg"})
    message = send(chat, template, {"header": "https://example.com/a.jpg"})
    assert read_content(message).header == Media(MediaKind.IMAGE, link="https://example.com/a.jpg")


@pytest.mark.parametrize("status", [s for s in TemplateStatus if s is not TemplateStatus.APPROVED])
def test_only_an_approved_one_leaves(chat, cast, status):
    template = make_template(cast.number, status=status)
    with pytest.raises(templates.NotApproved):
        send(chat, template)


def test_a_template_of_another_number_is_none(chat, cast):
    other = make_template(make_number(campaign=cast.sales))
    with pytest.raises(NotFound):
        send(chat, other)


def test_advertising_asks_for_consent_with_a_date(chat, cast):
    advert = make_template(cast.number, category="MARKETING")
    with pytest.raises(OptedOut):
        send(chat, advert)
    chat.client.opt_in_date = utcnow()
    db.session.commit()
    send(chat, advert)
    chat.client.opt_in = False
    db.session.commit()
    with pytest.raises(OptedOut):
        send(chat, advert)
    send(chat, make_template(cast.number, {**META, "name": "servicio"}))


def news(template, **more):
    db.session.expire_all()
    return db.session.get_one(Template, template.id)


def test_the_news_of_a_template_reach_every_number_of_the_account(cast):
    twin = make_number(campaign=cast.sales, meta_business_account_id="900")
    stranger = make_number(campaign=cast.sales, meta_business_account_id="901")
    mine, other, foreign = (make_template(n) for n in (cast.number, twin, stranger))
    key = TemplateKey("900", "77", "pedido_enviado", "es")
    with atomic():
        changed = templates.apply_template_status(
            key, event="REJECTED", reason="INVALID_FORMAT", detail="Mire la variable 2"
        )
    assert changed == 2
    for row in (mine, other):
        fresh = news(row)
        assert fresh.status is TemplateStatus.REJECTED
        assert (fresh.rejected_reason, fresh.status_detail) == (
            "INVALID_FORMAT",
            "Mire la variable 2",
        )
    assert news(foreign).status is TemplateStatus.APPROVED
    with atomic():
        templates.apply_template_status(key, event="APPROVED", reason="NONE")
    assert (news(mine).status, news(mine).rejected_reason) == (TemplateStatus.APPROVED, None)


def test_news_by_name_find_a_draft_that_has_no_id_yet(cast):
    draft = make_template(cast.number, template_id=None, status=TemplateStatus.PENDING)
    with atomic():
        templates.apply_template_status(
            TemplateKey("900", "99", "pedido_enviado", "es"), event="PAUSED"
        )
    assert (news(draft).status, news(draft).template_id) == (TemplateStatus.PAUSED, "99")


def test_quality_and_category_follow_and_unknown_words_change_nothing(cast):
    template = make_template(cast.number)
    key = TemplateKey("900", template_id="77")
    with atomic():
        templates.apply_template_quality(key, score="yellow")
        templates.apply_template_category(key, category="marketing", takes_effect_later=True)
        assert templates.apply_template_status(key, event="DANCING") == 0
    fresh = news(template)
    assert (fresh.quality_score, fresh.category, fresh.next_category) == (
        "YELLOW",
        "UTILITY",
        "MARKETING",
    )
    with atomic():
        templates.apply_template_category(key, category="MARKETING")
    assert (news(template).category, news(template).next_category) == ("MARKETING", None)
    assert news(template).header_type is HeaderType.TEXT


def test_an_amount_and_a_moment_leave_as_what_they_are(chat, cast):
    template = make_template(cast.number, language="es_CO")
    values = {
        **VALUES,
        "body.1": "1.250,50", "body.1.kind": "currency", "body.1.code": "COP",
        "body.3": "2026-12-24T15:30", "body.3.kind": "date_time",
    }  # fmt: skip
    message = send(chat, template, values)
    content = read_content(message)
    assert content.body[0] == CurrencyParameter("$ 1.250,50", "COP", 1_250_500)
    assert content.body[2] == DateTimeParameter("24 de diciembre de 2026, 15:30")
    assert "$ 1.250,50" in message.content
    assert "llega el 24 de diciembre de 2026" in message.content
    for wrong in ({"body.1": "mucho"}, {"body.1.code": "pesos"}, {"body.3": "mañana"}):
        with pytest.raises(Invalid):
            send(chat, template, {**values, **wrong})


@pytest.mark.parametrize(
    ("given", "thousandths"),
    [("1250", 1_250_000), ("1.250", 1_250_000), ("1,250.5", 1_250_500), ("$ 0,99", 990)],
)
def test_amounts_are_read_as_people_here_write_them(chat, cast, given, thousandths):
    values = {**VALUES, "body.1": given, "body.1.kind": "currency", "body.1.code": "USD"}
    content = read_content(send(chat, make_template(cast.number), values))
    assert content.body[0].amount_1000 == thousandths


def test_a_header_takes_an_uploaded_file_of_its_kind_once(chat, cast):
    header = {"type": "HEADER", "format": "IMAGE"}
    row = {**META, "name": "foto", "components": [header, META["components"][1]]}
    template = make_template(cast.number, row)
    paper, photo = (
        save(
            File(
                filename=f"{kind}.bin",
                original_filename=kind,
                mime_type=mime,
                size_bytes=12,
                file_path=kind,
                meta={"kind": kind},
            )
        )
        for mime, kind in (("application/pdf", "document"), ("image/jpeg", "image"))
    )
    db.session.commit()
    with pytest.raises(Invalid, match="photo"):
        send(chat, template, file=paper)
    message = send(chat, template, file=photo)
    assert (message.media_file_id, photo.related_entity_id) == (photo.id, message.id)
    assert uploading.needs_upload(read_content(message))
    # The bubble shows the picture itself.
    assert inbox.find_bubble(message.id).attachment.kind == "image"
    with pytest.raises(SentAlready):
        send(chat, template, file=photo)
