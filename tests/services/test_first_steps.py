"""The way from an empty installation to its first chat."""

from __future__ import annotations

from flask import Flask

from crm.db import atomic
from crm.models import NumberStatus
from crm.services.first_steps import FirstSteps, find_first_steps
from tests import factories


def test_each_step_is_done_once_it_is(database: Flask) -> None:
    def steps() -> list[bool]:
        found: FirstSteps = find_first_steps()
        return [found.people, found.number, found.campaign, found.switched_on]

    with atomic():
        factories.make_user(role="super_admin")
    assert steps() == [False, False, False, False]
    with atomic():
        agent = factories.make_user()
        number = factories.make_number(status=NumberStatus.INACTIVE)
    assert steps() == [True, True, False, False]
    with atomic():
        campaign = factories.make_campaign(number=number)
    assert steps() == [True, True, False, False]  # nobody works in it
    with atomic():
        factories.link_agent(campaign, agent)
    assert steps() == [True, True, True, False]
    with atomic():
        number.status = NumberStatus.ACTIVE
    assert find_first_steps().done
