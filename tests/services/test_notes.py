"""Internal notes: kept once, told to those they name, seen when the chat is opened."""

import uuid
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from crm.db import atomic, db
from crm.errors import Invalid, NotFound
from crm.models import ChatNote, NoteMention
from crm.services import inbox, notes
from tests.cast import make_cast
from tests.factories import link_agent, make_chat, make_user


@pytest.fixture
def cast(database):
    cast = make_cast()
    db.session.commit()
    return cast


@pytest.fixture
def chat(cast):
    chat = make_chat(campaign=cast.sales, number=cast.number, agent=cast.laura)
    db.session.commit()
    return chat


def note(chat, text, author, **more):
    with atomic():
        return notes.add_note(chat, text, author=author, **more)


def named_in(found):
    return set(
        db.session.scalars(select(NoteMention.user_id).where(NoteMention.note_id == found.id))
    )


def test_it_is_kept_once_however_often_it_is_sent(chat, cast):
    key = uuid.uuid4()
    first = note(chat, " Ojo con el precio ", cast.laura, client_key=key)
    assert note(chat, "Ojo con el precio", cast.laura, client_key=key).id == first.id
    assert first.content == "Ojo con el precio"
    assert db.session.scalar(select(func.count(ChatNote.id))) == 1


@pytest.mark.parametrize("text", ["", " \n", "\x00", "x" * 4001])
def test_nothing_and_too_much_are_refused(chat, cast, text):
    with pytest.raises(Invalid):
        note(chat, text, cast.laura)


def test_it_tells_colleagues_of_the_campaign_and_nobody_else(chat, cast):
    stranger = make_user(first_name="Ñandú", last_name="Ajeno")
    db.session.commit()
    text = f"@{cast.jhon.full_name} mire, @{cast.laura.full_name} y @{stranger.full_name}"
    assert named_in(note(chat, text, cast.laura)) == {cast.jhon.id}


def test_a_name_is_found_without_its_accents(chat, cast):
    colleague = make_user(first_name="Óscar", last_name="Núñez")
    link_agent(cast.sales, colleague)
    db.session.commit()
    assert named_in(note(chat, "revise @oscar nunez por favor", cast.laura)) == {colleague.id}


def test_opening_the_chat_ends_a_mention(chat, cast):
    found = note(chat, f"@{cast.jhon.full_name} ¿puede?", cast.laura)
    with atomic():
        notes.see_mentions(chat, user_id=cast.jhon.id)
    row = db.session.scalars(select(NoteMention).where(NoteMention.note_id == found.id)).one()
    assert row.seen_at is not None


def test_its_author_edits_it_and_whom_it_names_then_is_told(chat, cast):
    found = note(chat, f"@{cast.jhon.full_name} mire", cast.laura)
    with atomic():
        notes.edit_note(chat, found.id, f"Mejor @{cast.marta.full_name}", author=cast.laura)
    assert named_in(found) == {cast.marta.id}
    assert notes.find_unseen_mentions(cast.jhon.id) == (0, [])
    count, newest = notes.find_unseen_mentions(cast.marta.id)
    assert (count, newest[0].note_id, newest[0].author_name) == (1, found.id, "Laura Gómez")
    shown = inbox.find_note(found.id)
    assert (shown.is_edited, shown.text) == (True, "Mejor @Marta Ríos")
    with pytest.raises(Invalid):
        notes.edit_note(chat, found.id, " ", author=cast.laura)
    with pytest.raises(notes.NotTheirs):
        notes.edit_note(chat, found.id, "x", author=cast.marta)
    with atomic():
        found.created_at = found.created_at - timedelta(minutes=16)
    with pytest.raises(notes.TooOld):
        notes.edit_note(chat, found.id, "x", author=cast.laura)


def test_deleted_it_leaves_a_line_without_its_words_and_calls_nobody(chat, cast):
    found = note(chat, f"@{cast.jhon.full_name} clave 1234", cast.laura)
    with pytest.raises(notes.NotTheirs):
        notes.delete_note(chat, found.id, by=cast.jhon)
    with atomic():
        notes.delete_note(chat, found.id, by=cast.marta, may_all=True)
    lines = [item for item in inbox.load_thread(chat).items if isinstance(item, inbox.NoteBubble)]
    assert [(line.is_deleted, line.text) for line in lines] == [(True, "")]
    assert notes.find_unseen_mentions(cast.jhon.id) == (0, [])
    with pytest.raises(notes.AlreadyDeleted):
        notes.edit_note(chat, found.id, "x", author=cast.laura)
    with pytest.raises(NotFound):
        notes.delete_note(
            make_chat(campaign=cast.sales, number=cast.number), found.id, by=cast.laura
        )
