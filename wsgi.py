"""The application for gunicorn and for `flask --app wsgi`.

Nothing is patched here: the gevent worker patches before it loads this module.
"""

from crm import create_app

app = create_app()
