"""The picture of a person over HTTP: what is taken, what is made of it, and what is refused."""

from __future__ import annotations

import io

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import select
from werkzeug.test import TestResponse

from crm.db import atomic, db
from crm.models import AuditLog, File, User
from crm.services import users
from tests import factories
from tests.people import csrf_of, enter


@pytest.fixture
def laura(app: Flask) -> User:
    with atomic():
        return factories.make_user(email="laura@example.com")


def picture(kind: str = "JPEG", *, size: tuple[int, int] = (900, 600)) -> bytes:
    """A noisy one with an EXIF remark in it, so that it is large and tells where it was taken."""
    image = Image.effect_noise(size, 90).convert("RGB")
    exif = Image.Exif()
    exif[0x010E] = "tomada en la casa de Laura"
    out = io.BytesIO()
    image.save(out, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    return out.getvalue()


def upload(client: FlaskClient, content: bytes, *, name: str = "yo.jpg") -> TestResponse:
    form = {"csrf_token": csrf_of(client, "/profile"), "picture": (io.BytesIO(content), name)}
    return client.post("/profile/avatar", data=form, content_type="multipart/form-data")


def url_of(user: User) -> str | None:
    db.session.rollback()
    return db.session.scalar(select(User.avatar_url).where(User.id == user.id))


@pytest.mark.parametrize(("kind", "name"), [("JPEG", "yo.jpg"), ("WEBP", "yo")])
def test_a_picture_is_made_anew_small_and_without_what_it_tells(
    app: Flask, laura: User, kind: str, name: str
) -> None:
    client = enter(app, laura)
    given = picture(kind)
    assert upload(client, given, name=name).location == "/profile"
    url = url_of(laura)
    assert url
    assert url in client.get("/profile").text
    served = client.get(url)
    assert served.status_code == 200
    assert served.content_type == "image/jpeg"
    assert served.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in served.headers["Content-Security-Policy"]
    assert Image.open(io.BytesIO(served.data)).size == (512, 512)
    assert len(served.data) < len(given)
    assert b"tomada en" not in served.data
    small = client.get(f"{url}?size=small")
    assert small.content_type == "image/webp"
    assert Image.open(io.BytesIO(small.data)).size == (144, 144)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (SVG, "yo.png"),
        (HTML, "yo.jpg"),
        (b"\xff\xd8\xff\xe0" + b"\x00" * 400, "roto.jpg"),
        (b"", "vacia.jpg"),
    ],
    ids=["svg as png", "html", "broken", "empty"],
)
def test_what_is_no_picture_is_refused_beside_the_field(
    app: Flask, laura: User, content: bytes, name: str
) -> None:
    answer = upload(enter(app, laura), content, name=name)
    assert answer.status_code == 422
    assert 'id="picture-error"' in answer.text
    assert url_of(laura) is None
    assert db.session.scalars(select(File)).all() == []


def test_a_bomb_of_pixels_is_refused(app: Flask, laura: User) -> None:
    out = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(out, "PNG")
    assert upload(enter(app, laura), out.getvalue(), name="bomba.png").status_code == 422
    assert url_of(laura) is None


def test_a_file_that_is_too_large_is_refused(app: Flask, laura: User) -> None:
    client = enter(app, laura)
    assert upload(client, picture() + b"\0" * (9 * 1024 * 1024)).status_code == 413
    assert url_of(laura) is None


def test_a_new_one_replaces_the_old_and_it_can_be_taken_away(app: Flask, laura: User) -> None:
    client = enter(app, laura)
    upload(client, picture())
    first = url_of(laura)
    assert first
    upload(client, picture(size=(300, 300)))
    second = url_of(laura)
    assert second not in {None, first}
    assert client.get(first).status_code == 404
    form = {"csrf_token": csrf_of(client, "/profile"), "remove": "y"}
    assert client.post("/profile/avatar", data=form).location == "/profile"
    assert url_of(laura) is None
    assert client.get(second or "").status_code == 404
    deeds = db.session.scalars(select(AuditLog.action).order_by(AuditLog.id)).all()
    assert deeds == ["auth.login", *["profile.avatar"] * 3]


def test_the_picture_of_a_deleted_account_is_gone(app: Flask, laura: User) -> None:
    client = enter(app, laura)
    upload(client, picture())
    url = url_of(laura)
    with atomic():
        boss = users.scope_of(factories.make_user(role="super_admin"))
        users.delete_user(boss, laura.id)
    assert url_of(laura) is None
    assert app.test_client().get(url or "").status_code == 404
