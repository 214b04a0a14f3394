"""Steps of many messages in one transaction: one that is refused harms no other."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from crm.db import db, on_commit
from crm.jobs.books import Books
from crm.services.messages.claims import Settings


@pytest.fixture
def books(database) -> Books:
    return Books(database, Settings(graph_url="", encryption_keys=()))


def test_a_set_that_is_refused_is_written_one_by_one(books):
    told = []

    def work(items):
        for item in items:
            db.session.execute(text("SELECT 1 / :item"), {"item": item})
        on_commit(lambda: told.append(list(items)))
        return [item * 10 for item in items]

    results, afterwards = books._run(work, [1, 0, 2])
    assert (results[0], results[2]) == (10, 20)
    assert isinstance(results[1], DBAPIError)
    assert told == []
    afterwards()
    assert told == [[1], [2]]


def test_without_a_database_the_set_is_not_tried_row_by_row(books):
    tries = []

    def work(items):
        tries.append(len(items))
        db.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return items

    with pytest.raises(DBAPIError):
        books._run(work, [1, 2, 3])
    assert tries == [3]
