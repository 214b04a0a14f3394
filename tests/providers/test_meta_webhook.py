"""What the parser makes of Meta's bodies: pure, without a database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.providers.base import InboundMessage, Other, Problem, Receipt
from crm.providers.meta.webhook import parse, verify_signature
from tests.providers.deliveries import OWN, body, own_files, sign, status, typed, words
from tests.providers.describing import describe

# Each own body -> its events: (kind, readable content, opens a chat) for a message, the word of a
# receipt, or the name of what is kept.
EXPECTED: dict[str, list[Any]] = {
    "text": [("text", "Buenas, ¿a qué hora abren mañana?", True)],
    "text-quote": [("text", "Sí, esa", True)],
    "text-forwarded": [("text", "Promoción de fin de mes", True)],
    "text-often-forwarded": [("text", "Cadena", True)],
    "text-product-enquiry": [("text", "¿Hay en talla M?", True)],
    "text-from-ad": [("text", "Vi su anuncio", True)],
    "text-username-only": [("text", "Escribo sin mostrar mi número", True)],
    "text-user-id-in-from": [("text", "Mi id en from", True)],
    "text-brazil-ninth-digit": [("text", "Oi", True)],
    "text-without-profile": [("text", "Sin perfil", True)],
    "text-without-contacts": [("text", "Sin contactos", True)],
    "text-without-sender": [("text", "¿Quién soy?", True)],
    "text-emoji": [("text", "👩🏽\u200d🌾 ¡Qué día! 🇨🇴\u202e", True)],
    "text-odd-timestamp": [("text", "¿Cuándo?", True)],
    "text-future-timestamp": [("text", "Desde el futuro", True)],
    "text-group": [("text", "Hola a todos", False)],
    "text-without-body": [("unsupported", None, True)],
    "image": [("image", "Así llegó el paquete", True)],
    "image-with-url": [("image", None, True)],
    "video": [("video", "El daño", True)],
    "audio": [("audio", None, True)],
    "audio-voice-note": [("audio", None, True)],
    "voice-old-name": [("audio", None, True)],
    "document": [("document", "cédula.pdf", True)],
    "document-caption": [("document", "La factura", True)],
    "sticker": [("sticker", None, True)],
    "sticker-animated": [("sticker", None, True)],
    "location": [("location", "4.609710, -74.081750", True)],
    "location-named": [("location", "Plaza de Bolívar, Carrera 7, Bogotá", True)],
    "location-without-place": [("unsupported", None, True)],
    "contacts": [("contact", "Taller Gómez, +57 302 555 0100", True)],
    "contacts-without-name": [("contact", None, True)],
    "interactive-button-reply": [("button_reply", "Sí, confirmo", True)],
    "interactive-list-reply": [("list_reply", "Envío rápido", True)],
    "interactive-flow": [("interactive", None, True)],
    "interactive-flow-list": [("interactive", None, True)],
    "interactive-flow-broken": [("interactive", None, True)],
    "interactive-call-permission": [("interactive", None, True)],
    "interactive-new-kind": [("interactive", "Trazo", True)],
    "interactive-missing": [("unsupported", None, True)],
    "button-of-template": [("button_reply", "No recibir más", True)],
    "button-without-context": [("button_reply", "De acuerdo", True)],
    "reaction": [("reaction", "❤️", False)],
    "reaction-removed": [("reaction", None, False)],
    "reaction-removed-without-emoji": [("reaction", None, False)],
    "order": [("order", "Para mañana, por favor", True)],
    "order-without-text": [("order", "2 × PAN\n1 × CAFE", True)],
    "system-number-changed": [("system", "Lucía cambió de 573015550142 a 573025550142", False)],
    "system-identity-changed": [("system", "El código de seguridad cambió", False)],
    "unsupported-poll": [("unsupported", None, True)],
    "unsupported-unavailable": [("unsupported", None, True)],
    "unknown-old-name": [("unsupported", None, True)],
    "new-type": [("unsupported", None, True)],
    "request-welcome": [("system", None, False)],
    "edit": [("system", "Buenas, ¿a qué hora cierran?", False)],
    "revoke": [("system", None, False)],
    "status-sent": ["sent"],
    "status-delivered": ["delivered"],
    "status-read": ["read"],
    "status-played": ["played"],
    "status-deleted": ["deleted"],
    "status-warning": ["warning"],
    "status-some-new-word": ["some_new_word"],
    "status-failed": ["failed"],
    "status-pricing": ["delivered"],
    "status-to-username": ["read"],
    "batch-two-senders": [("text", "uno", True), ("text", "dos", True)],
    "batch-duplicate": [("text", "dos veces", True), ("text", "dos veces", True)],
    "batch-messages-and-statuses": [("text", "con tick", True), "read"],
    "batch-two-changes": [("text", "primero", True), ("image", None, True)],
    "batch-one-unreadable": [
        ("text", "buena", True),
        Problem,
        Problem,
    ],
    "errors-of-the-account": ["account errors -"],
    "echo": ["echo text 'Le respondo desde el celular' to 573015550142"],
    "history": ["history 0/1/40 [them text 'de antes' read with 573015550142]"],
    "user-preferences-stop": ["preference marketing_messages stop of 573015550142"],
    "calls": ["call connect theirs with 573015550142"],
    "status-of-call": ["call ringing ours with 573015550142"],
    "contact-sync": ["contact 573015550142 'Lucía Peña'"],
    "template-status": ["account message_template_status_update REJECTED"],
    "template-quality": ["account message_template_quality_update -"],
    "template-category": ["account template_category_update -"],
    "number-quality": ["account phone_number_quality_update DOWNGRADE 576015550101"],
    "number-name": ["account phone_number_name_update APPROVED 576015550101"],
    "account-update": ["account account_update ACCOUNT_RESTRICTION"],
    "account-alert": ["account account_alerts -"],
    "account-capability": ["account business_capability_update -"],
    "account-review": ["account account_review_update REJECTED"],
    "call-ended": ["call terminate completed 75s theirs with 573015550142"],
    "call-ours": ["call connect ours with 573015550142"],
    "contact-removed": ["contact 573015550142 None"],
    "echo-image": ["echo image 'Nuestro local' {media} to 573015550142"],
    "echo-revoke": ["echo system ->wamid.OWN0074 {revoke} to 573015550142"],
    "echo-without-recipient": ["echo text '¿A quién?' to nobody"],
    "group-created": ["group 120363000000000001 group_create 'Vecinos de la 7'"],
    "group-participants": ["group_participants_update/"],
    "history-both-sides": [
        "history 2/3/100 [them text '¿Lo consiguió?' read with 573015550142; "
        "us text 'Sí, gracias' delivered with 573015550142; "
        "them unsupported {unsupported} read with 573015550142]"
    ],
    "history-declined": ["history/declined"],
    "history-media": ["history None/None/None [them image {media}  with 573015550142]"],
    "history-one-unreadable": [
        "history 0/None/None [them text 'buena'  with 573015550142]",
        Problem,
    ],
    "number-name-rejected": ["account phone_number_name_update REJECTED 576015550101"],
    "security": ["account security PIN_CHANGED 576015550101"],
    "template-components": ["account message_template_components_update -"],
    "template-paused": ["account message_template_status_update PAUSED"],
    "user-preferences-resume": ["preference marketing_messages resume of 573015550142"],
    "user-preferences-signup-by-id": ["preference marketing_messages signup of CO.550000000000999"],
    "new-field": ["quantum_update/QUANTUM new"],
    "empty-value": ["messages/ new"],
    "empty": [],
    "another-product": ["/page new"],
    "broken-envelope": [Problem] * 5,
}


def summary(event: Any) -> Any:
    if isinstance(event, InboundMessage):
        return event.kind, event.content, event.is_utterance
    if isinstance(event, Receipt):
        return event.status
    if isinstance(event, Other):
        return f"{event.field}/{event.kind}{'' if event.known else ' new'}"
    return type(event) if isinstance(event, Problem) else describe(event)


@pytest.mark.parametrize("name", sorted({file.stem for file in own_files()} | set(EXPECTED)))
def test_it_reads_each_of_our_bodies(name: str) -> None:
    events = parse((OWN / f"{name}.json").read_bytes())
    assert [summary(event) for event in events] == EXPECTED[name]


def read(name: str) -> Any:
    return parse((OWN / f"{name}.json").read_bytes())[0]


def test_everything_but_plain_text_keeps_its_raw_part() -> None:
    for file in own_files():
        for event in parse(file.read_bytes()):
            if isinstance(event, InboundMessage) and (event.kind != "text" or event.metadata):
                assert event.metadata is not None
                assert event.metadata["raw"]["id"] == event.whatsapp_message_id


def test_it_keeps_quote_forward_product_and_advertisement() -> None:
    quote = {"message_id": "wamid.OURS0001", "from": "576015550101"}
    assert read("text-quote").metadata["quote"] == quote
    assert read("text-forwarded").metadata["forwarded"] == "once"
    assert read("text-often-forwarded").metadata["forwarded"] == "often"
    product = {"catalog_id": "330000000000001", "retailer_id": "CAMISA-AZUL"}
    assert read("text-product-enquiry").metadata["product"] == product
    assert read("text-from-ad").metadata["referral"]["ctwa_clid"] == "CLID-1"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/factura\u202efdp.exe", "facturafdp.exe"),
        ("a\\b.pdf", "b.pdf"),
        (7, None),
        (" ", None),
    ],
)
def test_what_a_file_is_called_deceives_nobody(given: Any, shown: str | None) -> None:
    part = {"id": "1", "mime_type": "application/pdf", "filename": given}
    (event,) = parse(body(typed("wamid.1", "document", part)))
    assert (event.content, event.metadata["media"].get("filename")) == (shown, shown)


def test_it_keeps_what_each_kind_needs_later() -> None:
    assert read("audio-voice-note").metadata["voice"] is True
    assert read("voice-old-name").metadata["voice"] is True
    assert "voice" not in read("audio").metadata
    assert read("audio-voice-note").mime_type == "audio/ogg; codecs=opus"
    assert read("sticker-animated").metadata["animated"] is True
    assert read("document").metadata["media"]["id"] == "550000000000007"
    assert read("interactive-list-reply").metadata["reply"]["id"] == "envio-2"
    assert read("interactive-flow").metadata["flow"]["response"]["ciudad"] == "Cali"
    assert read("interactive-flow-list").metadata["flow"]["response"] == [1, 2]
    assert read("interactive-flow-broken").metadata["flow"]["response"] == "{no es json"
    assert read("reaction").metadata["reaction"] == {
        "message_id": "wamid.OURS0006", "emoji": "❤️"
    }  # fmt: skip
    assert read("unsupported-poll").metadata["unsupported"]["kind"] == "poll_creation"
    assert read("new-type").metadata["unsupported"]["kind"] == "hologram"
    assert read("text-group").metadata["group"]["id"] == "120363000000000001"
    assert read("text-group").sender.identities == (("group", "120363000000000001"),)
    assert read("system-number-changed").metadata["system"]["wa_id"] == "573025550142"
    assert read("revoke").metadata["revoke"]["message_id"] == "wamid.OWN0001"


def test_it_knows_a_sender_without_a_phone() -> None:
    sender = read("text-username-only").sender
    assert (sender.wa_id, sender.user_id) == (None, "CO.90015550142000001")
    assert (sender.profile_name, sender.username) == ("Lucía", "lucia.pena")
    assert read("text-user-id-in-from").sender.user_id == "CO.90015550142000002"
    assert read("text-user-id-in-from").sender.wa_id is None
    assert read("text-without-sender").sender.identities == ()


def test_it_knows_one_person_under_two_spellings_but_never_two_people_as_one() -> None:
    sender = read("text-brazil-ninth-digit").sender
    assert (sender.wa_id, sender.other_wa_id) == ("5511987654321", "551187654321")
    stranger = body(words("wamid.1", sender="573001234567"), contacts=[{"wa_id": "16505551234"}])
    sender = parse(stranger)[0].sender  # type: ignore[union-attr]
    assert sender.identities == (("wa_id", "16505551234"),)


def test_it_takes_each_writer_from_their_own_contact() -> None:
    first, second = parse((OWN / "batch-two-senders.json").read_bytes())
    assert isinstance(first, InboundMessage)
    assert isinstance(second, InboundMessage)
    assert (first.sender.profile_name, second.sender.profile_name) == ("Lucía Peña", "Óscar")


def test_the_business_number_is_nobody_s_identity() -> None:
    raw = body(words("wamid.1", sender="576015550101"), contacts=[{"wa_id": "573001234567"}])
    sender = parse(raw)[0].sender  # type: ignore[union-attr]
    assert sender.identities == (("wa_id", "573001234567"),)


def test_it_reads_the_provider_s_time_and_does_without() -> None:
    assert read("text").sent_at == datetime.fromtimestamp(1790000001, UTC)
    assert read("text-odd-timestamp").sent_at is None
    assert read("text-odd-timestamp").timestamp is None


def test_it_reads_a_failed_receipt_with_its_reasons() -> None:
    receipt = read("status-failed")
    assert receipt.opaque_id == "0b0f6f0e-5f6c-4c7a-8a53-9f3f8a1c2d3e.1"
    assert receipt.errors[0].code == "131047"
    assert receipt.errors[0].details.startswith("More than 24 hours")
    assert read("status-pricing").pricing["category"] == "utility"
    assert read("status-to-username").recipient_user_id == "CO.90015550142000001"


def test_system_events_and_edits_do_not_renew_the_window_and_reactions_do() -> None:
    for name in ("system-number-changed", "request-welcome", "edit", "revoke", "text-group"):
        assert not read(name).renews_window
    assert read("reaction").renews_window


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"hola",
        b"\xff\xfe",
        b'{"object": NaN}',
        b'{"object": Infinity}',
        b'{"a": -Infinity}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 100 + b"]" * 100,
        b'{"object": "whatsapp_business_account"',
        b"\x1f\x8b\x08\x00gzip",
        b"\xef\xbb\xbf{}",
        b'{"a": "\xed\xa0\x80"}',
    ],
)
def test_what_is_no_json_is_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each of them, whatever it says
        parse(raw)


def test_it_cleans_nul_and_lone_surrogates_everywhere() -> None:
    raw = body(words("wamid.1")).replace(b'"Hola"', rb'"a\u0000b\ud83dc\udc00\ud83d\ude00"')
    event = parse(raw.replace(b"Ana", rb"A\u0000na\uDFFF"))[0]
    assert isinstance(event, InboundMessage)
    assert event.content == "ab\ufffdc\ufffd😀"
    assert event.sender.profile_name == "Ana\ufffd María"


def test_numbers_that_jsonb_does_not_know_stay_text() -> None:
    raw = body(typed("wamid.1", "order", {"product_items": []}, x="N")).replace(b'"N"', b"1e999")
    event = parse(raw)[0]
    assert isinstance(event, InboundMessage)
    assert event.metadata is not None
    assert event.metadata["raw"]["x"] == "1e999"


def test_a_huge_text_stays_whole() -> None:
    event = parse(body(words("wamid.1", "😀" * 25_000)))[0]
    assert isinstance(event, InboundMessage)
    assert event.content == "😀" * 25_000


def test_one_unreadable_event_leaves_its_neighbours_alone() -> None:
    events = parse(body(words("wamid.1"), {"type": "text"}, 7, None, words("x" * 300)))
    assert [type(event) for event in events] == [InboundMessage, Problem, Problem, Problem, Problem]
    assert "300 characters" in events[-1].detail  # type: ignore[union-attr]


Junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)


TYPES = (
    "text", "image", "audio", "voice", "document", "sticker", "location", "contacts", "interactive",
    "button", "reaction", "order", "system", "unsupported", "edit", "revoke", "x",
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(TYPES), part=Junk, junk=Junk)
def test_no_shape_of_a_message_raises(kind: str, part: Any, junk: Any) -> None:
    message = typed("wamid.1", kind, part)
    for name in ("context", "referral", "errors", "unsupported", "timestamp", "from", "group_id"):
        odd = {**message, name: junk}
        assert parse(body(odd, contacts=junk))
        assert parse(json.dumps({**json.loads(body(odd)), "entry": junk}).encode()) is not None


@settings(max_examples=50, deadline=None)
@given(junk=Junk)
def test_no_shape_of_a_status_raises(junk: Any) -> None:
    for name in ("id", "status", "timestamp", "errors", "pricing", "biz_opaque_callback_data"):
        assert parse(body(statuses=[status("wamid.1", "sent") | {name: junk}]))
    assert parse(body(statuses=junk, metadata=junk))


def test_it_finds_the_secret_that_signs() -> None:
    raw = b'{"a": 1}'
    header = sign(raw, "two")["X-Hub-Signature-256"]
    assert verify_signature(raw, header, ["one", "two", "three"]) == "two"
    assert verify_signature(raw, header, ["one"]) is None
    assert verify_signature(raw, header, []) is None
    assert verify_signature(raw + b" ", header, ["two"]) is None
    for broken in (None, "", "sha256=", "sha256", header[7:], header[:-1], header.upper(),
                   header.replace("sha256", "sha1"), "sha256=\xe9\xe9"):  # fmt: skip
        assert verify_signature(raw, broken, ["two"]) is None
