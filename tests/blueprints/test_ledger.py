"""The pages of the ledger."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from crm.db import atomic, db
from crm.jobs import ledger as jobs
from crm.models import (
    AuditLog,
    Message,
    Permission,
    Template,
    UserPermission,
    WebhookEvent,
    WebhookReplay,
)
from tests.cast import Cast
from tests.factories import make_user, save
from tests.providers.deliveries import body, status, words
from tests.services.test_inbound import take_in
from tests.services.test_inbox import counted_statements
from tests.services.test_ledger import failed

SECRET_WORDS = "mi cédula es 123"


@pytest.fixture
def row(cast: Cast) -> WebhookEvent:
    with atomic():
        raw = body(words("wamid.1", SECRET_WORDS), number=cast.number.meta_phone_number_id)
        problem = {"reason": "refused", "detail": f"DataError: {SECRET_WORDS}"}
        return failed(raw, problems=[problem], whatsapp_number_id=cast.number.id)


def test_a_delivery_says_what_happened_and_what_to_do(cast, browse, row):
    page = browse(cast.admin).get("/settings/ledger").text
    assert "The database refused to store it." in page
    detail = browse(cast.admin).get(f"/settings/ledger/{row.id}").text
    assert "nothing is lost" in detail
    assert "…4567" in detail


def test_words_of_customers_are_only_for_who_may_read_bodies(cast, browse, row):
    with atomic():
        audit = make_user(role="audit")
    browser = browse(audit)
    for address in ("/settings/ledger", f"/settings/ledger/{row.id}"):
        answer = browser.get(address)
        assert answer.status_code == 200
        assert SECRET_WORDS not in answer.text
    assert browser.get(f"/settings/ledger/{row.id}/body").status_code == 403
    with atomic():
        permission = db.session.scalars(select(Permission).filter_by(name="webhooks.read_body"))
        db.session.add(UserPermission(user_id=audit.id, permission_id=permission.one().id))
    assert SECRET_WORDS in browser.get(f"/settings/ledger/{row.id}/body").text
    deed = db.session.scalars(select(AuditLog).filter_by(action="webhooks.read_body")).one()
    assert (deed.user_id, deed.entity_id) == (audit.id, row.id)


def test_one_is_processed_again(cast, browse, row):
    admin = browse(cast.admin)
    for _ in range(2):
        assert admin.post(f"/settings/ledger/{row.id}/replay").status_code == 302
        assert "Processed again: Processed." in admin.get(f"/settings/ledger/{row.id}").text
    assert admin.post("/settings/ledger/999999/replay").status_code == 404


def test_many_are_processed_again_by_a_job(cast, browse, row):
    with atomic():
        failed(body(words("wamid.2"), number=cast.number.meta_phone_number_id))
        other = failed(body(words("wamid.3")), status="waiting")
    admin = browse(cast.admin)
    path = "/settings/ledger/replays?status=trouble"
    assert admin.post(path, data={"scope": "all"}).location == "/settings/ledger?status=trouble"
    assert "0 of 2" in admin.get("/settings/ledger/run").text
    assert admin.post(path, data={"scope": "all"}).status_code == 409
    jobs.replay(db.session.scalars(select(WebhookReplay)).one().id)
    assert "2 of 2 are whole now" in admin.get("/settings/ledger/run").text
    db.session.expire_all()
    assert other.status == "waiting"


def test_ticked_ones_alone_are_processed_and_none_is_said(cast, browse, row):
    admin = browse(cast.admin)
    admin.post("/settings/ledger/replays", data={"scope": "ticked", "id": ["x", "-1"]})
    assert "Tick the deliveries" in admin.get("/settings/ledger").text
    admin.post("/settings/ledger/replays", data={"scope": "ticked", "id": [row.id, "1e9"]})
    assert db.session.scalars(select(WebhookReplay)).one().total == 1


def test_a_text_is_looked_for_in_the_bodies_by_who_may_read_them(cast, browse, row):
    with atomic():
        audit = make_user(role="audit")
        escaped = failed(
            b'{"text": "Necesito la garant\\u00eda"}', whatsapp_number_id=cast.number.id
        )
    browser = browse(cast.admin)

    def found(browser: FlaskClient, words: str) -> set[int]:
        page = browser.get("/settings/ledger", query_string={"q": words}).text
        return {each.id for each in (row, escaped) if f'/settings/ledger/{each.id}"' in page}

    assert found(browser, "wamid.1") == {row.id}
    assert found(browser, "cédula") == {row.id}
    assert found(browser, "garantía") == {escaped.id}
    assert found(browser, "%") == found(browser, "nadie") == set()
    assert found(browse(audit), "wamid.1") == {row.id, escaped.id}, "as if nothing were asked"
    # A search is no order: what it does not show would be processed too.
    browser.post("/settings/ledger/replays?q=nadie", data={"scope": "all"})
    assert db.session.query(WebhookReplay).count() == 0


def test_who_may_not_replay_finds_no_button(cast, browse, row):
    with atomic():
        audit = make_user(role="audit")
    browser = browse(audit)
    assert "/replay" not in browser.get(f"/settings/ledger/{row.id}").text
    assert browser.post(f"/settings/ledger/{row.id}/replay").status_code == 403
    assert browser.post("/settings/ledger/replays", data={"scope": "all"}).status_code == 403


def test_a_row_says_what_it_was_and_leads_there_who_may_go(cast, browse):
    number = cast.number.meta_phone_number_id
    news = {
        "event": "APPROVED", "message_template_id": 77, "message_template_name": "bienvenida",
        "message_template_language": "es",
    }  # fmt: skip
    with atomic():
        template = save(
            Template(
                whatsapp_number_id=cast.number.id,
                template_name="bienvenida",
                template_id="77",
                language="es",
                body_content="Hola",
            )
        )
    take_in(
        body(words("wamid.ledger", SECRET_WORDS), number=number),
        body(number=number, statuses=[status("wamid.nobody", "read")]),
        body(number=number, field="message_template_status_update", **news),
        body(number=number, field="from_the_future"),
    )
    message = db.session.scalars(
        select(Message).filter_by(whatsapp_message_id="wamid.ledger")
    ).one()

    page = browse(cast.admin).get("/settings/ledger").text
    way = f'<a href="/inbox/{message.chat_id}#message-{message.id}"><bdi>Ana María</bdi></a>'
    assert f"Message from {way}" in page
    assert "Read by <bdi>…4567</bdi>" in page
    assert f'<a href="/settings/templates/{template.id}">bienvenida (es)</a>: Approved' in page
    assert "Unknown, kept: from_the_future" in page
    admin = browse(cast.admin)
    with counted_statements() as few:
        admin.get("/settings/ledger")
    take_in(
        *(body(words(f"wamid.more{n}", sender=f"57300{n:07d}"), number=number) for n in range(9))
    )
    with counted_statements() as many:
        assert admin.get("/settings/ledger").text.count("Message from <a") == 10
    assert len(many) == len(few), "however many rows"
    only = browse(cast.admin).get("/settings/ledger?kind=template").text
    assert "bienvenida" in only
    assert "Message from" not in only

    with atomic():
        audit = make_user(role="audit")
    page = browse(audit).get("/settings/ledger").text
    assert "Message from <bdi>…4567</bdi>" in page
    assert "Ana María" not in page
    assert "/inbox/" not in page.partition("<main")[2]
    assert "Template bienvenida (es): Approved" in page


@pytest.mark.parametrize(
    "asked",
    ["status=trouble", "status=nonsense", "number=1", "number=²", "kind=unknown",
     "kind=%00", "hour=yesterday",
     "hour=2026-11-25T09:00:00%2B00:00", "hour=9999-12-31T23:00:00", "range=168", "range=0",
     "before=x~y", "before=2026-11-25T09:00:00%2B00:00~7", "before=~", "status=%00"],
)  # fmt: skip
def test_any_address_is_answered(cast, browse, row, asked):
    assert browse(cast.admin).get(f"/settings/ledger?{asked}").status_code == 200


def test_set_aside_and_taken_back(cast, browse, row):
    admin = browse(cast.admin)
    admin.post(f"/settings/ledger/{row.id}/set-aside")
    assert "set aside" in admin.get(f"/settings/ledger/{row.id}").text
    admin.post(f"/settings/ledger/{row.id}/set-aside", data={"back": "1"})
    assert "Take back" not in admin.get(f"/settings/ledger/{row.id}").text
