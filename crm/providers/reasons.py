"""What a stored `messages.error_code` means in plain words, whichever provider it came from."""

from __future__ import annotations

from crm.providers.meta import codes as meta
from crm.providers.wppconnect import codes as wppconnect


def reason_for(code: str | None) -> str:
    """The msgid for the agent."""
    return wppconnect.reason_for(code) or meta.reason_for(code)
