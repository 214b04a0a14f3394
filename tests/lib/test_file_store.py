"""Where bytes lie: a folder, or a bucket over HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from crm.lib import file_store as stores
from tests.s3 import CREDENTIALS, s3_server


def test_the_local_store_keeps_whole_files_or_none(tmp_path):
    local = stores.LocalStore(tmp_path / "store")
    source = tmp_path / "a"
    source.write_bytes(b"0123456789" * 100_000)
    local.put("2026/11/abc.bin", source)
    assert local.size("2026/11/abc.bin") == 1_000_000
    assert b"".join(local.read("2026/11/abc.bin")) == source.read_bytes()
    assert b"".join(local.read("2026/11/abc.bin", start=5, length=7)) == b"5678901"
    assert list(local.keys()) == ["2026/11/abc.bin"]
    reading = local.read("2026/11/abc.bin")
    next(reading)
    local.delete("2026/11/abc.bin")
    # Deleted while somebody reads: they get the rest.
    assert sum(map(len, reading)) == 1_000_000 - stores.CHUNK
    with pytest.raises(stores.Missing):
        local.read("2026/11/abc.bin")
    local.delete("2026/11/abc.bin")
    local.check()
    assert not [path for path in local.folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("key", ["../a", "/etc/passwd", "a/../b", "", "a\x00b", ".hidden", "a//b"])
def test_a_key_is_never_a_way_out(tmp_path, key):
    local = stores.LocalStore(tmp_path / "store")
    with pytest.raises(ValueError, match="key"):
        local.put(key, tmp_path)
    with pytest.raises(ValueError, match="key"):
        local.read(key)


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


def test_s3_over_http_keeps_and_gives_parts(s3_endpoint, tmp_path, monkeypatch):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    store = stores.open_store("s3://charla-parts/one", folder=tmp_path, endpoint=s3_endpoint)
    assert isinstance(store, stores.S3Store)
    source = tmp_path / "a"
    source.write_bytes(os.urandom(9 * 1024 * 1024))  # over the part size: several requests
    with pytest.raises(stores.StoreError, match="NoSuchBucket"):
        store.put("2026/11/abc.bin", source)
    store._client.create_bucket(Bucket="charla-parts")
    store.check()
    store.put("2026/11/abc.bin", source)
    assert store.size("2026/11/abc.bin") == 9 * 1024 * 1024
    assert b"".join(store.read("2026/11/abc.bin")) == source.read_bytes()
    part = b"".join(store.read("2026/11/abc.bin", start=7, length=5))
    assert part == source.read_bytes()[7:12]
    assert list(store.keys()) == ["2026/11/abc.bin"]
    with pytest.raises(stores.Missing):
        store.read("2026/11/nothing.bin")
    store.delete("2026/11/abc.bin")
    assert list(store.keys()) == []


def test_a_bucket_that_is_away_is_not_a_missing_file(tmp_path, monkeypatch):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    store = stores.S3Store("charla-files", endpoint="http://127.0.0.1:9")
    with pytest.raises(stores.StoreError) as raised:
        store.read("2026/11/abc.bin")
    assert not isinstance(raised.value, stores.Missing)
