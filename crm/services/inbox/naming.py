"""How a client is called in lists and heads, with and without the right to see phone numbers."""

from __future__ import annotations

from dataclasses import dataclass

from crm.lib.person import format_phone, initials, tint


@dataclass(frozen=True)
class ClientName:
    """`phone` is ready to be shown (masked or not); None where the client has none."""

    shown: str
    initials: str
    tint: int
    phone: str | None


def full_name(first: str | None, last: str | None) -> str | None:
    return " ".join(part for part in (first, last) if part) or None


def name_client(
    *,
    client_id: int,
    first_name: str | None,
    last_name: str | None,
    phone_number: str | None,
    fallback: str | None = None,
    phones_visible: bool,
) -> ClientName:
    """The name, else the phone, else `fallback` (a username), else nothing, which the page says."""
    phone = format_phone(phone_number, masked=not phones_visible) if phone_number else None
    name = full_name(first_name, last_name) or ""
    shown = name or phone or (fallback or "")
    return ClientName(shown=shown, initials=initials(name), tint=tint(client_id), phone=phone)
