"""Numbers in the settings: secrets that go in and never come out, steps, pauses, doubles."""

from __future__ import annotations

from sqlalchemy import select

from crm.db import atomic, db
from crm.lib.crypto import decrypt
from crm.models import (
    AlarmKind,
    AuditLog,
    WhatsappNumber,
)
from crm.services.alarms import end_alarm, raise_alarm
from tests.blueprints.admin_desk import (
    FRAGMENT,
    errors_in,
    form_of,
    post_form,
)
from tests.factories import make_chat, make_number


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


def test_a_number_shows_what_is_wrong_with_it_and_what_to_do(admin, cast):
    with atomic():
        raise_alarm(
            AlarmKind.ACCOUNT_RESTRICTED,
            subject=str(cast.number.id),
            number_id=cast.number.id,
            facts={"reason": "ACCOUNT_RESTRICTION"},
        )
        cast.number.last_error = "The WhatsApp connection needs a new access token."
    page = admin.get(f"/settings/numbers/{cast.number.id}").text
    assert "Meta said: the account is restricted" in page
    assert "ask for a review there" in page
    assert "The provider said: The WhatsApp connection needs a new access token." in page


def test_a_number_in_trouble_says_so_wherever_it_is_shown_until_it_is_over(
    app, cast, admin, browse
):
    """Its row is active: Meta has restricted the account, and tells that beside it."""
    with atomic():
        chat = make_chat(campaign=cast.sales, number=cast.number, agent=cast.laura, status="active")
        make_chat(campaign=cast.sales, number=make_number(), agent=cast.laura, status="active")
    laura, path = browse(cast.laura), f"/settings/numbers/{cast.number.id}"
    places = [
        (admin, "/settings/numbers"), (admin, path), (admin, "/settings"),
        (admin, f"/settings/campaigns/{cast.sales.id}"),
        (laura, "/inbox/filters"), (laura, f"/inbox/{chat.id}"),
    ]  # fmt: skip

    def silent() -> list[str]:
        return [where for who, where in places if "Account restricted" not in who.get(where).text]

    with atomic():
        subject = str(cast.number.id)
        raise_alarm(AlarmKind.ACCOUNT_RESTRICTED, subject=subject, number_id=cast.number.id)
    assert silent() == []
    listed = admin.get("/settings/numbers?state=trouble").text
    assert 'class="number-state trouble"' in listed
    # Both ask for themselves again when an alarm moves (alarms.js).
    for shown in (listed, admin.get(path).text):
        assert "crm:alarms from:document" in shown
    assert "Messages may not get through now" in laura.get(f"/inbox/{chat.id}").text
    with atomic():
        end_alarm(AlarmKind.ACCOUNT_RESTRICTED, subject=subject)
    assert silent() == [where for _who, where in places]
    assert "Nothing matches" in admin.get("/settings/numbers?state=trouble").text


def test_an_agent_reads_that_what_they_write_waits_while_sending_is_paused(cast, admin, browse):
    with atomic():
        chat = make_chat(campaign=cast.sales, number=cast.number, agent=cast.laura, status="active")
    admin.post(f"/settings/numbers/{cast.number.id}/pause")
    page = browse(cast.laura).get(f"/inbox/{chat.id}").text
    assert "Línea Ventas: Sending is paused" in page
    assert "What you write waits" in page


def test_a_number_without_a_campaign_cannot_be_switched_on(admin, cast):
    lonely = make_number(status="inactive")
    db.session.commit()
    answer = post_form(admin, f"/settings/numbers/{lonely.id}", {"switched_on": "y"})
    assert "campaign first" in errors_in(answer)["switched_on"]


def test_a_deleted_phone_comes_back_as_the_same_row(admin, cast):
    number = make_number(status="inactive")
    db.session.commit()
    path = f"/settings/numbers/{number.id}"
    confirmed = {"confirm_name": number.display_name or number.phone_number}
    assert admin.post(f"{path}/delete", data=confirmed).location == "/settings/numbers"
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


# Every spelling of an inner address, and what is no address.
INNER = (
    "http://127.0.0.1:21465", "http://localhost", "http://localhost.", "http://127.1",
    "http://0x7f000001", "http://2130706433", "http://[::1]", "http://[::ffff:127.0.0.1]",
    "http://10.0.0.5", "http://169.254.169.254", "http://wpp", "ftp://example.com",
    "gopher://example.com", "http://ok@127.0.0.1", "http://127.0.0.1#@ok", "javascript:x",
    "http://0177.0.0.1", "https://", "http://[", "http://x:99999",
)  # fmt: skip


def test_a_wppconnect_server_inside_the_network_is_refused(admin, cast):
    number = make_number(status="inactive")
    db.session.commit()
    path = f"/settings/numbers/{number.id}"
    changes = {"provider": "wppconnect", "wppconnect_session_name": "ventas"}
    form = form_of(admin, path)
    for address in INNER:
        sent = {**form.to_dict(), **changes, "wppconnect_server_url": address}
        answer = admin.post(path, data=sent, headers=FRAGMENT)
        assert answer.status_code == 422, address
        assert set(errors_in(answer)) == {"wppconnect_server_url"}, address
    good = {**changes, "wppconnect_server_url": "https://wpp.example.com/"}
    assert post_form(admin, f"/settings/numbers/{number.id}", good).status_code == 204
