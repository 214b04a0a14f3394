"""The tick of a message, whatever the order in which reports of it come."""

from datetime import UTC, datetime, timedelta
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from crm.models import MessageStatus, ReceiptStatus
from crm.services.messages.ticks import Report, Tick, fold

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
SENT, DELIVERED, READ, FAILED = (
    ReceiptStatus.SENT,
    ReceiptStatus.DELIVERED,
    ReceiptStatus.READ,
    ReceiptStatus.FAILED,
)


def report(status: ReceiptStatus, seconds: int = 0, code: str = "131026") -> Report:
    failed = status is FAILED
    return Report(
        status,
        START + timedelta(seconds=seconds),
        error_code=code if failed else None,
        error_message=f"words of {code}" if failed else None,
    )


def after(*reports: Report, tick: Tick | None = None) -> Tick:
    return reduce(fold, reports, tick or Tick())


reports = st.builds(
    report,
    st.sampled_from(ReceiptStatus),
    st.integers(0, 5),
    st.sampled_from(["131026", "131047"]),
)
first_ticks = st.sampled_from(
    [
        Tick(),
        Tick(status=MessageStatus.UNCERTAIN, error_code="no_answer", error_message="?"),
        Tick(status=MessageStatus.FAILED, failed_at=START, error_code="not_sent",
             error_message="x", is_refused_by_us=True),
        Tick(status=MessageStatus.SENT, sent_at=START + timedelta(seconds=2)),
    ]
)  # fmt: skip


@given(first_ticks, st.lists(reports, max_size=6), st.randoms(use_true_random=False))
def test_any_order_and_repetition_ends_in_the_same_tick(tick, told, random):
    straight = after(*told, tick=tick)
    again = [*told, *random.choices(told, k=len(told))] if told else []
    random.shuffle(again)
    assert after(*again, tick=tick) == straight


@given(first_ticks, st.lists(reports, max_size=8))
def test_a_tick_never_goes_back(tick, told):
    for one in told:
        before, tick = tick, fold(tick, one)
        assert tick.status.rank >= before.status.rank or tick.status is MessageStatus.FAILED
        if before.status in (MessageStatus.DELIVERED, MessageStatus.READ):
            assert tick.status.rank >= before.status.rank


@given(first_ticks, st.lists(reports, max_size=8))
def test_the_error_stands_there_only_while_it_failed_or_is_uncertain(tick, told):
    end = after(*told, tick=tick)
    if end.status not in (MessageStatus.FAILED, MessageStatus.UNCERTAIN):
        assert (end.error_code, end.error_message, end.failed_at) == (None, None, None)


def test_read_without_delivered_is_read():
    tick = after(report(SENT), report(READ, 3))
    assert (tick.status, tick.delivered_at) == (MessageStatus.READ, None)


def test_a_late_delivered_fills_its_time_without_going_back():
    tick = after(report(READ, 3), report(DELIVERED, 2))
    assert tick.status is MessageStatus.READ
    assert tick.delivered_at == START + timedelta(seconds=2)


def test_failed_gives_way_to_delivered_but_not_to_a_late_sent():
    failed = after(report(SENT), report(FAILED, 1))
    assert failed.status is MessageStatus.FAILED
    assert failed.error_message == "words of 131026"
    assert fold(failed, report(SENT)).status is MessageStatus.FAILED
    assert fold(failed, report(DELIVERED, 2)).status is MessageStatus.DELIVERED


def test_failed_never_overwrites_delivered():
    assert after(report(DELIVERED), report(FAILED, 9)).status is MessageStatus.DELIVERED


def test_a_failure_of_our_own_making_gives_way_to_sent():
    ours = Tick(
        status=MessageStatus.FAILED, failed_at=START, error_code="not_sent", is_refused_by_us=True
    )
    assert fold(ours, report(SENT, 1)).status is MessageStatus.SENT


def test_uncertain_gives_way_to_anything():
    unsure = Tick(status=MessageStatus.UNCERTAIN, error_code="no_answer")
    for status in ReceiptStatus:
        assert fold(unsure, report(status)).status.value == status.value
