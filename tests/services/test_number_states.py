"""How a number is, in a word: the worst of what its row and its open alarms say."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import func

from crm.db import atomic
from crm.models import AlarmKind, NumberStatus, WhatsappNumber
from crm.permissions import scope_of
from crm.services.alarms import end_alarm, raise_alarm
from crm.services.kit import ListQuery
from crm.services.number_states import NumberState, Verdict, find_states, find_troubled
from crm.services.numbers import find_numbers, visible_numbers
from tests.factories import make_number, make_user

RESTRICTED, QUIET, REFUSED = (
    AlarmKind.ACCOUNT_RESTRICTED,
    AlarmKind.NUMBER_SILENT,
    AlarmKind.NUMBER_REFUSED,
)


def alarmed(number: WhatsappNumber, *kinds: AlarmKind) -> WhatsappNumber:
    for kind in kinds:
        raise_alarm(kind, subject=str(number.id), number_id=number.id)
    return number


def state_of(number: WhatsappNumber) -> NumberState:
    return find_states([number.id])[number.id]


@pytest.mark.parametrize(
    ("status", "paused", "alarms", "verdict", "alarm", "holds"),
    [
        ("active", False, (), "active", None, False),
        # The row says that all is well; Meta does not.
        ("active", False, (QUIET, RESTRICTED), "trouble", RESTRICTED, False),
        ("active", False, (QUIET,), "active", QUIET, False),
        ("active", True, (), "paused", None, True),
        ("active", True, (RESTRICTED,), "trouble", RESTRICTED, True),
        ("error", False, (), "trouble", None, True),
        ("error", False, (REFUSED,), "trouble", REFUSED, True),
        ("disconnected", False, (), "trouble", None, True),
        ("pending", False, (), "pending", None, True),
        # Nobody is waiting for it.
        ("inactive", False, (RESTRICTED,), "inactive", RESTRICTED, True),
        # What is about a template is told there.
        ("active", False, (AlarmKind.TEMPLATE_PAUSED,), "active", None, False),
    ],
)
def test_the_worst_of_row_and_alarms_is_the_state(
    database: Flask, status, paused, alarms, verdict, alarm, holds
):
    with atomic():
        number = alarmed(make_number(status=status, display_name="Soporte"), *alarms)
        number.sending_paused_at = func.now() if paused else None
    state = state_of(number)
    found = (state.verdict, state.status, state.alarm, state.is_paused, state.holds)
    assert found == (verdict, NumberStatus(status), alarm, paused, holds)
    assert (number.id in find_troubled(WhatsappNumber.id == number.id)) == (verdict == "trouble")


def test_it_is_well_again_when_its_alarm_ends_and_another_number_never_was_ill(database: Flask):
    with atomic():
        number, other = alarmed(make_number(), RESTRICTED), make_number()
    states = find_states([number.id, other.id])
    assert [states[one.id].verdict for one in (number, other)] == [
        Verdict.TROUBLE,
        Verdict.ACTIVE,
    ]
    with atomic():
        end_alarm(RESTRICTED, subject=str(number.id))
    assert state_of(number).verdict is Verdict.ACTIVE


def test_the_list_sorts_and_filters_by_the_same_word(database: Flask):
    with atomic():
        admin = make_user(role="super_admin")
        restricted = alarmed(make_number(display_name="Restringido"), RESTRICTED)
        lost = make_number(status="disconnected", display_name="Perdido")
        make_number(status="inactive", display_name="Apagado")
        make_number(display_name="Bien")

    def names(**query) -> list[str | None]:
        page = find_numbers(scope_of(admin), ListQuery(**query))
        return [number.display_name for number, _campaigns in page.rows]

    assert names(sort="state") == ["Restringido", "Perdido", "Bien", "Apagado"]
    assert names(filters={"state": "trouble"}) == ["Perdido", "Restringido"]
    assert names(filters={"state": "active"}) == ["Bien"]
    assert names(filters={"state": "inactive"}) == ["Apagado"]
    assert set(find_troubled(visible_numbers(scope_of(admin)))) == {restricted.id, lost.id}
