"""What several of these modules start from; a module may have its own under the same name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from crm.db import db
from crm.models import WhatsappNumber
from tests.blueprints.admin_desk import browser_of
from tests.cast import Cast, make_cast
from tests.factories import make_campaign, make_number
from tests.providers.deliveries import PHONE_NUMBER_ID


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


@pytest.fixture
def number(app: Flask) -> WhatsappNumber:
    number = make_number(campaign=make_campaign(), meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    return number


@pytest.fixture
def fresh_secrets(app: Flask) -> None:
    """Forget the secrets of an earlier test's numbers."""
    app.extensions["webhooks"].secrets = None
