"""Queues in the settings: overflow, switching off with people waiting, what refers to them."""

from __future__ import annotations

from sqlalchemy import select

from crm.db import db
from crm.models import (
    Chat,
    ChatStatus,
    Queue,
    RuleAction,
)
from tests.blueprints.admin_desk import (
    errors_in,
    post_form,
)
from tests.factories import (
    make_campaign,
    make_chat,
    make_client,
    make_queue,
    make_rule,
)


def test_overflow_queues_never_form_a_circle(admin, cast):
    first, second, third = (make_queue(cast.sales, name=name) for name in ("A", "B", "C"))
    db.session.commit()
    over = {"overflow_action": "transfer"}
    for queue, target in ((first, second), (second, third)):
        answer = post_form(
            admin, f"/settings/queues/{queue.id}", {**over, "overflow_queue_id": target.id}
        )
        assert answer.status_code == 204, errors_in(answer)
    answer = post_form(
        admin, f"/settings/queues/{third.id}", {**over, "overflow_queue_id": first.id}
    )
    assert "C → A → B → C" in errors_in(answer)["overflow_queue_id"]
    answer = post_form(
        admin, f"/settings/queues/{third.id}", {**over, "overflow_queue_id": third.id}
    )
    assert answer.status_code == 422


def test_an_overflow_queue_of_another_campaign_is_refused(admin, cast):
    foreign = make_queue(make_campaign())
    db.session.commit()
    answer = post_form(
        admin,
        f"/settings/queues/{cast.queue.id}",
        {"overflow_action": "transfer", "overflow_queue_id": foreign.id},
    )
    assert "same campaign" in errors_in(answer)["overflow_queue_id"]


def test_switching_a_queue_off_asks_and_then_moves_who_waits(admin, cast):
    chats = [
        make_chat(
            campaign=cast.sales,
            number=cast.number,
            client=make_client(),
            status=ChatStatus.QUEUED,
            queue_id=cast.queue.id,
        )
        for _ in range(2)
    ]
    db.session.commit()
    path = f"/settings/queues/{cast.queue.id}"
    answer = post_form(admin, path, {"is_active": None})
    assert "no other active queue" in errors_in(answer)["is_active"]
    other = make_queue(cast.sales, name="Otra")
    db.session.commit()
    answer = post_form(admin, path, {"is_active": None})
    assert "Waiting here: 2. They would move to Otra." in errors_in(answer)["move_waiting"]
    assert 'name="move_waiting"' in answer.text
    assert post_form(admin, path, {"is_active": None, "move_waiting": "y"}).status_code == 204
    db.session.expire_all()
    moved = set(db.session.scalars(select(Chat.queue_id).where(Chat.id.in_([c.id for c in chats]))))
    assert moved == {other.id}
    assert db.session.get_one(Queue, cast.queue.id).is_active is False
    make_rule(cast.sales, action=RuleAction.ASSIGN_QUEUE, target_queue_id=cast.queue.id)
    db.session.commit()
    page = admin.get(path).text
    assert "2 waiting chats moved to the next queue." in page
    assert "Switched off: it takes nothing new. 1 rule or queue still sends chats here" in page


def test_a_queue_that_is_referred_to_is_not_deleted(admin, cast):
    make_rule(cast.sales, action=RuleAction.ASSIGN_QUEUE, target_queue_id=cast.queue.id)
    db.session.commit()
    path, confirmed = f"/settings/queues/{cast.queue.id}", {"confirm_name": "General"}
    answer = admin.post(f"{path}/delete", data=confirmed, follow_redirects=True)
    assert answer.request.path == path
    assert "Switch it off" in answer.text
