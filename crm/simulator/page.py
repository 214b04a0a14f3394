"""The page that looks like a phone, and its stream of news."""

from flask import Blueprint, Response

bp = Blueprint("page", __name__)


@bp.get("/healthz")
def healthz() -> Response:
    """For supervisors and tests."""
    return Response("ok\n", mimetype="text/plain")
