"""The page that looks like a phone, its media, and its stream of news."""

import json
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, abort, jsonify, render_template, request, send_file
from gevent.queue import Empty, Queue

from crm.simulator import words
from crm.simulator.control import asked, describe_message, simulator
from crm.simulator.world import Row

bp = Blueprint("page", __name__)

PING_SECONDS = 3
# What a browser may show in place; anything else is a download, whatever it claims to be.
SHOWN_TYPES = {
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "audio/ogg",
    "audio/mpeg",
    "audio/mp4",
    "audio/aac",
    "video/mp4",
    "video/webm",
    "application/pdf",
}


@bp.get("/healthz")
def healthz() -> Response:
    """For supervisors and tests."""
    return Response("ok\n", mimetype="text/plain")


@bp.get("/")
def phones() -> str:
    """The page; ?lang=es|en, ?phones=<customer>.<number id>,... opens phones at once."""
    language = words.choose_language(
        request.args.get("lang", ""), [tag for tag, _ in request.accept_languages]
    )
    shown = words.words(language)
    return render_template(
        "phone.html",
        language=language,
        other_language="en" if language == "es" else "es",
        t=shown,
        words_json=json.dumps(shown),
        groups=words.GROUPS,
    )


@bp.get("/media/<media_id>")
def media(media_id: str) -> Response:
    """A file of a conversation, for the phone's own eyes."""
    sim = simulator()
    row = sim.media.find(media_id) if media_id.isdigit() else None
    if row is None:
        abort(404)
    mime_type = row["mime_type"].partition(";")[0].strip().lower()
    safe = mime_type in SHOWN_TYPES
    response = send_file(
        sim.media.path(media_id).resolve(),
        mimetype=mime_type if safe else "application/octet-stream",
        as_attachment=not safe,
        download_name=row["filename"] or media_id,
    )
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


@bp.post("/control/watch")
def watch() -> Response:
    """Which chats a page shows now: page (its id), chats [{number_id, wa_id}].

    A chat that somebody looks at is read; the stream's end takes the page's looks away.
    """
    body = asked()
    chats = {(str(row["number_id"]), str(row["wa_id"])) for row in body.get("chats") or []}
    simulator().customers.watch(str(body.get("page")), chats)
    return jsonify({"ok": True})


@bp.get("/events")
def events() -> Response:
    """Server-sent events: message, status, typing, read, customer, faults, call, resync."""
    sim = simulator()
    page = request.args.get("page", "")
    queue = sim.bus.listen()

    def stream() -> Iterator[str]:
        try:
            yield "retry: 1000\n\n"
            yield from _news(queue)
        finally:
            sim.bus.leave(queue)
            sim.customers.watch(page, set())

    def _news(queue: "Queue[tuple[str, Row]]") -> Iterator[str]:
        while True:
            try:
                kind, data = queue.get(timeout=PING_SECONDS)
            except Empty:
                # A closed tab is noticed by writing to it.
                yield ": still here\n\n"
                continue
            yield f"event: {kind}\ndata: {json.dumps(_described(kind, data))}\n\n"

    def _described(kind: str, data: Row) -> Any:
        if kind in ("message", "status"):
            return {"message": describe_message(sim, data["message"])}
        if kind == "call":
            return {**data, "waiting": sim.outbox.waiting}
        return data

    return Response(stream(), mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})
