"""The application for gunicorn and for `flask --app wsgi`.

Nothing is patched here: the gevent worker patches before it loads this module.
"""

import sys

from crm import create_app, local
from crm.config import ConfigError
from crm.lib.memory import kept_for_good

try:
    with kept_for_good():
        # `flask --app wsgi local ...` makes the settings that the application needs: it comes
        # without.
        app = local.command_line() if local.is_asked_for(sys.argv) else create_app()
except ConfigError as error:
    sys.exit(f"Charla cannot start: {error}")
