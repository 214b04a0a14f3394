"""Where bytes lie: a folder of this machine, or a bucket that speaks S3. Keys are ours alone.

A key is written whole or not at all: the folder takes a temporary file, fsync and rename, S3 takes
an object when it has all of it. Nothing is ever overwritten with other bytes.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

CHUNK = 256 * 1024
KEY = re.compile(r"[0-9a-z]+(?:[./_-][0-9a-z]+)*")


class StoreError(Exception):
    """The store cannot do it now. `is_full` tells that only more room (or rights) will help."""

    def __init__(self, reason: str, *, is_full: bool = False) -> None:
        super().__init__(reason)
        self.is_full = is_full


class Missing(StoreError):
    """There is nothing under this key."""


class Store(Protocol):
    """What both kinds can do. `kind` is a storage_type of ours: local or s3."""

    kind: str

    def put(self, key: str, source: Path) -> None:
        """Keep a copy of `source` under `key`. Raises StoreError, and leaves nothing half-done."""

    def size(self, key: str) -> int:
        """Bytes under `key`; Missing, StoreError."""

    def age(self, key: str) -> float:
        """Seconds since it was put here; Missing, StoreError."""

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes, or a part of them, in pieces. Missing is raised before the first piece."""

    def delete(self, key: str) -> None:
        """Remove it; nothing happens where nothing is."""

    def keys(self) -> Iterator[str]:
        """Every key there is, in no order."""

    def clear_unfinished(self, *, older_than: float) -> int:
        """Remove what a killed process was writing, untouched for so many seconds; how many."""

    def check(self) -> None:
        """Write, read and remove a small file; StoreError says what is wrong."""


def open_store(address: str, *, folder: Path, endpoint: str | None = None) -> Store:
    """The store of `CRM_FILES`: empty for `folder`, or "s3://bucket/prefix"."""
    if not address:
        return LocalStore(folder)
    parts = urlsplit(address)
    return S3Store(parts.netloc, prefix=parts.path.strip("/"), endpoint=endpoint)


def check_key(key: str) -> str:
    """Keys are made by us; one that is not shaped so is a programming error, never a path."""
    if not KEY.fullmatch(key) or len(key) > 300:
        raise ValueError(f"not a key of ours: {key!r}")
    return key


class LocalStore:
    """Files below one folder, which is made at the first write."""

    kind = "local"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, key: str, source: Path) -> None:
        path = self._path(key)
        # Beside its place, so that the rename stays within one file system.
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(source, "rb") as given, open(temporary, "wb") as out:
                shutil.copyfileobj(given, out, CHUNK)
                out.flush()
                os.fsync(out.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
        except OSError as error:
            _forget(temporary)
            raise _refused(error) from error

    def size(self, key: str) -> int:
        try:
            return self._path(key).stat().st_size
        except OSError as error:
            raise _refused(error) from error

    def age(self, key: str) -> float:
        try:
            return time.time() - self._path(key).stat().st_mtime
        except OSError as error:
            raise _refused(error) from error

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        try:
            # Not a `with`: the pieces are read after we have returned. An open file survives its
            # own removal, so a delete in the middle cuts nobody short.
            file = open(self._path(key), "rb")  # noqa: SIM115
        except OSError as error:
            raise _refused(error) from error
        return _pieces(file, start, length)

    def delete(self, key: str) -> None:
        _forget(self._path(key))

    def keys(self) -> Iterator[str]:
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(self.folder).as_posix()

    def clear_unfinished(self, *, older_than: float) -> int:
        before = time.time() - older_than
        left = [path for path in self.folder.rglob(".*.part") if path.stat().st_mtime < before]
        for path in left:
            _forget(path)
        return len(left)

    def check(self) -> None:
        probe = self.folder / f".probe.{os.getpid()}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"?" * 4096)
        except OSError as error:
            raise _refused(error) from error
        finally:
            _forget(probe)

    def _path(self, key: str) -> Path:
        return self.folder / check_key(key)


class S3Store:
    """Objects in a bucket. Credentials and region come from where AWS's own tools look for them.

    boto3 is an extra (`requirements-s3.txt`), so it is imported when a store of this kind is made.
    """

    kind = "s3"

    def __init__(self, bucket: str, *, prefix: str = "", endpoint: str | None = None) -> None:
        import boto3
        from boto3.exceptions import S3UploadFailedError
        from boto3.s3.transfer import TransferConfig
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self._errors = (BotoCoreError, ClientError, S3UploadFailedError)
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                max_pool_connections=50,
                retries={"max_attempts": 3, "mode": "standard"},
                # What speaks S3 without being Amazon's does not know the newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        # No threads of its own: under gevent and in workers the caller brings them.
        self._transfer = TransferConfig(use_threads=False)

    def put(self, key: str, source: Path) -> None:
        try:
            self._client.upload_file(
                str(source), self.bucket, self._name(key), Config=self._transfer
            )
        except (*self._errors, OSError) as error:
            raise StoreError(_words(error)) from error

    def size(self, key: str) -> int:
        return int(self._head(key)["ContentLength"])

    def age(self, key: str) -> float:
        return time.time() - float(self._head(key)["LastModified"].timestamp())

    def _head(self, key: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._client.head_object(
                Bucket=self.bucket, Key=self._name(key)
            )
        except self._errors as error:
            raise self._refused(error) from error
        return found

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        last = "" if length is None else start + length - 1
        more = {"Range": f"bytes={start}-{last}"} if start or length is not None else {}
        try:
            found = self._client.get_object(Bucket=self.bucket, Key=self._name(key), **more)
        except self._errors as error:
            raise self._refused(error) from error
        return found["Body"].iter_chunks(CHUNK)

    def delete(self, key: str) -> None:
        try:
            self._client.delete_object(Bucket=self.bucket, Key=self._name(key))
        except self._errors as error:
            raise StoreError(_words(error)) from error

    def keys(self) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix):
            for found in page.get("Contents", ()):
                yield found["Key"].removeprefix(self.prefix)

    def clear_unfinished(self, *, older_than: float) -> int:
        # A part of an upload is no object; a rule of the bucket ends those (AWS: "abort incomplete
        # multipart uploads").
        return 0

    def check(self) -> None:
        name = f"{self.prefix}.probe.{os.getpid()}"
        try:
            self._client.put_object(Bucket=self.bucket, Key=name, Body=b"?")
            self._client.delete_object(Bucket=self.bucket, Key=name)
        except self._errors as error:
            raise StoreError(_words(error)) from error

    def _name(self, key: str) -> str:
        return self.prefix + check_key(key)

    def _refused(self, error: Exception) -> StoreError:
        answer: dict[str, Any] = getattr(error, "response", {})
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = answer.get("Error", {}).get("Code")
        kind = Missing if status == 404 and code != "NoSuchBucket" else StoreError
        return kind(_words(error))


def _words(error: Exception) -> str:
    """The code alone: the text of these errors repeats bucket, key and request."""
    # A managed upload hides the answer behind an error of its own.
    for each in (error, error.__context__):
        answer: dict[str, Any] = getattr(each, "response", {})
        if code := answer.get("Error", {}).get("Code"):
            return str(code)
    return type(error).__name__


def _refused(error: OSError) -> StoreError:
    if isinstance(error, FileNotFoundError):
        return Missing("no such file")
    full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
    return StoreError(errno.errorcode.get(error.errno or 0, type(error).__name__), is_full=full)


def _pieces(file: Any, start: int, length: int | None) -> Iterator[bytes]:
    with file:
        file.seek(start)
        left = length
        while left is None or left > 0:
            piece = file.read(CHUNK if left is None else min(CHUNK, left))
            if not piece:
                return
            left = None if left is None else left - len(piece)
            yield piece


def _sync_folder(folder: Path) -> None:
    """The name itself must survive a power cut too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _forget(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass  # a store that is gone or read-only keeps nothing of ours to forget
