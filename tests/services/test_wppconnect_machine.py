"""What is done about a session: a table of situations, and what must hold in any of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.models import SessionState
from crm.services.wppconnect.machine import Action, Limits, Standing, Step, step

LIMITS = Limits(check_seconds=60, stuck_seconds=150)
S = SessionState


def at(state: SessionState, seconds: float = 5, **more) -> Standing:
    return Standing(state, seconds, **more)


@pytest.mark.parametrize(
    ("standing", "word", "state", "action"),
    [
        (at(S.STARTING), "CLOSED", S.STARTING, Action.START),
        (at(S.STARTING, 5, tries=1), "CLOSED", S.STARTING, None),
        (at(S.STARTING, 25, tries=1), "CLOSED", S.LOST, None),
        (at(S.LOST, 40, tries=1), "CLOSED", S.STARTING, Action.START),
        (at(S.STARTING), "INITIALIZING", S.STARTING, None),
        (at(S.STARTING, 151, tries=1), "INITIALIZING", S.STARTING, Action.RESET),
        (at(S.STARTING), "QRCODE", S.QR, None),
        (at(S.QR, 70), "CLOSED", S.EXPIRED, None),
        (at(S.EXPIRED, 9000), "CLOSED", S.EXPIRED, None),
        (at(S.STARTING, 70, tries=1, hint="autocloseCalled"), "CLOSED", S.EXPIRED, None),
        (at(S.QR), "CONNECTED", S.CONNECTED, None),
        (at(S.CONNECTED, 9000), "CLOSED", S.STARTING, Action.START),
        (at(S.CONNECTED, hint="disconnectedMobile"), "CLOSED", S.STARTING, Action.START),
        (at(S.CONNECTED), "unreachable", S.UNREACHABLE, None),
        (at(S.UNREACHABLE), "CONNECTED", S.CONNECTED, None),
        (at(S.CONNECTED), "wrong_token", S.CONNECTED, Action.RENEW_TOKEN),
        (at(S.STARTING), "wrong_key", S.REFUSED, None),
        (at(S.STARTING), "inner_address", S.REFUSED, None),
        (at(S.STARTING), "A_NEW_WORD", S.STARTING, None),
    ],
)  # fmt: skip
def test_each_situation_has_its_step(standing, word, state, action) -> None:
    found = step(standing, word, LIMITS)
    assert (found.state, found.action) == (state, action)


def test_a_phone_that_has_to_scan_again_is_told_apart_from_a_first_scan() -> None:
    assert not step(at(S.STARTING), "QRCODE", LIMITS).is_unlinked
    assert step(at(S.STARTING, was_connected=True), "QRCODE", LIMITS).is_unlinked


def test_a_server_that_is_gone_is_asked_ever_more_seldom() -> None:
    waits = [step(at(S.UNREACHABLE, tries=n), "unreachable", LIMITS) for n in range(12)]
    seconds = [found.wait_seconds for found in waits]
    assert seconds == sorted(seconds)
    assert (seconds[0], seconds[-1]) == (15, 300)


WORDS = st.sampled_from(
    ["CLOSED", "INITIALIZING", "QRCODE", "PHONECODE", "CONNECTED", "unreachable", "odd_answer",
     "wrong_key", "wrong_token", "inner_address", "disconnected", "SOMETHING"]
)  # fmt: skip
STANDINGS = st.builds(
    Standing,
    st.sampled_from(SessionState),
    st.floats(0, 10**5),
    st.integers(0, 50),
    st.sampled_from([None, "autocloseCalled", "disconnectedMobile", "inChat", "browserClose"]),
    st.booleans(),
)


@given(STANDINGS, WORDS)
def test_no_situation_is_polled_fast_or_given_up(standing: Standing, word: str) -> None:
    found = step(standing, word, LIMITS)
    assert isinstance(found, Step)
    assert 0 < found.wait_seconds <= 300
    if found.state is not SessionState.QR:
        assert found.wait_seconds >= 3 or found.state is SessionState.LOST


@given(st.lists(WORDS, max_size=30))
def test_whatever_came_before_a_server_that_says_connected_is_believed(words: list[str]) -> None:
    standing = Standing(SessionState.STARTING, 0)
    for word in words:
        found = step(standing, word, LIMITS)
        tries = standing.tries + (found.action is not None)
        standing = Standing(found.state, 30, tries, None, standing.was_connected)
    assert step(standing, "CONNECTED", LIMITS).state is SessionState.CONNECTED
