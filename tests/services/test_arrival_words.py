"""What the customer is told when a chat comes in: welcome, place, hours."""

from datetime import timedelta

from crm.db import atomic
from crm.lib.clock import utcnow
from crm.models import CampaignStatus, ChatStatus
from crm.services import chats, routing
from crm.services.routing import sweep
from tests.services.arrivals import arrive_chat, route, said, set_terms
from tests.services.desk import Desk

NEVER_OPEN = {"monday": [], "holidays": []}


def test_the_welcome_is_said_once_at_the_opening(desk: Desk):
    desk.add_agent()
    set_terms(desk, welcome_message="Bienvenido a Ventas.")
    chat = arrive_chat(desk)
    assert said(chat) == ["Bienvenido a Ventas."]
    route(chat)
    assert said(chat) == ["Bienvenido a Ventas."]


def test_who_waits_hears_their_place_and_who_is_served_does_not(desk: Desk):
    set_terms(
        desk,
        queue_message="Es el {{position}}, en {{estimated_wait}}. {{nada}}",
        max_wait_seconds=600,
    )
    first, second = arrive_chat(desk), arrive_chat(desk)
    assert said(first) == ["Es el 1, en 5 min."]
    assert said(second) == ["Es el 2, en 5 min."]
    desk.add_agent(limit=9, here=9)
    assert said(arrive_chat(desk)) == []


def test_the_place_is_said_again_only_when_it_has_changed_and_not_too_often(desk: Desk):
    set_terms(desk, queue_message="Puesto {{position}}", queue_message_interval_seconds=120)
    first, second = arrive_chat(desk), arrive_chat(desk)

    def tend(ago: float) -> None:
        with atomic():
            second.queue_told_at = utcnow() - timedelta(seconds=ago)
        if second.id in sweep.find_chats_to_tend():
            with atomic():
                routing.tend_chat(second.id)

    tend(200)
    assert said(second) == ["Puesto 2"], "the same place is no news"
    with atomic():
        chats.close_chat(first, actor=chats.SYSTEM, reason="resolved")
    tend(60)
    assert said(second) == ["Puesto 2"], "not so soon"
    tend(200)
    assert said(second) == ["Puesto 2", "Puesto 1"]


def test_outside_hours_the_offline_message_is_said_once_in_a_closed_period(desk: Desk):
    desk.add_agent()
    set_terms(desk, business_hours=NEVER_OPEN, offline_message="Abrimos mañana.",
              welcome_message="Hola", queue_message="Puesto {{position}}")  # fmt: skip
    chat = arrive_chat(desk)
    assert said(chat) == ["Abrimos mañana."]
    assert chat.status is ChatStatus.QUEUED
    with atomic():
        chats.close_chat(chat, actor=chats.SYSTEM, reason="resolved")
    again = arrive_chat(desk, client=chat.client)
    assert said(again) == [], "the same closed period"
    with atomic():
        chat.offline_told_until = utcnow() - timedelta(hours=1)
        chats.close_chat(again, actor=chats.SYSTEM, reason="resolved")
    assert said(arrive_chat(desk, client=chat.client)) == ["Abrimos mañana."]


def test_a_paused_campaign_says_so_and_lets_the_chat_wait(desk: Desk):
    desk.add_agent()
    set_terms(desk, status=CampaignStatus.PAUSED, offline_message="Estamos en pausa.")
    chat = arrive_chat(desk)
    assert (chat.status, said(chat)) == (ChatStatus.QUEUED, ["Estamos en pausa."])


def test_a_text_that_may_not_leave_stops_nothing(desk: Desk):
    agent = desk.add_agent()
    set_terms(desk, welcome_message="Bienvenido.")
    desk.number.deleted_at = utcnow()
    chat = arrive_chat(desk)
    assert (said(chat), chat.assigned_agent_id) == ([], agent.id)
