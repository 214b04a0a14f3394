"""Demo data for an empty installation: a company, its people, and some days of conversations.

`load_demo` is the only way in. It refuses a database that somebody already uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import exists, select, text

from crm.db import db
from crm.errors import Conflict
from crm.models import Campaign, Chat, Client, User, WhatsappNumber
from crm.services.demo.house import ACCESS_TOKEN, add_phone, build_house
from crm.services.demo.phones import describe_phones
from crm.services.demo.props import Props, make_props
from crm.services.demo.stage import play_talks
from crm.services.demo.talks import TALKS

__all__ = [
    "Account",
    "NotEmpty",
    "describe_phones",
    "is_empty",
    "load_demo",
    "make_props",
]

# Two starts at once: the second waits here and then finds the database in use.
LOADING = 7_214_003_116


class NotEmpty(Conflict):
    code = "not_empty"
    message = "Demo data goes into an empty database only, and this one is in use."


@dataclass(frozen=True)
class Account:
    email: str
    role: str


def load_demo(
    password: str,
    *,
    encryption_keys: Sequence[str],
    access_token: str | None = None,
    gateway_url: str | None = None,
    props: Props | None = None,
) -> list[Account]:
    """Fill an empty database; all accounts get `password`. NotEmpty if it is in use.

    The numbers are the simulated WhatsApp's; `access_token` is for one that was started with
    another token than its usual one. They carry no app secret and no verify token of their own, so
    that those of the environment hold. With `gateway_url` (the simulated WPPConnect server) there
    is a number more, which speaks through a phone. `props` are the files that its people send
    (`make_props`, before the transaction); without them nobody finds these.
    """
    db.session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOADING})
    if not is_empty():
        raise NotEmpty
    token = access_token or ACCESS_TOKEN
    house = build_house(password=password, access_token=token, keys=encryption_keys)
    if gateway_url:
        add_phone(house, gateway_url=gateway_url, secret_key=token, keys=encryption_keys)
    play_talks(TALKS, house, props or {})
    return [Account(user.email, user.role.display_name) for user in house.people.values()]


def is_empty() -> bool:
    """Nobody has signed up, configured or written anything yet."""
    used = (
        select(User.id).where(~User.is_system),
        select(Campaign.id),
        select(WhatsappNumber.id),
        select(Client.id),
        select(Chat.id),
    )
    return not any(db.session.scalar(select(exists(query))) for query in used)
