"""What to do about a session, from what stands and what the server says. Pure: no database.

The traps that this knows: CLOSED right after a start means "starting"; a second start while one is
under way is silently ignored; a browser that does not come up stays at INITIALIZING for ever, and
only a close resets it; a QR code that nobody scans closes the session, and starting it again by
ourselves would go on all night; nothing is posted when the connection comes up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from crm.models import SessionState

# A start shows as CLOSED for a moment.
STARTS_WITHIN = 20.0
# While somebody waits with the phone in the hand. Each look costs the server up to a second.
QR_SECONDS = 4.0
STARTING_SECONDS = 3.0
SLOW_SECONDS = 300.0
LONGEST_WAIT = 300.0
# The server closed the session because nobody scanned.
EXPIRY_HINTS = frozenset({"autocloseCalled"})
# The phone (or the server, by order) took the link away: only a new QR code helps.
UNLINKED_HINTS = frozenset(
    {"disconnectedMobile", "desconnectedMobile", "logoutsession", "deviceNotConnected"}
)


class Action(StrEnum):
    """Reset = close, then start: the cure for a start that hangs."""

    START = "start"
    RESET = "reset"
    RENEW_TOKEN = "renew_token"  # noqa: S105 - a word, not a token


@dataclass(frozen=True)
class Standing:
    """What we know: `seconds` in this state, starts since the last connection, the last word."""

    state: SessionState
    seconds: float
    tries: int = 0
    hint: str | None = None
    was_connected: bool = False


@dataclass(frozen=True)
class Limits:
    """Seconds: between looks at a healthy session, and until a start counts as stuck."""

    check_seconds: float = 60.0
    stuck_seconds: float = 150.0


@dataclass(frozen=True)
class Step:
    """The new state, what to do now, and after how many seconds to look again.

    `is_unlinked`: the phone has to scan again, waiting does not help.
    """

    state: SessionState
    action: Action | None = None
    wait_seconds: float = 60.0
    is_unlinked: bool = False


def step(standing: Standing, word: str, limits: Limits) -> Step:
    """Decide. `word` is the server's state, or the reason of a GatewayError."""
    match word:
        case "CONNECTED":
            return Step(SessionState.CONNECTED, wait_seconds=limits.check_seconds)
        case "QRCODE" | "PHONECODE":
            unlinked = standing.was_connected
            return Step(SessionState.QR, wait_seconds=QR_SECONDS, is_unlinked=unlinked)
        case "INITIALIZING":
            return _starting(standing, limits)
        case "CLOSED":
            return _closed(standing)
        case "wrong_token":
            return Step(standing.state, Action.RENEW_TOKEN, STARTING_SECONDS)
        case "wrong_key" | "inner_address" | "wrong_phone":
            return Step(SessionState.REFUSED, wait_seconds=SLOW_SECONDS)
        case "unreachable" | "odd_answer" | "disconnected":
            return Step(SessionState.UNREACHABLE, wait_seconds=_patience(standing))
    # A word of a newer server: whatever it means, the session is not connected.
    return _starting(standing, limits)


def _starting(standing: Standing, limits: Limits) -> Step:
    if standing.state is SessionState.STARTING and standing.seconds > limits.stuck_seconds:
        return Step(SessionState.STARTING, Action.RESET, STARTING_SECONDS)
    wait = STARTING_SECONDS if standing.seconds < 30 else 3 * STARTING_SECONDS
    return Step(SessionState.STARTING, wait_seconds=wait)


def _closed(standing: Standing) -> Step:
    if standing.state in (SessionState.QR, SessionState.EXPIRED) or standing.hint in EXPIRY_HINTS:
        return Step(SessionState.EXPIRED, wait_seconds=SLOW_SECONDS, is_unlinked=True)
    if standing.hint in UNLINKED_HINTS:
        # Started once more, so that a code is there when somebody comes to scan it.
        return Step(SessionState.STARTING, Action.START, STARTING_SECONDS, is_unlinked=True)
    if (
        standing.state is SessionState.STARTING
        and standing.tries
        and (standing.seconds < STARTS_WITHIN)
    ):
        return Step(SessionState.STARTING, wait_seconds=STARTING_SECONDS)
    if standing.tries and standing.seconds < _patience(standing):
        return Step(SessionState.LOST, wait_seconds=_patience(standing) - standing.seconds)
    return Step(SessionState.STARTING, Action.START, STARTING_SECONDS)


def _patience(standing: Standing) -> float:
    """15, 30, 60, ... seconds: a server that restarts is back soon, one that is gone is not."""
    return min(15.0 * 2 ** min(standing.tries, 10), LONGEST_WAIT)
