"""The one way to WPPConnect servers of a process: guarded, because their address is from a form."""

from __future__ import annotations

import functools

from crm.lib.addresses import PublicOnly
from crm.lib.timed_http import TimedHttp
from crm.providers.wppconnect.gateway import WppConnectGateway

# The server asks its browser; some answers take their time.
SECONDS = 15.0
# While a delivery waits to be stored: who does not answer by then stays hidden for now.
SHORT_SECONDS = 4.0
LARGEST_ANSWER = 32 * 1024 * 1024
# A document of 100 MB as base64; it goes to the disk as it comes.
LARGEST_FILE = 150 * 1024 * 1024


@functools.cache
def gateway_for(
    trusted_hosts: tuple[str, ...],
    *,
    total_seconds: float = SECONDS,
    largest: int = LARGEST_ANSWER,
) -> WppConnectGateway:
    """A gateway for the life of the process; its connections stay open."""
    http = TimedHttp(
        total_seconds=total_seconds,
        max_answer_bytes=largest,
        guard=PublicOnly(trusted_hosts),
    )
    return WppConnectGateway(http)
