"""What a hostile or broken client sends is answered, never fallen over."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from flask import Flask
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from crm.db import atomic
from tests.guards.test_matrix import ENDS_THE_TEST, LAST
from tests.guards.world import OWN, make_world
from tests.people import csrf_of, enter

HUGE = "99999999999999999999"
# Every name that a list, a page of one or a filter reads from its address, each with nonsense.
NAMES = (
    "q", "page", "sort", "cursor", "before", "tab", "status", "campaign_id", "agent_id",
    "number_id", "tag", "from", "until", "since", "day", "hour", "provider", "kind", "person",
    "template_id", "client_id",
)  # fmt: skip
NONSENSE = ("\0", HUGE, "2026-13-45")
FORMS: tuple[dict[str, str | list[str]], ...] = (
    {"name": "\0", "text": "\0", "reason": "\0", "target": "\0", "code": "\0", "phone": "\0"},
    {"name": "x" * 5000, "text": "y" * 50000, "ids": [HUGE, "x", "-1"], "chats": [HUGE, "x"]},
    {"id": HUGE, "agent_id": HUGE, "queue_id": "x", "campaign_id": HUGE, "client_key": "x"},
)


def path_of(rule: Rule, values: dict[str, str]) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda match: values[match[1]], rule.rule)


def test_no_door_falls_over_odd_input(app: Flask) -> None:
    with atomic():
        world = make_world("super_admin")
    client = enter(app, world.person)
    client.environ_base["HTTP_X_CSRFTOKEN"] = csrf_of(client, "/profile")

    # In turn as a page and as a fragment of it: the frame around a page reads nothing of all this,
    # and takes longer than what does.
    ways = itertools.cycle(({}, {"HX-Request": "true"}, {"HX-Request": "true"}))

    def asked(rule: Rule) -> Iterator[tuple[str, TestResponse]]:
        known = path_of(rule, {name: str(world.ids[OWN].get(name, 1)) for name in rule.arguments})
        odd = {path_of(rule, dict.fromkeys(rule.arguments, value)) for value in (HUGE, "%00")}
        if "GET" in (rule.methods or ()):
            for value in NONSENSE:
                yield (
                    f"{known} {value!r}",
                    client.get(known, query_string=dict.fromkeys(NAMES, value), headers=next(ways)),
                )
            for path in odd - {known}:
                yield path, client.get(path, headers=next(ways))
        if "POST" in (rule.methods or ()):
            for form in FORMS:
                yield f"{known} {str(form)[:30]}", client.post(known, data=form, headers=next(ways))
            for path in odd - {known}:
                yield path, client.post(path, headers=next(ways))

    fell = [
        f"{answer.status_code} {where}"
        for rule in app.url_map.iter_rules()
        if not rule.websocket and rule.endpoint not in {"static"} | ENDS_THE_TEST | LAST
        for where, answer in asked(rule)
        # Read to its end: a stream may fall over on its way.
        if answer.get_data() is not None and answer.status_code >= 500 and answer.status_code != 503
    ]
    assert not fell, "\n".join(fell)
