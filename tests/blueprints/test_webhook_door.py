"""Who may post to Meta's address, and what is no delivery."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from crm.blueprints import webhooks
from crm.db import db
from crm.lib.crypto import encrypt
from crm.models import (
    Message,
    WebhookEvent,
    WhatsappNumber,
)
from tests.blueprints.meta_desk import count, other_app
from tests.factories import make_campaign, make_number
from tests.providers.deliveries import body, post, sign, words

pytestmark = pytest.mark.usefixtures("fresh_secrets")


def shake(client: FlaskClient, token: str, mode: str = "subscribe") -> Any:
    query = {"hub.mode": mode, "hub.verify_token": token, "hub.challenge": "1158201444"}
    return client.get("/webhooks/meta", query_string=query)


def test_the_handshake_gives_the_challenge_back_as_plain_text(client: FlaskClient) -> None:
    answer = shake(client, "test-verify-token")
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.mimetype == "text/plain"


def test_the_handshake_refuses_other_tokens_and_modes(client: FlaskClient) -> None:
    assert shake(client, "another").status_code == 403
    assert shake(client, "").status_code == 403
    assert shake(client, "test-verify-token", mode="unsubscribe").status_code == 403
    assert client.get("/webhooks/meta").status_code == 403


def test_the_handshake_takes_a_number_s_own_token(app: Flask, client: FlaskClient) -> None:
    keys = app.config["CRM"].encryption_keys
    make_number(webhook_verify_token=encrypt("token-of-this-number", keys))
    make_number(webhook_verify_token="an-older-plain-one")
    db.session.commit()
    assert shake(client, "token-of-this-number").status_code == 200
    assert shake(client, "an-older-plain-one").status_code == 200


def test_it_asks_nobody_for_a_cookie_and_sets_none(
    client: FlaskClient, number: WhatsappNumber
) -> None:
    raw = body(words("wamid.1"))
    answer = client.post("/webhooks/meta", data=raw, headers=sign(raw))
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha256="},
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
        {"X-Hub-Signature": sign(body(words("wamid.1")))["X-Hub-Signature-256"]},
        sign(body(words("wamid.1")), "another-app's-secret"),
        sign(body(words("wamid.2"))),
        {"X-Hub-Signature-256": sign(body(words("wamid.1")))["X-Hub-Signature-256"][7:]},
    ],
)
def test_a_wrong_signature_is_refused_and_nothing_stored(
    client: FlaskClient, number: WhatsappNumber, headers: dict[str, str]
) -> None:
    answer = client.post("/webhooks/meta", data=body(words("wamid.1")), headers=headers)
    assert answer.status_code == 401
    assert (count(Message), count(WebhookEvent)) == (0, 0)


def test_an_older_secret_of_the_list_still_counts(
    client: FlaskClient, number: WhatsappNumber
) -> None:
    assert post(client, body(words("wamid.1")), "older-app-secret") == 200


def test_a_number_s_own_secret_wins_over_the_environment_s(
    app: Flask, client: FlaskClient, number: WhatsappNumber
) -> None:
    number.meta_app_secret = encrypt("own-secret", app.config["CRM"].encryption_keys)
    db.session.commit()
    assert post(client, body(words("wamid.1"))) == 401
    assert post(client, body(words("wamid.1")), "own-secret") == 200
    # The other app's secret says nothing about numbers that are not its own.
    make_number(campaign=make_campaign(), meta_phone_number_id="222")
    db.session.commit()
    assert post(client, body(words("wamid.2"), number="222"), "own-secret") == 401
    assert post(client, body(words("wamid.2"), number="222")) == 200


def test_a_secret_that_cannot_be_opened_lets_nobody_in(
    client: FlaskClient, number: WhatsappNumber
) -> None:
    number.meta_app_secret = "not a ciphertext"
    db.session.commit()
    assert post(client, body(words("wamid.1"))) == 401


def test_without_any_secret_the_route_answers_503(app: Flask, environment: dict[str, str]) -> None:
    bare = other_app(environment, META_APP_SECRET="")
    assert post(bare.test_client(), body(words("wamid.1"))) == 503
    assert count(WebhookEvent) == 0


@pytest.mark.parametrize(
    "raw", [b"", b"hola", b'{"a": NaN}', b"[" * 10_000, b"[" * 9_000 + b"]" * 9_000, b"\xff"]
)
def test_what_is_no_json_is_400_and_not_stored(
    client: FlaskClient, number: WhatsappNumber, raw: bytes
) -> None:
    assert post(client, raw) == 400
    assert count(WebhookEvent) == 0


def test_what_is_too_large_is_413_and_not_read(client: FlaskClient, number: WhatsappNumber) -> None:
    raw = body(words("wamid.1", "x" * (3 * 1024 * 1024)))
    assert post(client, raw) == 413
    answer = client.post(
        "/webhooks/meta", environ_overrides={"CONTENT_LENGTH": str(50 * 1024 * 1024)}
    )
    assert answer.status_code == 413
    assert count(WebhookEvent) == 0


def chunked(client: FlaskClient, raw: bytes) -> int:
    """Deliver without a Content-Length, as a server hands on a chunked body."""
    answer = client.post(
        "/webhooks/meta",
        input_stream=io.BytesIO(raw),
        headers=sign(raw),
        environ_overrides={"wsgi.input_terminated": True},
    )
    return answer.status_code


def test_a_chunked_delivery_is_taken_like_any_other(
    client: FlaskClient, number: WhatsappNumber
) -> None:
    assert chunked(client, body(words("wamid.1"))) == 200
    assert chunked(client, body(words("wamid.2", "x" * (3 * 1024 * 1024)))) == 413
    assert chunked(client, b"hola") == 400
    assert (count(Message), count(WebhookEvent)) == (1, 1)


def test_a_delivery_that_is_cut_short_is_400_and_not_stored(
    client: FlaskClient, number: WhatsappNumber
) -> None:
    raw = body(words("wamid.1"))
    answer = client.post(
        "/webhooks/meta",
        data=raw,
        headers=sign(raw),
        environ_overrides={"CONTENT_LENGTH": str(len(raw) + 10)},
    )
    assert answer.status_code == 400
    assert count(WebhookEvent) == 0


def test_a_refusal_is_logged_once_a_minute_for_each_address(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(webhooks.log, "warning", lambda event, **_: logged.append(event))
    app.extensions["webhooks"].refused_at.clear()
    for _ in range(5):
        client.post("/webhooks/meta", data=b"{}")
    client.post("/webhooks/meta", data=b"{}", environ_base={"REMOTE_ADDR": "10.0.0.9"})
    assert logged == ["signature_refused"] * 2
