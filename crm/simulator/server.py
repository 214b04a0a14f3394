"""Puts the parts behind one port: Meta's paths, the orders, the phone page."""

import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, abort, request
from gevent.pywsgi import WSGIServer

from crm.simulator import acts, control, news, page, wpp_control
from crm.simulator.config import Settings
from crm.simulator.graph import Graph
from crm.simulator.simulator import Simulator
from crm.simulator.wpp_server import WppServer

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
LARGEST_ORDER = 140 * 1024 * 1024  # a 100 MB file as base64


def create_page_app(simulator: Simulator, graph: Graph) -> Flask:
    """The Flask part: orders and page. Meta's paths never come here."""
    app = Flask(__name__)
    app.config.update(SIMULATOR=simulator, GRAPH=graph, MAX_CONTENT_LENGTH=LARGEST_ORDER)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.register_blueprint(control.bp)
    app.register_blueprint(wpp_control.bp)
    app.register_blueprint(acts.bp)
    app.register_blueprint(news.bp)
    app.register_blueprint(page.bp)
    app.before_request(_guard)
    app.after_request(_headers)
    return app


def _guard() -> None:
    """Only this machine's own pages and scripts give orders.

    Any web page may post to a loopback port, and a name may be made to point to it (DNS
    rebinding): hence the Host check, the Origin check, and JSON only.
    """
    host = request.host.rpartition(":")[0] or request.host
    if host.strip("[]") not in ("127.0.0.1", "localhost", "::1"):
        abort(Response("This page answers on localhost and 127.0.0.1 only.\n", 421))
    if request.method in ("GET", "HEAD"):
        return
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"{request.scheme}://{request.host}":
        abort(Response("Orders from other sites are not taken.\n", 403))
    if request.content_length and request.mimetype != "application/json":
        abort(Response("Send JSON with Content-Type: application/json.\n", 415))


def _headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = CSP
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def create_wsgi(settings: Settings) -> Callable[..., Iterable[bytes]]:
    """The whole application for a WSGI server."""
    simulator = Simulator(settings)
    graph = Graph(simulator)
    wpp = WppServer(simulator)
    pages = create_page_app(simulator, graph)

    def dispatch(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if graph.owns(environ["PATH_INFO"]):
            return graph(environ, start_response)
        if wpp.owns(environ["PATH_INFO"]):
            return wpp(environ, start_response)
        return pages(environ, start_response)

    return dispatch


class _Server(WSGIServer):
    def init_socket(self) -> None:
        """Listen; without Nagle, which holds the second half of each answer back for 40 ms."""
        super().init_socket()
        # Linux hands the option of the listening socket on to every accepted one.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def create_server(settings: Settings) -> WSGIServer:
    """A gevent server, not started yet; raises OSError where the port is taken."""
    log = logging.getLogger("crm.simulator")
    return _Server(
        (settings.host, settings.port), create_wsgi(settings), log=None, error_log=log, backlog=4096
    )
