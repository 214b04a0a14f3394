"""Serves files: to whom may see what they belong to, in a form that no browser runs.

Shown inside our pages are only pictures, sounds and films, told by their bytes when they came;
everything else is a download. Each answer carries a policy of its own that allows nothing.
"""

from __future__ import annotations

from urllib.parse import quote

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue
from werkzeug.http import parse_range_header

from crm.db import atomic, db
from crm.errors import NotFound
from crm.lib.media import types
from crm.models import File
from crm.permissions import current_scope, public, requires
from crm.services import files

blueprint = Blueprint("files", __name__)

POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
# What a browser of somebody's own may keep. `Vary: Cookie` ends it with the session.
PRIVATE_CACHE = "private, max-age=3600"
PUBLIC_CACHE = "public, max-age=31536000, immutable"
PLAYABLE = "audio/mp4"


@blueprint.get("/files/<int:file_id>")
@requires("files.read")
def show(file_id: int) -> ResponseReturnValue:
    """The file itself; `?download` always as a download."""
    file = files.load_file(current_scope(), file_id)
    return _answer(file, file.file_path, file.mime_type, counts=True)


@blueprint.get("/files/<int:file_id>/thumbnail")
@requires("files.read")
def thumbnail(file_id: int) -> ResponseReturnValue:
    """The small picture of a picture, or of a film's first frame."""
    file = files.load_file(current_scope(), file_id)
    if not file.thumbnail_path:
        raise NotFound
    return _answer(file, file.thumbnail_path, "image/webp")


@blueprint.get("/files/<int:file_id>/playable")
@requires("files.read")
def playable(file_id: int) -> ResponseReturnValue:
    """A sound as M4A, made at the first request, for browsers that cannot play the original."""
    file = files.load_file(current_scope(), file_id)
    if not types.plain(file.mime_type).startswith("audio/"):
        raise NotFound
    if not file.playable_path:
        # No connection is held while the sound is encoded.
        db.session.rollback()
        key = files.make_playable(file, data_dir=current_app.config["CRM"].data_dir)
        if key is None:
            raise NotFound("This sound cannot be played here. Download it.")
        with atomic():
            file = db.session.get_one(File, file_id)
            file.playable_path = key
    return _answer(file, file.playable_path or "", PLAYABLE, counts=True)


@blueprint.get("/files/public/<filename>")
@public
def show_public(filename: str) -> ResponseReturnValue:
    """A logo or an avatar: its name is its key."""
    file = files.find_public(filename)
    if file is None:
        raise NotFound
    small = request.args.get("size") == "small" and file.thumbnail_path
    if small:
        return _answer(file, file.thumbnail_path or "", "image/webp")
    return _answer(file, file.file_path, file.mime_type)


def _answer(file: File, key: str, mime: str, *, counts: bool = False) -> Response:
    etag = f"{file.id}-{(file.sha256 or '')[:16]}-{key.rpartition('.')[2]}"
    headers = _headers(file, mime)
    if request.if_none_match.contains(etag):
        response = Response(status=304, headers=headers)
        response.set_etag(etag)
        return response
    if key == file.thumbnail_path:
        # Small, and many to a page: given whole, without asking the store how long it is.
        response = Response(files.read_file(key), headers=headers)
        response.set_etag(etag)
        return response
    size = file.size_bytes if key == file.file_path else files.size_of(key)
    start, end = _range(size, etag)
    if start is None:
        return Response(status=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    is_part = (start, end) != (0, size)
    # Before the answer begins: a file that is gone is a page that says so, not half an answer.
    pieces = (
        files.read_file(key, start=start, length=end - start) if request.method == "GET" else ()
    )
    response = Response(pieces, status=206 if is_part else 200, headers=headers)
    response.content_length = end - start
    response.set_etag(etag)
    if is_part:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    if counts and start == 0 and request.method == "GET":
        files.count_access(file.id)
    return response


def _headers(file: File, mime: str) -> dict[str, str]:
    inline = types.plain(mime) in types.INLINE and "download" not in request.args
    kind = mime if inline else types.UNKNOWN
    return {
        "Content-Type": kind,
        "Content-Disposition": _disposition("inline" if inline else "attachment", file),
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "Cache-Control": PUBLIC_CACHE if file.is_public else PRIVATE_CACHE,
        "Vary": "Cookie",
    }


def _disposition(word: str, file: File) -> str:
    """The name twice: plain for old programs, and as RFC 5987 wants it. Never raw into a header."""
    name = types.clean_name(file.original_filename, mime=file.mime_type)
    plain = "".join(c if (c.isascii() and c.isalnum()) or c in "._- " else "_" for c in name)
    return f"{word}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _range(size: int, etag: str) -> tuple[int | None, int]:
    """The asked part as (start, end), the whole where none (or a strange one) is asked for."""
    asked = parse_range_header(request.headers.get("Range"))
    if asked is None or len(asked.ranges) != 1:
        return 0, size
    condition = request.headers.get("If-Range")
    if condition and condition.strip('"') != etag:
        return 0, size
    found = asked.range_for_length(size)
    return found if found is not None else (None, 0)
