"""Accounts, one's own profile, roles."""

from __future__ import annotations

import functools
import zoneinfo

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, Regexp

from crm.forms.auth import EMAIL
from crm.forms.kit import (
    AdminForm,
    LongTextField,
    NumberField,
    Pick,
    TextField,
    Tick,
    Word,
    at_most,
    between,
    needed,
)
from crm.lib.text import clean

LANGUAGES = (("es", "Español"), ("en", "English"))
REGIONS = ("America/", "Europe/", "Atlantic/", "Pacific/")
PHONE = r"^\+?[0-9 ()\-]{6,30}$"


@functools.cache
def zones() -> list[tuple[str, str]]:
    """The zones where people of ours live, as ("America/Bogota", "America/Bogota")."""
    named = sorted(zone for zone in zoneinfo.available_timezones() if zone.startswith(REGIONS))
    return [(zone, zone.replace("_", " ")) for zone in named]


class PersonForm(AdminForm):
    """What a person may set about themselves too."""

    first_name = TextField(_l("First name"), validators=[needed(), at_most(100)])
    last_name = TextField(_l("Last name"), validators=[needed(), at_most(100)])
    phone = TextField(_l("Phone"))
    language = Word(_l("Language"), LANGUAGES)
    time_zone = Word(_l("Time zone"), (), empty=_l("The installation's"))

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.time_zone.choices = [*self.time_zone.choices, *zones()]

    def validate_phone(self, field: TextField) -> None:
        if field.data:
            Regexp(PHONE, message=_l("Write digits, with + and the country first."))(self, field)


class UserForm(PersonForm):
    email = TextField(
        _l("E-mail"),
        validators=[
            needed(),
            at_most(255),
            Regexp(EMAIL, message=_l("This is not an e-mail address.")),
        ],
    )
    role_id = Pick(_l("Role"), empty=None)
    max_concurrent_chats = NumberField(
        _l("Chats at the same time"), default=5, validators=[needed(), between(0, 100)]
    )
    auto_assign_enabled = Tick(_l("Receives chats automatically"), default=True)


class RoleForm(AdminForm):
    display_name = TextField(_l("Name"), validators=[needed(), at_most(100)])
    description = LongTextField(_l("Description"), validators=[at_most(500)])
    level = NumberField(_l("Level"), default=5, validators=[needed(), between(0, 100)])
    requires_two_factor = Tick(_l("Demands a second factor"))
    is_active = Tick(_l("Can be given"), default=True)


class ReasonForm(FlaskForm):
    """Suspending asks why: the next admin will want to know."""

    reason = StringField(
        _l("Reason"),
        filters=[lambda value: clean(value).strip() if value else value],
        validators=[DataRequired(_l("Write the reason.")), Length(max=500)],
    )


class PasswordChangeForm(FlaskForm):
    current = PasswordField(
        _l("Current password"), validators=[InputRequired(_l("Write your password."))]
    )
    password = PasswordField(
        _l("New password"), validators=[InputRequired(_l("Write a password."))]
    )


class ConfirmForm(FlaskForm):
    """The password, and a code where there is a second factor, before it is changed."""

    current = PasswordField(
        _l("Current password"), validators=[InputRequired(_l("Write your password."))]
    )
    code = StringField(_l("Code"), validators=[Length(max=40)])
