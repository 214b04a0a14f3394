import pytest
from cryptography.fernet import Fernet

from crm.lib.crypto import DecryptionError, decrypt, encrypt, hash_token, new_token, same

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


def test_a_secret_opens_with_the_key_that_was_rotated_behind_a_new_one() -> None:
    stored = encrypt("token ñ", [OLD])
    assert "token" not in stored
    assert decrypt(stored, [NEW, OLD]) == "token ñ"


def test_a_secret_of_another_key_or_a_changed_one_does_not_open() -> None:
    stored = encrypt("token", [OLD])
    for wrong in (stored[:-6] + "AAAAA=", "plain text", "ñ", ""):
        with pytest.raises(DecryptionError):
            decrypt(wrong, [OLD])
    with pytest.raises(DecryptionError):
        decrypt(stored, [OTHER])


def test_tokens_are_long_distinct_and_stored_as_hashes() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) >= 43 for token in tokens)
    assert len(hash_token("x")) == 64


def test_comparing_takes_any_text() -> None:
    assert same("ñ", "ñ")
    assert not same("ñ", "n")
    assert not same("\ud800", "x")
