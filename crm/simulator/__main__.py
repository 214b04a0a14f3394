"""`python -m crm.simulator`: start, say where, stop at SIGTERM or Ctrl-C."""

import errno
import logging
import signal
import sys

import gevent

from crm.simulator.config import Settings, SettingsError
from crm.simulator.server import create_server


def main() -> int:
    """Run until told to stop; the exit code is 2 for a wrong setting or a taken port."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s simulator %(message)s")
    try:
        settings = Settings.from_env()
        server = create_server(settings)
        server.init_socket()
    except SettingsError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(
            f"simulator: SIMULATOR_PORT={settings.port} is taken by another program. "
            "Stop it or choose another, for example SIMULATOR_PORT=5091",
            file=sys.stderr,
        )
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        # Everything that matters is in the journal already, so a stop need not wait for anybody.
        gevent.signal_handler(number, lambda: server.stop(timeout=0.5))
    print(f"simulator: {settings.base_url} -> {settings.webhook_url}", flush=True)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
