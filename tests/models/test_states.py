"""The tables of moves beside the enums."""

import itertools

import pytest

from crm.models import (
    CHAT_MOVES,
    FINAL_STATUSES,
    OPEN_STATUSES,
    REPLACES,
    ChatPriority,
    ChatStatus,
    MessageStatus,
    QueueStatus,
)


def test_every_chat_status_has_its_moves() -> None:
    assert set(CHAT_MOVES) == set(ChatStatus)
    assert set(OPEN_STATUSES) | set(FINAL_STATUSES) == set(ChatStatus)


def test_an_ended_chat_moves_only_by_reopening() -> None:
    for status in FINAL_STATUSES:
        assert CHAT_MOVES[status] == {ChatStatus.QUEUED, ChatStatus.ASSIGNED}


def test_every_open_chat_may_be_closed() -> None:
    for status in OPEN_STATUSES:
        assert status.may_become(ChatStatus.CLOSED), status


def test_no_chat_goes_back_to_new() -> None:
    assert not any(status.may_become(ChatStatus.NEW) for status in ChatStatus)


def test_only_a_chat_that_waits_for_us_may_be_abandoned() -> None:
    assert {status for status in ChatStatus if status.may_become(ChatStatus.ABANDONED)} == {
        ChatStatus.BOT,
        ChatStatus.QUEUED,
    }


def test_only_an_answered_or_waiting_chat_is_offered_to_a_colleague() -> None:
    assert {status for status in ChatStatus if status.may_become(ChatStatus.TRANSFERRED)} == {
        ChatStatus.ASSIGNED,
        ChatStatus.ACTIVE,
        ChatStatus.PENDING,
    }


def settle(*receipts: MessageStatus) -> MessageStatus:
    """The status of a message after receipts in this order."""
    status = MessageStatus.PENDING
    for receipt in receipts:
        if receipt.may_replace(status):
            status = receipt
    return status


@pytest.mark.parametrize(
    "receipts",
    list(itertools.permutations([MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.READ])),
)
def test_receipts_in_any_order_end_at_the_furthest(receipts: tuple[MessageStatus, ...]) -> None:
    assert settle(*receipts) is MessageStatus.READ


def test_failed_never_overwrites_what_arrived() -> None:
    assert settle(MessageStatus.DELIVERED, MessageStatus.FAILED) is MessageStatus.DELIVERED
    assert settle(MessageStatus.READ, MessageStatus.FAILED) is MessageStatus.READ


def test_failed_gives_way_to_a_receipt_that_comes_later() -> None:
    for status in (MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.READ):
        assert settle(MessageStatus.FAILED, status) is status


def test_uncertain_gives_way_to_every_receipt() -> None:
    for status in (
        MessageStatus.SENT,
        MessageStatus.DELIVERED,
        MessageStatus.READ,
        MessageStatus.FAILED,
    ):
        assert settle(MessageStatus.UNCERTAIN, status) is status


def test_a_repeated_receipt_changes_nothing() -> None:
    assert not any(status.may_replace(status) for status in MessageStatus)


def test_no_receipt_moves_a_tick_backwards() -> None:
    for new, current in itertools.product(MessageStatus, MessageStatus):
        if new.rank and current.rank and new.may_replace(current):
            assert new.rank > current.rank


def test_only_retry_leads_back_to_pending() -> None:
    assert REPLACES[MessageStatus.PENDING] == {MessageStatus.FAILED}


def test_a_row_of_the_queue_is_either_open_or_over() -> None:
    for status in QueueStatus:
        assert status.is_open != status.is_final


def test_priorities_rank_by_urgency_and_not_by_the_alphabet() -> None:
    assert sorted(ChatPriority, key=lambda priority: priority.rank) == [
        ChatPriority.LOW,
        ChatPriority.NORMAL,
        ChatPriority.HIGH,
        ChatPriority.URGENT,
    ]
