"""Structured logs: one JSON object a line, without message text, secrets or line breaks."""

import logging
import sys

import structlog


def configure(level: int = logging.INFO) -> None:
    """Send our log lines to standard error; plain and coloured on a terminal, JSON elsewhere.

    The first call in a process decides.
    """
    if structlog.is_configured():
        return
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Tracebacks without local values: those hold customers' words.
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
