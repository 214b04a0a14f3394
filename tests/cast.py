"""The people and the places that most tests are about, always the same.

Laura and Jhon answer the campaign "Ventas", Marta supervises it, Ana is the super_admin.
"""

from __future__ import annotations

from dataclasses import dataclass

from crm.models import Campaign, Queue, User, WhatsappNumber
from tests.factories import link_agent, make_campaign, make_number, make_queue, make_user


@dataclass(frozen=True)
class Cast:
    sales: Campaign
    number: WhatsappNumber
    queue: Queue
    laura: User
    jhon: User
    marta: User
    admin: User


def make_cast() -> Cast:
    """Flushed, not committed: `db.session.commit()` where another connection must see them."""
    sales = make_campaign(name="Ventas", code="VENTAS")
    number = make_number(
        campaign=sales,
        phone_number="+576015550101",
        display_name="Línea Ventas",
        meta_phone_number_id="100000000000001",
    )
    cast = Cast(
        sales=sales,
        number=number,
        queue=make_queue(sales, name="General"),
        laura=make_user(email="laura@example.com", first_name="Laura", last_name="Gómez"),
        jhon=make_user(email="jhon@example.com", first_name="Jhon", last_name="Restrepo"),
        marta=make_user(
            role="supervisor", email="marta@example.com", first_name="Marta", last_name="Ríos"
        ),
        admin=make_user(
            role="super_admin", email="ana@example.com", first_name="Ana", last_name="Duarte"
        ),
    )
    for person in (cast.laura, cast.jhon, cast.marta):
        link_agent(sales, person)
    return cast
