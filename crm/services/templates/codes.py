"""Templates for one-time codes (Meta's category AUTHENTICATION): Meta writes their text.

One chooses whether it warns against sharing the code, whether it says for how long the code is
good, and how the code gets into the app: copied, or filled in by one tap on Android.
Source: Meta's Business Management API, v23.0, authentication templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm.models import Template

Json = dict[str, Any]
CATEGORY = "AUTHENTICATION"
# Meta's own words in the languages that we offer: text, warning, end, and what the button says.
WORDS = {
    "es": (
        "*{{1}}* es tu código de verificación.",
        "Por tu seguridad, no lo compartas.",
        "Este código caduca en %s minutos.",
        "Copiar código",
    ),
    "pt": (
        "*{{1}}* é seu código de verificação.",
        "Para sua segurança, não o compartilhe.",
        "Este código expira em %s minutos.",
        "Copiar código",
    ),
    "en": (
        "*{{1}}* is your verification code.",
        "For your security, do not share this code.",
        "This code expires in %s minutes.",
        "Copy code",
    ),
}


def is_code(template: Template) -> bool:
    return template.category == CATEGORY


def words_for(language: str) -> tuple[str, str, str, str]:
    return WORDS.get(language[:2], WORDS["en"])


def columns_of(values: Mapping[str, Any]) -> Json:
    """The form's answers as columns; text and footer as Meta will write them."""
    body, warning, end, copy = words_for(values["language"])
    minutes = values["code_minutes"]
    button: Json = {"type": "OTP", "otp_type": values["code_button"]}
    button["text"] = values["code_text"] or copy
    if values["code_button"] == "ONE_TAP":
        button |= {"package_name": values["code_package"], "signature_hash": values["code_hash"]}
        if values["code_autofill"]:
            button["autofill_text"] = values["code_autofill"]
    return {
        "body_content": f"{body} {warning}" if values["code_security"] else body,
        "footer_content": end % minutes if minutes else None,
        "header_type": None,
        "header_content": None,
        "buttons": [button],
        "code_parts": {"security": values["code_security"], "minutes": minutes},
    }


def state_of(template: Template) -> Json:
    """What the form shows of it."""
    parts = template.code_parts or {}
    button: Json = next(iter(template.buttons or []), {}) if is_code(template) else {}
    return {
        "code_security": bool(parts.get("security", True)),
        "code_minutes": parts.get("minutes"),
        "code_button": "ONE_TAP" if button.get("otp_type") == "ONE_TAP" else "COPY_CODE",
        "code_text": button.get("text"),
        "code_autofill": button.get("autofill_text"),
        "code_package": button.get("package_name"),
        "code_hash": button.get("signature_hash"),
    }


def components_of(template: Template) -> list[Json]:
    parts = template.code_parts or {}
    found: list[Json] = [
        {"type": "BODY", "add_security_recommendation": bool(parts.get("security"))}
    ]
    if minutes := parts.get("minutes"):
        found.append({"type": "FOOTER", "code_expiration_minutes": minutes})
    return [*found, {"type": "BUTTONS", "buttons": template.buttons or []}]


def read_parts(body: Json, footer: Json, language: str) -> Json:
    """Meta's components as columns: the text that it tells, or the one that it will write."""
    text, warning, end, _ = words_for(language)
    security = body.get("add_security_recommendation") is True
    minutes = footer.get("code_expiration_minutes")
    minutes = minutes if isinstance(minutes, int) else None
    return {
        "body_content": body.get("text") or (f"{text} {warning}" if security else text),
        "footer_content": footer.get("text") or (end % minutes if minutes else None),
        "code_parts": {"security": security, "minutes": minutes},
    }
