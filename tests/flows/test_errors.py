"""Whatever goes wrong, a person gets a page that says what to do, and a machine its status."""

import pytest
from flask import Flask, url_for
from flask.testing import FlaskClient
from sqlalchemy import create_engine

from crm import create_app
from crm.config import Config
from crm.db import db
from tests.conftest import Visitor


@pytest.fixture
def client_without_database(environment: dict[str, str]) -> FlaskClient:
    """An application whose Postgres does not answer: nobody listens at that port."""
    dead = environment | {"DATABASE_URL": "postgresql://charla:x@127.0.0.1:9/charla"}
    app = create_app(Config.from_env(dead))
    app.test_client_class = Visitor
    return app.test_client()


@pytest.mark.parametrize("path", ["/inbox", "/inbox/1", "/login"])
def test_with_the_database_away_a_signed_in_person_gets_a_page_with_503(
    client_without_database: FlaskClient, path: str
) -> None:
    client_without_database.set_cookie("sid", "x" * 43)
    answer = client_without_database.get(path)
    assert answer.status_code == 503
    assert "<html" in answer.get_data(as_text=True)
    assert "Traceback" not in answer.get_data(as_text=True)


def test_with_the_database_away_a_fragment_is_a_fragment(
    client_without_database: FlaskClient,
) -> None:
    client_without_database.set_cookie("sid", "x" * 43)
    answer = client_without_database.get("/inbox", headers={"HX-Request": "true"})
    assert answer.status_code == 503
    assert "<html" not in answer.get_data(as_text=True)


def test_with_the_database_away_the_process_is_alive_and_not_ready(
    client_without_database: FlaskClient,
) -> None:
    assert client_without_database.get("/healthz").status_code == 200
    answer = client_without_database.get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json()["away"] == ["database"]


def test_a_page_that_does_not_exist_says_so_with_all_its_headers(client: FlaskClient) -> None:
    answer = client.get("/no-such-page")
    assert answer.status_code == 404
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_method_that_does_not_exist_names_those_that_do(client: FlaskClient) -> None:
    answer = client.delete("/healthz")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_static_files_carry_the_policy_and_may_be_kept_for_ever(
    app: Flask, client: FlaskClient
) -> None:
    with app.test_request_context():
        url = url_for("static", filename="css/app.css")
    answer = client.get(url)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["Cache-Control"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "Set-Cookie" not in answer.headers


def test_the_engine_names_our_limits(app: Flask) -> None:
    with db.engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "10s"
        assert connection.exec_driver_sql("SHOW timezone").scalar() == "UTC"
    assert create_engine(app.config["SQLALCHEMY_DATABASE_URI"]).driver == "psycopg2"
