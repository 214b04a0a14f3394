"""Jobs about clients."""

from __future__ import annotations

from crm.db import atomic, retrying
from crm.doorbell import job
from crm.services.clients import merge_clients


@job("clients.merge")
def merge(key: str) -> None:
    """Two clients (`<id>:<id>`) are one person.

    A lost ring is repeated by the next message of that person.
    """
    one, _, other = key.partition(":")

    def unit() -> None:
        with atomic():
            merge_clients(int(one), int(other))

    retrying(unit)
