"""What Meta takes and refuses, held against the simulator's own rules."""

from typing import Any

import pytest

from crm.simulator import checks
from crm.simulator.checks_template import match_template
from crm.simulator.errors import GraphError
from crm.simulator.seed import TEMPLATES
from tests.simulator.calls import ACCEPTED, REFUSED, Row, template


def check(body: Any) -> None:
    """All checks of a call, receipts included."""
    body = checks.check_envelope(body)
    if checks.is_receipt(body):
        checks.check_receipt(body)
    else:
        checks.check_send(body)


@pytest.mark.parametrize("name", ACCEPTED)
def test_it_accepts(name: str) -> None:
    check(ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_it_refuses_with_metas_code(name: str) -> None:
    body, code = REFUSED[name]
    with pytest.raises(GraphError) as refused:
        check(body)
    assert refused.value.code == code
    error = refused.value.body["error"]
    assert error["message"].startswith(f"(#{code})")
    assert error["type"] == "OAuthException"
    assert error["fbtrace_id"]


def find(name: str) -> Row:
    found = next(row for row in TEMPLATES if row["name"] == name)
    return {"status": "APPROVED", **found}


def content(name: str, *values: str, **more: Any) -> Row:
    found: Row = template(name, *values, **more)["template"]
    return found


def test_it_fills_a_template_with_its_values() -> None:
    text = match_template(content("seguimiento_pedido", "Ana", "A-7"), find("seguimiento_pedido"))
    assert text.startswith("Hola, Ana. Su pedido A-7 ya va en camino.")


def test_it_fills_named_values() -> None:
    call = content("retomar_conversacion")
    call["components"] = [
        {
            "type": "body",
            "parameters": [{"type": "text", "parameter_name": "nombre", "text": "Ana"}],
        }
    ]
    assert match_template(call, find("retomar_conversacion")).startswith("Hola, Ana.")


@pytest.mark.parametrize(
    ("call", "known", "code"),
    [
        (content("nadie", "Ana"), None, 132001),
        (content("seguimiento_pedido", "Ana"), "seguimiento_pedido", 132000),
        (content("seguimiento_pedido", "Ana", "A", "B"), "seguimiento_pedido", 132000),
        (content("seguimiento_pedido"), "seguimiento_pedido", 132000),
        (content("oferta_pausada"), "oferta_pausada", 132015),
        (content("retomar_conversacion", "Ana"), "retomar_conversacion", 132012),
        (content("seguimiento_pedido", "x" * 1000, "A"), "seguimiento_pedido", 132005),
    ],
)
def test_it_refuses_a_template_that_does_not_fit(call: Row, known: str | None, code: int) -> None:
    with pytest.raises(GraphError) as refused:
        match_template(call, find(known) if known else None)
    assert refused.value.code == code


def test_a_pending_template_counts_as_unknown() -> None:
    pending = {**find("seguimiento_pedido"), "status": "PENDING"}
    with pytest.raises(GraphError) as refused:
        match_template(content("seguimiento_pedido", "Ana", "A-7"), pending)
    assert refused.value.code == 132001
