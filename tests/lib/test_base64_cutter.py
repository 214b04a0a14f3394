"""Long base64 is cut out of a JSON stream into files; everything else comes through untouched."""

import base64
import hashlib
import json
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.lib.base64_cutter import SHORTEST, Base64Cutter, Cut, TooMuchText


def cut(folder: Path, raw: bytes, *, step: int = 65536, **limits: int) -> Cut:
    cutter = Base64Cutter(folder, **limits)
    for start in range(0, len(raw), step):
        cutter.feed(raw[start : start + step])
    return cutter.finish()


def body(**fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


@pytest.mark.parametrize("step", [1, 7, 4096, 10**9])
@pytest.mark.parametrize("size", [5000, 5001, 5002])
def test_a_file_goes_to_the_disk_whole(tmp_path: Path, size: int, step: int) -> None:
    content = os.urandom(size)
    raw = body(event="onmessage", body=base64.b64encode(content).decode(), type="image")

    found = cut(tmp_path, raw, step=step)

    left = json.loads(found.json)
    piece = found.pieces[left["body"]]
    assert piece.path.read_bytes() == content
    assert piece.size == size
    assert base64.b64decode(piece.sha256) == hashlib.sha256(content).digest()
    assert (left["event"], left["type"]) == ("onmessage", "image")
    assert found.text_of(left["body"]) == base64.b64encode(content).decode()


@given(st.lists(st.text() | st.binary(max_size=4000).map(lambda b: base64.b64encode(b).decode())
                | st.from_regex(r"[A-Za-z0-9+/]{2000,2300}={0,3}.?", fullmatch=True)),
       st.integers(1, 3000))  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_nothing_is_lost_or_changed(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], step: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    found = cut(folder, json.dumps(texts).encode(), step=step)

    back = [found.text_of(t) if t in found.pieces else t for t in json.loads(found.json)]

    assert back == texts
    assert {path.name for path in folder.iterdir()} == set(found.pieces)


def test_a_short_text_and_a_long_one_of_words_stay(tmp_path: Path) -> None:
    words = "una palabra " * 1000
    raw = body(body="aGk=", long=words, quoted='"' * 5000, almost="a" * 5000 + "!")

    assert cut(tmp_path, raw).json == raw
    assert not list(tmp_path.iterdir())


def test_memory_stays_flat_while_a_large_file_comes_in(tmp_path: Path) -> None:
    part = base64.b64encode(os.urandom(48 * 1024))
    cutter = Base64Cutter(tmp_path)
    tracemalloc.start()
    cutter.feed(b'{"event":"onmessage","body":"')
    for _ in range(400):
        cutter.feed(part)
    cutter.feed(b'","type":"document"}')
    found = cutter.finish()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert found.pieces[json.loads(found.json)["body"]].size == 400 * 48 * 1024
    assert most < 4 * 1024 * 1024


def test_it_refuses_more_text_than_memory_should_hold(tmp_path: Path) -> None:
    cutter = Base64Cutter(tmp_path, most_left=10_000)
    with pytest.raises(TooMuchText):
        cutter.feed(body(body="no base64 " * 2000))


def test_a_stream_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    cutter = Base64Cutter(tmp_path)
    cutter.feed(b'{"body":"' + b"A" * (SHORTEST * 2))
    cutter.discard()

    assert not list(tmp_path.iterdir())
