"""The words of the messages: found whether or not the job has read them, and as they are now."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import func, select

from crm.db import db
from crm.jobs.messages import read_words
from crm.models import Message, MessageWords
from crm.services.messages import words
from tests.factories import make_chat, make_message


def hears(text: str) -> set[str]:
    """What the messages say that are found with `text`."""
    asked = words.says(words.split_words(text)).subquery()
    found = select(Message.content).join(asked, asked.c[0] == Message.id)
    return set(db.session.scalars(found))


@pytest.fixture(params=["read by the job", "not read yet"])
def read(request: pytest.FixtureRequest) -> object:
    """What is found must not depend on how far the job has come."""

    def run() -> None:
        db.session.flush()
        if request.param == "read by the job":
            words.read_some()

    return run


SAID = (
    "¿Me llega el Envío mañana?",
    "Ma\u0301s de dos: la garantía, extendida.",
    "Escriba a compras.bogota@ejemplo.com.co o vea https://ejemplo.com/guia-12A?x=1",
    "Total: $1.250.000, ref. ABC_1234/7",
    "Привет, это я",
    "👍🏽",
    "x" * 3000 + " cola",
)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("ENVIO manana", 0),
        ("envi", 0),
        ("el envio manana", 0),
        ("mas de dos", 1),
        ("garantia extendida", 1),
        ("bogota", 2),
        ("ejemplo.com", 2),
        ("compras.bogota@ejemplo", 2),
        ("guia 12a", 2),
        ("1.250", 3),
        ("1234/7", 3),
        ("abc_12", 3),
        ("привет", 4),
        ("col", 6),
        # Not in this order, not beside each other, not from a word's beginning, not at all.
        ("manana envio", None),
        ("llega manana", None),
        ("rantia", None),
        # Signs are none of Postgres's.
        ("' | 'envio", 0),
        ("envio:* & x", None),
    ],
)
def test_words_that_follow_each_other_are_found(database, read, asked, found):
    chat = make_chat()
    for said in SAID:
        make_message(chat, content=said)
    read()
    assert hears(asked) == (set() if found is None else {SAID[found]})


def test_the_place_of_the_words_is_shown_in_the_line() -> None:
    for line, asked, found in (
        ("¿El Envío?", "envio", "Envío"),
        ("Straße 5", "strasse", "Straße"),
        ("ma\u0301s", "mas", "ma\u0301s"),
        ("la garantía, extendida", "garantia exten", "garantía, exten"),
        ("reenvío, envío", "envi", "enví"),
    ):
        begin, end = words.find_words(line, words.split_words(asked)) or (0, 0)
        assert line[begin:end] == found
    assert words.find_words("hola", ["adios"]) is None
    assert words.find_words("hola", []) is None


def test_the_job_reads_all_and_also_who_was_committed_late(app: Flask, database, monkeypatch):
    monkeypatch.setattr(words, "AT_ONCE", 3)
    chat = make_chat()
    late, *others = [make_message(chat, content=f"hola {n}") for n in range(8)]
    make_message(chat, content=None)
    db.session.commit()
    read_words("all")
    assert words.find_unread() == []
    # As if its transaction had been open while the others were read.
    db.session.delete(db.session.get_one(MessageWords, late.id))
    make_message(chat, content="hola otra vez")
    db.session.commit()
    assert words.find_unread() == ["all"]
    read_words("all")
    assert db.session.scalar(select(func.count()).select_from(MessageWords)) == len(others) + 2
    assert words.find_unread() == []


def test_a_search_reads_only_the_newest_where_the_job_is_far_behind(database, monkeypatch):
    monkeypatch.setattr(words, "MOST_UNREAD", 2)
    chat = make_chat()
    for n in range(4):
        make_message(chat, content=f"hola {n}")
    assert hears("hola") == {"hola 2", "hola 3"}


def test_a_changed_message_is_found_by_its_new_words_alone(database):
    chat = make_chat()
    changed, later = (make_message(chat, content=f"hola {n}") for n in "ab")
    words.read_some()
    unread = make_message(chat, content="hola c")
    changed.content, unread.content = "chao a", "chao c"
    db.session.flush()
    words.read_again([changed.id, unread.id])
    assert hears("hola") == {later.content}
    assert hears("chao") == {"chao a", "chao c"}
    assert words.find_unread() == ["all"], "what the job has yet to reach is left to it"


def test_an_erased_message_takes_its_words_along(database):
    message = make_message(make_chat(), content="hola")
    words.read_some()
    db.session.delete(message)
    db.session.flush()
    assert db.session.scalar(select(func.count()).select_from(MessageWords)) == 0
