"""Meta's way of writing: escaped JSON, signatures, message ids, trace ids."""

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

_encode_plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def meta_json(value: Any) -> bytes:
    r"""JSON as Meta sends it: ASCII only (`\u00e9`) and with `\/`.

    The signature covers these bytes; a receiver that re-serialises before checking fails here,
    as it would with Meta.
    """
    return _encode(value).replace("/", "\\/").encode("ascii")


def compact_json(value: Any) -> bytes:
    """JSON as Node writes it: no blanks, letters beyond ASCII as they are."""
    return _encode_plain(value).encode("utf-8", "surrogatepass")


def signature(secret: str, body: bytes) -> str:
    """The X-Hub-Signature-256 header for these raw bytes."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def new_wamid(phone: str, *, outbound: bool) -> str:
    """A message id of the same shape as Meta's: base64 of the phone, a direction and 9 bytes."""
    digits = "".join(char for char in phone if char.isdigit())[:32].encode() or b"0"
    unique = secrets.token_hex(9).upper().encode()
    raw = (
        b"\x1c\x18"
        + bytes([len(digits)])
        + digits
        + b"\x15\x02\x00"
        + (b"\x11" if outbound else b"\x12")
        + b"\x18"
        + bytes([len(unique)])
        + unique
        + b"\x00"
    )
    return "wamid." + base64.b64encode(raw).decode()


def new_numeric_id() -> str:
    """A media or template id: 15 or 16 digits, never with a leading zero."""
    return str(10**15 + secrets.randbelow(9 * 10**15))


def new_trace_id() -> str:
    """An fbtrace_id."""
    return "A" + secrets.token_urlsafe(17)[:22]


def new_user_id(country: str) -> str:
    """A business-scoped user id (BSUID): two letters of country, a dot, digits."""
    return f"{country}.{10**19 + secrets.randbelow(9 * 10**19)}"


def digits_of(phone: str) -> str:
    """Only the digits of a phone number."""
    return "".join(char for char in phone if char.isdigit())
