"""A WhatsApp number: Meta or WPPConnect, its keys, its limits."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import phonenumbers
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms.validators import ValidationError

from crm.forms.kit import (
    AdminForm,
    NumberField,
    OneOf,
    SecretField,
    TextField,
    Tick,
    at_most,
    between,
    needed,
)
from crm.models import LimitAction, Provider

DIGITS = re.compile(r"[0-9]{5,30}")
SESSION = re.compile(r"[A-Za-z0-9_-]{1,100}")
# What a new form proposes: Meta's own pace, and one that a phone behind WPPConnect survives.
PROPOSED = {"meta": (4800, None), "wppconnect": (20, 1000)}

PROVIDER_WORDS = {
    "meta": (_l("Meta Cloud API"), _l("The official way: templates, statuses, large volumes")),
    "wppconnect": (_l("WPPConnect"), _l("A phone linked by QR code, on a server of yours")),
}
LIMIT_WORDS = {
    "warn": (_l("Only warn"), _l("Everything goes on")),
    "hold": (_l("Hold"), _l("Bots and bulk wait until tomorrow")),
    "refuse": (_l("Refuse"), _l("Bots and bulk are turned down")),
}
STATUS_WORDS = {
    "active": _l("Active"),
    "inactive": _l("Switched off"),
    "pending": _l("Not proven yet"),
    "disconnected": _l("Not connected"),
    "error": _l("The provider refuses"),
}
# The list's filter: what somebody looks for.
VERDICT_WORDS = {
    "trouble": _l("With a problem"),
    "paused": _l("Sending is paused"),
    "pending": STATUS_WORDS["pending"],
    "active": STATUS_WORDS["active"],
    "inactive": STATUS_WORDS["inactive"],
}


class OfItsProvider:
    """Drawn as needed; whether it is missed depends on the provider, and is asked below."""

    field_flags = {"required": True}

    def __call__(self, form: Any, field: Any) -> None:
        pass


class Identity(AdminForm):
    """Step one of a new number: what it is, and what people here call it."""

    provider = OneOf(_l("Provider"), Provider, PROVIDER_WORDS)
    phone_number = TextField(_l("Phone number"), validators=[needed()])
    display_name = TextField(_l("Name"), validators=[needed(), at_most(100)])

    def validate_phone_number(self, field: Any) -> None:
        """Kept as +573001234567, however it was written."""
        try:
            parsed = phonenumbers.parse(field.data or "", "CO")
        except phonenumbers.NumberParseException:
            parsed = None
        if parsed is None or not phonenumbers.is_possible_number(parsed):
            raise ValidationError(_("Write the number with its country: +57 300 123 4567."))
        field.data = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


class Credentials(AdminForm):
    """Step two: what opens it at its provider."""

    kind = "meta"

    meta_phone_number_id = TextField(
        _l("Phone number ID"), validators=[OfItsProvider(), at_most(30)]
    )
    meta_business_account_id = TextField(
        _l("Business account ID"), validators=[OfItsProvider(), at_most(30)]
    )
    meta_access_token = SecretField(_l("Access token"), validators=[at_most(2000)])
    meta_app_secret = SecretField(_l("App secret"), validators=[at_most(200)])
    webhook_verify_token = SecretField(_l("Verify token"), validators=[at_most(100)])

    wppconnect_server_url = TextField(
        _l("Server address"), validators=[OfItsProvider(), at_most(255)]
    )
    wppconnect_session_name = TextField(_l("Session"), validators=[OfItsProvider(), at_most(100)])
    wppconnect_api_key = SecretField(_l("Secret key"), validators=[at_most(500)])

    def validate_meta_phone_number_id(self, field: Any) -> None:
        if self.kind != "meta":
            return
        if not field.data:
            raise ValidationError(_("Meta needs it; it is in the app's dashboard."))
        if not DIGITS.fullmatch(field.data):
            raise ValidationError(_("It has only digits; it is not the phone number itself."))

    def validate_meta_business_account_id(self, field: Any) -> None:
        if self.kind == "meta" and field.data and not DIGITS.fullmatch(field.data):
            raise ValidationError(_("It has only digits."))

    def validate_wppconnect_server_url(self, field: Any) -> None:
        if self.kind != "wppconnect":
            return
        if not field.data:
            raise ValidationError(_("Write where the WPPConnect server is."))
        try:
            parts = urlsplit(field.data)
            good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            good = False
        if not good or " " in field.data:
            raise ValidationError(_("Write an address like https://wpp.example.com."))
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValidationError(_("Only the address: no user, password or question mark in it."))
        field.data = field.data.rstrip("/")

    def validate_wppconnect_session_name(self, field: Any) -> None:
        if self.kind != "wppconnect":
            return
        if not field.data or not SESSION.fullmatch(field.data):
            raise ValidationError(_("Letters, digits, - and _, without spaces."))


class NumberForm(Identity, Credentials):
    """Everything of a number, once it is there."""

    switched_on = Tick(_l("Switched on"))

    rate_limit_per_minute = NumberField(
        _l("Pace"), unit=_l("a minute"), validators=[needed(), between(1, 60_000)]
    )
    daily_message_limit = NumberField(
        _l("Daily limit"), unit=_l("messages"), validators=[between(1, 10_000_000)]
    )
    sends_read_receipts = Tick(_l("Customers see that their agent has read"), default=True)
    sends_typing = Tick(_l("Customers see that their agent is writing"), default=True)
    limit_action = OneOf(_l("When the limit is reached"), LimitAction, LIMIT_WORDS, default="hold")

    @property
    def kind(self) -> str:  # type: ignore[override]
        return str(self.provider.data)

    def validate_meta_access_token(self, field: Any) -> None:
        will_be = field.data or (field.is_set and field.data != "")
        if self.kind == "meta" and self.switched_on.data and not will_be:
            raise ValidationError(_("Without it nothing can be sent; switch the number off first."))


class NumberPreferences(AdminForm):
    """What holds for all numbers of this installation."""

    free_messages = NumberField(
        _l("Free answers a month"),
        unit=_l("a number"),
        validators=[needed(), between(0, 10_000_000)],
    )
    silent_hours = NumberField(
        _l("Call a number silent after"),
        unit=_l("business hours"),
        validators=[needed(), between(0, 500)],
    )
