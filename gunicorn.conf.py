"""How gunicorn serves Charla; it reads this file by itself.

The gevent worker patches the standard library before it loads the application, so nothing of `crm`
that opens sockets may be imported at the top of this file.
"""

import contextlib
import os
import resource
import sys
import weakref

import gevent
from gunicorn.workers.ggevent import GeventWorker

# A hoster's router comes from outside; `make run` sets CRM_BIND to this machine alone.
host = os.environ.get("CRM_BIND") or "0.0.0.0"  # noqa: S104
bind = f"{host}:{os.environ.get('PORT') or '8000'}"


class Worker(GeventWorker):
    """At a stop, gunicorn waits for a browser's idle, kept-alive connections as for requests under
    way: each stop would take all of `graceful_timeout`. Here they can be ended."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._served = weakref.WeakSet()
        self._idle = {}

    @contextlib.contextmanager
    def timeout_ctx(self):
        """Around the wait for a connection's next request."""
        connection = gevent.getcurrent()
        # One that is new may have its first request on the way.
        may_end = connection in self._served
        self._served.add(connection)
        seconds = self.cfg.keepalive if self.alive or not may_end else 0
        with gevent.Timeout(seconds, False) as patience:
            if may_end:
                self._idle[connection] = patience
            try:
                yield
            finally:
                self._idle.pop(connection, None)

    def end_idle_connections(self):
        """As if their patience (`keepalive`) had run out."""
        for connection, patience in list(self._idle.items()):
            connection.kill(patience, block=False)


worker_class = Worker
# Each process has a hub of its own that hears every event, so several work side by side.
workers = int(os.environ.get("WEB_CONCURRENCY") or "1")
# A socket counts as a connection for its whole life; at gevent's default of 1,000 the next request
# would hang.
worker_connections = 20000
# gunicorn's control socket lies in the home folder, where two installations would meet.
control_socket_disable = True
proc_name = "charla-web"

# Open sockets would make every stop take this long: the hub closes them first (post_worker_init).
graceful_timeout = 5
timeout = 60
keepalive = 75

# Meta's addresses are short; a URL or header beyond this is nobody we know.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

accesslog = None
errorlog = "-"
loglevel = "warning"

# Sockets, and beside them files, Postgres and Redis.
OPEN_FILES = worker_connections + 1000


def on_starting(server):
    """Before any worker: a wrong setting stops the start with its one line."""
    from crm.config import Config, ConfigError

    try:
        Config.from_env()
    except ConfigError as error:
        sys.exit(f"Charla cannot start: {error}")
    raise_open_files(server.log)


def raise_open_files(log):
    """Ask for as many open files as we may have; say so where that is few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft < 4096:
        log.warning(
            "Only %d files may be open: that many browsers at most can be connected. "
            "Raise it with `ulimit -n 20000`.",
            soft,
        )


def post_fork(server, worker):
    """Postgres waits give way to other greenlets; without this one slow query stops them all."""
    from psycogreen.gevent import patch_psycopg

    patch_psycopg()


def post_worker_init(worker):
    """At a stop, close the open sockets first, with 1012 ("restarting"): browsers come back.

    gunicorn tells a gevent worker of SIGTERM by `alive` alone, hence the greenlet that watches it.
    """
    from crm.realtime.socket import hub_of

    hub = hub_of(worker.app.callable)

    def close_sockets_at_stop():
        while worker.alive:
            gevent.sleep(0.2)
        hub.close_all()
        worker.end_idle_connections()

    gevent.spawn(close_sockets_at_stop)
    gevent.spawn(tell_setup_token, worker)


def tell_setup_token(worker):
    """While nobody has an account, the log says what the first page asks for."""
    from crm.services import first_start

    app = worker.app.callable
    try:
        with app.app_context():
            if first_start.is_first_start():
                config = app.config["CRM"]
                token = first_start.setup_token(config.secret_key)
                address = f"{config.public_url}/setup?code={token}" if config.public_url else ""
                # A warning: quieter lines are dropped here.
                worker.log.warning(
                    "Nobody has an account yet. Open /setup; the installation code is %s  %s",
                    token, address,
                )  # fmt: skip
    except Exception as error:
        worker.log.warning("Cannot tell yet whether there are accounts: %s", type(error).__name__)
