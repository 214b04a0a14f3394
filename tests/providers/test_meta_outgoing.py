"""Every kind that we send, held against Meta's own document and the simulator's checks."""

from collections.abc import Callable
from typing import Any

import pytest

from crm.models import Message
from crm.providers.meta.payloads import message_payload, read_payload
from crm.providers.outbound import Buttons, Media, MediaKind, Recipient, ReplyButton
from crm.services.messages.contents import describe, read_content
from crm.simulator.errors import GraphError
from tests.providers.metas_document import judge_of_messages
from tests.providers.outgoing import ALL, outgoing
from tests.simulator.test_checks import check


@pytest.fixture(scope="module")
def meta_accepts() -> Callable[[Any], bool]:
    return judge_of_messages()


@pytest.mark.parametrize("name", ALL)
def test_meta_takes_it(name: str, meta_accepts: Callable[[Any], bool]) -> None:
    for extra in ({}, {"reply_to": "wamid.Q"}, {"to": Recipient(phone="+573001112233")}):
        payload = message_payload(outgoing(ALL[name], **extra))
        assert meta_accepts(payload)
        check(payload)


def test_meta_refuses_what_is_wrong(meta_accepts: Callable[[Any], bool]) -> None:
    four = tuple(ReplyButton(str(n), str(n)) for n in range(4))
    wrong = message_payload(outgoing(Buttons("¿Cuál?", four)))
    assert not meta_accepts(wrong)
    with pytest.raises(GraphError):
        check(wrong)


@pytest.mark.parametrize("name", ALL)
def test_a_row_gives_back_what_was_written_into_it(name: str) -> None:
    content = ALL[name]
    row = describe(content)
    message = Message(message_type=row.kind, content=row.text, meta=row.meta or None)
    assert read_content(message) == content


def test_a_quote_stands_on_every_kind_but_a_reaction() -> None:
    for name, content in ALL.items():
        payload = message_payload(outgoing(content, reply_to="wamid.Q"))
        quoted = payload.get("context") == {"message_id": "wamid.Q"}
        assert quoted == (not name.startswith("reaction"))


def test_who_hides_their_number_is_reached_by_user_id() -> None:
    for content in ALL.values():
        payload = message_payload(outgoing(content, to=Recipient(user_id="CO.13491")))
        assert payload["recipient"] == "CO.13491"
        assert "to" not in payload


def test_a_file_that_nobody_can_fetch_is_not_sent() -> None:
    with pytest.raises(ValueError, match="upload"):
        message_payload(outgoing(Media(MediaKind.IMAGE, path="/tmp/a.jpg")))


def test_reading_and_typing_are_told_in_metas_words(meta_accepts: Callable[[Any], bool]) -> None:
    read, typing = (read_payload("wamid.X", typing=typing) for typing in (False, True))
    assert meta_accepts(read)
    assert meta_accepts(typing)
    check(read)
    check(typing)
    assert typing["typing_indicator"] == {"type": "text"}
    assert "typing_indicator" not in read
