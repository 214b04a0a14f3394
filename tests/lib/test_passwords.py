"""Passwords: which are too common, and how many are hashed at once."""

from __future__ import annotations

import threading

import pytest

from crm.lib import passwords
from crm.lib.common_passwords import common_passwords, is_common


def test_the_shipped_list_is_long_and_every_entry_is_found() -> None:
    listed = common_passwords()
    assert len(listed) >= 3000
    assert all(is_common(entry) for entry in sorted(listed)[::500])


@pytest.mark.parametrize(
    "password",
    ["Password123!", "P@ssw0rd123", "Contraseña2026", "qwertyuiop", "aaaaaaaaaaaa", "1212121212",
     "p4ssw0rd2024", "1qaz2wsx3edc", "MILLONARIOS1"],
)  # fmt: skip
def test_what_guessers_try_first_is_common(password: str) -> None:
    assert is_common(password)


@pytest.mark.parametrize(
    "password",
    ["correcto caballo batería grapa", "una-clave-larga", "demo-clave-larga", "¿k3Rm!z9qW"],
)
def test_what_a_person_makes_up_is_not(password: str) -> None:
    assert not is_common(password)


def test_a_flood_of_hashes_is_refused_instead_of_filling_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "_turns", threading.BoundedSemaphore(1))
    monkeypatch.setattr(passwords, "PATIENCE_SECONDS", 0.01)
    with passwords._turn(), pytest.raises(passwords.Overloaded):
        passwords.verify_password("x", passwords.DUMMY_HASH)
    assert passwords.verify_password("x", passwords.DUMMY_HASH) is False


def test_a_long_password_counts_to_its_last_character() -> None:
    long = "clave muy larga " * 10
    stored = passwords.hash_password(long)
    assert passwords.verify_password(long, stored)
    assert not passwords.verify_password(long[:-1], stored)
