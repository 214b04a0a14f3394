"""Every WPPConnect body, collected and our own, becomes the events that its row names."""

import copy
import json
import random
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.providers.base import EchoedMessage, InboundMessage, Problem, Receipt
from crm.providers.wppconnect.kinds import usable_file
from crm.providers.wppconnect.webhook import parse, read_message
from tests.providers.deliveries import COLLECTED, OWN
from tests.providers.describing import describe_all, detail_all
from tests.providers.test_collected import EXPECTED

ROWS = [json.loads(line) for line in (OWN / "wppconnect.jsonl").read_text("utf-8").splitlines()]
NUMBER = 7


def collected() -> list[Path]:
    files = sorted(COLLECTED.glob("wppconnect-*.json"))
    if not files:
        warnings.warn(
            f"NOT PROVEN: no collected WPPConnect deliveries at {COLLECTED}", stacklevel=1
        )
    return files


@pytest.mark.parametrize("file", collected(), ids=lambda file: file.stem)
def test_it_reads_each_collected_body_as_the_table_says(file: Path) -> None:
    events = parse(json.loads(file.read_bytes()), number_id=NUMBER)
    assert (describe_all(events), detail_all(events)) == EXPECTED[file.stem]


def test_the_table_and_the_collection_are_the_same_bodies() -> None:
    files = {file.stem for file in collected()}
    if files:
        assert {name for name in EXPECTED if name.startswith("wppconnect-")} == files
        assert len(files) >= 55


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_it_reads_each_body_of_our_own(row: dict) -> None:
    assert describe_all(parse(row["body"], number_id=NUMBER)) == row["becomes"]


def body(name: str) -> dict:
    return copy.deepcopy(next(row["body"] for row in ROWS if row["name"] == name))


def read(name: str, **changes: object) -> InboundMessage | EchoedMessage | Receipt:
    event = parse(body(name) | changes, number_id=NUMBER)[0]
    assert isinstance(event, InboundMessage | EchoedMessage | Receipt)
    return event


def test_one_message_has_one_id_however_its_chat_is_written() -> None:
    """The send answer, the echo, acks by phone and by hidden id: all name the same row."""
    names = {
        read("ack-sent").whatsapp_message_id,
        read("ack-lid").whatsapp_message_id,
        read("ack-text-id").whatsapp_message_id,
        read("self-text", id="true_246100000000001@lid_3EB0AA").whatsapp_message_id,
    }
    assert names == {"7:3EB0AA"}


def test_two_numbers_keep_the_same_id_apart() -> None:
    here, there = (parse(body("text"), number_id=n)[0] for n in (7, 8))
    assert here.whatsapp_message_id != there.whatsapp_message_id  # type: ignore[union-attr]


def test_a_quote_and_a_reaction_name_our_id_of_the_message() -> None:
    quote = read("text-quote")
    assert isinstance(quote, InboundMessage)
    assert quote.metadata
    assert quote.metadata["quote"] == {"message_id": "7:3EB0QQ"}
    assert read("reaction").target_id == "7:3EB0AA"  # type: ignore[union-attr]


def test_the_address_books_name_is_never_taken_for_the_customers() -> None:
    event = read("text", notifyName="", sender={"id": "x", "name": "Mi amor", "formattedName": "X"})
    assert isinstance(event, InboundMessage)
    assert event.sender.profile_name is None


def test_what_a_file_is_called_deceives_nobody() -> None:
    event = read("text", type="document", filename="../factura\u202efdp.exe", mimetype="x/y")
    assert isinstance(event, InboundMessage)
    assert event.metadata
    assert event.metadata["media"]["filename"] == "facturafdp.exe"
    assert event.content in (None, "facturafdp.exe")


def test_a_history_message_reads_like_its_webhook() -> None:
    told = parse(body("text-quote"), number_id=NUMBER)[0]
    row = {key: value for key, value in body("text-quote").items() if key != "event"}
    assert read_message(row, number_id=NUMBER) == told


def test_a_preview_is_not_taken_for_the_file() -> None:
    """When the server cannot decrypt, the body is the thumbnail."""
    whole = {"name": "a", "size": 2048, "sha256": body("image")["filehash"]}
    assert usable_file(body("image"), whole) == "a"
    assert usable_file(body("image"), whole | {"sha256": "x", "size": 90}) is None
    unhashed = body("image") | {"filehash": "1Xy8example="}
    assert usable_file(unhashed, whole | {"sha256": "other"}) == "a"
    assert usable_file(unhashed, whole | {"size": 90}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.sampled_from(ROWS), st.integers(0, 10**6), JSON)
@settings(deadline=None, max_examples=200)
def test_no_shape_makes_it_fall(row: dict, seed: int, odd: object) -> None:
    """Any field of any body may become anything: an event comes out, at worst a problem."""
    shape = copy.deepcopy(row["body"])
    if isinstance(shape, dict) and shape:
        shape[random.Random(seed).choice(sorted(shape))] = odd
    events = parse(shape, number_id=NUMBER)
    assert events
    for event in events:
        assert isinstance(event, Problem) or describe_all([event])
