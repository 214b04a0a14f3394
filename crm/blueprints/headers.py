"""Security headers on every answer, and who may send a form from where."""

from wsgiref.headers import Headers

from flask import Flask, Response, current_app, request

from crm.errors import Forbidden, NotFound

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "worker-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
}
HSTS = "max-age=31536000; includeSubDomains"


def register(app: Flask) -> None:
    app.before_request(refuse_nul)
    app.before_request(refuse_foreign_changes)
    app.after_request(secure)


def refuse_nul() -> None:
    """No address of ours has a NUL in it, and Postgres takes none in a text."""
    if "\0" in request.path:
        raise NotFound


def refuse_foreign_changes() -> None:
    """A browser that says the request comes from another site changes nothing here.

    Beside the CSRF token: a token can leak, `Sec-Fetch-Site` cannot be set by a page.
    """
    if request.method not in {"GET", "HEAD", "OPTIONS"} and request.headers.get(
        "Sec-Fetch-Site"
    ) in {"cross-site", "same-site"}:
        raise Forbidden


def secure(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if current_app.config["CRM"].https:
        response.headers.setdefault("Strict-Transport-Security", HSTS)
    # Everything but the static files may show customers; nothing of it belongs in a cache.
    response.headers.setdefault("Cache-Control", "no-store")
    response.vary.add("HX-Request")
    return response


def secure_static(headers: Headers, path: str, url: str) -> None:
    for name, value in HEADERS.items():
        headers[name] = value
