"""The audit trail: nobody changes it, and a change behind its back shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from crm.db import atomic, db
from crm.jobs.audit import seal
from crm.models import AuditLog, ChatNote
from crm.services import audit
from tests import audit_names, factories

KEY = b"k" * 32


@pytest.fixture(autouse=True)
def made_up_names() -> Iterator[None]:
    audit_names.loose.add(__name__)
    yield
    audit_names.loose.clear()


def write_rows(count: int) -> None:
    with atomic():
        for number in range(count):
            audit.record("campaigns.update", ("campaigns", number), meta={"n": number, "x": 1.5})


def sealed_rows(count: int) -> audit.Head:
    write_rows(count)
    with atomic():
        assert audit.seal_rows(KEY) == count
    head = audit.find_head()
    assert head is not None
    return head


@contextmanager
def behind_its_back() -> Iterator[None]:
    """What somebody with the database's own password can do."""
    with atomic():
        db.session.execute(text("ALTER TABLE audit_logs DISABLE TRIGGER USER"))
        yield
        db.session.execute(text("ALTER TABLE audit_logs ENABLE TRIGGER USER"))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_logs SET action = 'x'",
        "UPDATE audit_logs SET user_id = NULL, action = action || 'x'",
        "UPDATE audit_logs SET seal = 'x', position = 1, changes = '{}'",
        "DELETE FROM audit_logs",
        "TRUNCATE audit_logs",
    ],
)
def test_the_database_refuses_to_change_the_trail(database: Flask, change: str) -> None:
    write_rows(1)
    with pytest.raises(ProgrammingError, match="append-only"), atomic():
        db.session.execute(text(change))


def test_a_row_is_sealed_once(database: Flask) -> None:
    sealed_rows(1)
    with pytest.raises(DBAPIError, match="append-only"), atomic():
        db.session.execute(text("UPDATE audit_logs SET seal = repeat('0', 64)"))


def test_a_chain_that_nobody_touched_is_intact_over_several_sealings(database: Flask) -> None:
    sealed_rows(3)
    sealed_rows(2)
    write_rows(1)
    verdict = audit.verify_chain(KEY, [])
    assert verdict.intact
    assert (verdict.checked, verdict.unsealed) == (5, 1)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit_logs SET action = 'harmless' WHERE position = 3",
        "UPDATE audit_logs SET success = NOT success WHERE position = 3",
        "UPDATE audit_logs SET metadata = '{\"n\": 7}' WHERE position = 3",
        "UPDATE audit_logs SET created_at = created_at + interval '1 second' WHERE position = 3",
        "DELETE FROM audit_logs WHERE position = 3",
        "DELETE FROM audit_logs WHERE position = 1",
        # Two rows change places.
        """UPDATE audit_logs a SET position = -b.position, seal = b.seal FROM audit_logs b
            WHERE (a.position, b.position) IN ((2, 3), (3, 2));
           UPDATE audit_logs SET position = -position WHERE position < 0""",
        # One is put between.
        """UPDATE audit_logs SET position = -position - 1 WHERE position >= 3;
           UPDATE audit_logs SET position = -position WHERE position < 0;
           INSERT INTO audit_logs (action, position, seal) VALUES ('x', 3, repeat('a', 64))""",
    ],
)
def test_tampering_is_found(database: Flask, tampering: str) -> None:
    head = sealed_rows(5)
    with behind_its_back():
        db.session.execute(text(tampering))
    assert not audit.verify_chain(KEY, [head]).intact


def test_a_cut_tail_is_found_by_the_head_that_was_noted_outside(database: Flask) -> None:
    head = sealed_rows(5)
    with behind_its_back():
        db.session.execute(text("DELETE FROM audit_logs WHERE position > 3"))
    assert audit.verify_chain(KEY, []).intact, "the chain alone cannot tell"
    assert not audit.verify_chain(KEY, [head]).intact


def test_a_chain_sealed_anew_with_another_key_is_found(database: Flask) -> None:
    sealed_rows(2)
    assert not audit.verify_chain(b"another key", []).intact


def test_the_clock_seals_and_notes_the_head_of_each_day(database: Flask, tmp_path: Path) -> None:
    write_rows(2)
    seal("2026-11-23T10:00:00+00:00")
    config = database.config["CRM"]
    heads = audit.read_heads(audit.heads_path(config.data_dir))
    assert heads[-1].position == 2
    assert audit.verify_chain(config.audit_key, heads[-1:]).intact
    path = tmp_path / "heads.jsonl"
    for day, position in (("01", 1), ("01", 2), ("02", 3), ("02", 3)):
        audit.append_head(path, audit.Head(position, f"{position}" * 64, f"2026-11-{day}T00:00"))
    assert [head.position for head in audit.read_heads(path)] == [2, 3]


def test_verify_by_command_answers_with_its_exit_code(database: Flask) -> None:
    write_rows(3)
    seal("2026-11-23T10:01:00+00:00")
    run = database.test_cli_runner().invoke
    fine = run(args=["audit", "verify"])
    assert fine.exit_code == 0, fine.output
    assert "3" in fine.output
    with behind_its_back():
        db.session.execute(text("DELETE FROM audit_logs WHERE position = 3"))
    broken = run(args=["audit", "verify"])
    assert broken.exit_code == 1
    assert "cut off" in broken.output


def test_secrets_never_enter_the_trail_and_that_they_changed_does(database: Flask) -> None:
    with atomic():
        number = factories.make_number()
        before = audit.snapshot(number)
        number.meta_access_token = "canary-token"
        number.display_name = "Otra línea"
        row = audit.record("numbers.update", number, before=before)
    assert row is not None
    assert row.changes is not None
    assert row.changes["meta_access_token"] == {"before": audit.HIDDEN, "after": audit.HIDDEN}
    assert row.changes["display_name"]["after"] == "Otra línea"
    assert "canary" not in json.dumps(row.changes)


def test_customers_are_kept_as_keyed_hashes(database: Flask) -> None:
    with atomic():
        client = factories.make_client(first_name="Carolina")
        before = audit.snapshot(client)
        client.first_name = "Karolina"
        client.phone_number = "+573009998877"
        row = audit.record("clients.update", client, before=before)
    assert row is not None
    assert row.changes is not None
    assert set(row.changes) == {"first_name", "phone_number"}
    assert row.changes["first_name"]["before"] == audit.keyed_hash("Carolina")
    assert "arolina" not in json.dumps(row.changes)
    assert "99988" not in json.dumps(row.changes)


def test_what_is_noted_about_a_customer_is_not_in_the_trail(database: Flask) -> None:
    with atomic():
        chat = factories.make_chat(campaign=factories.make_campaign())
        author = factories.make_user()
        note = factories.save(ChatNote(chat_id=chat.id, user_id=author.id, content="Está en mora"))
        before = audit.snapshot(note)
        note.content = "Ya pagó"
        row = audit.record("notes.update", note, before=before)
    assert row is not None
    assert row.changes == {
        "content": {
            "before": audit.keyed_hash("Está en mora"),
            "after": audit.keyed_hash("Ya pagó"),
        }
    }


def test_nothing_changed_leaves_no_row(database: Flask) -> None:
    with atomic():
        campaign = factories.make_campaign()
        assert audit.record("campaigns.update", campaign, before=audit.snapshot(campaign)) is None
    assert db.session.query(AuditLog).count() == 0


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\x00x"])
def test_the_export_holds_no_formulas(start: str) -> None:
    assert audit.safe_cell(start).startswith("'")


def test_the_export_is_csv_that_parses(database: Flask) -> None:
    with atomic():
        audit.record("=cmd()", ("users", 1), meta={"text": 'a;b"c'}, error="línea\r\nuna")
    lines = "".join(audit.export_audit(audit.AuditFilter()))
    assert lines.startswith("\ufeffid;time;")
    assert "'=cmd()" in lines
