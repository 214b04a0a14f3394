"""The demo's accounts, for the welcome: who may sign in, and whether one password still opens all.

Asked by plain SQL, as in servers.py: a start that finds everything in place need not load the
application for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass

import psycopg2

from crm.lib.passwords import verify_password
from crm.local.servers import libpq_url

FIND = """
    SELECT u.email, r.display_name, u.password_hash FROM users u JOIN roles r ON r.id = u.role_id
    WHERE u.email LIKE '%@demo.charla.local' AND u.deleted_at IS NULL ORDER BY u.id
"""


@dataclass(frozen=True)
class DemoAccounts:
    """(e-mail, role) of each, as they are introduced. Without demo data there is nobody to name."""

    people: tuple[tuple[str, str], ...] = ()
    password: str | None = None

    def lines(self) -> list[str]:
        if not self.people:
            return ["No demo accounts: this database was in use before Charla could fill it."]
        if self.password is None:
            first = "Password      changed since the demo data was loaded"
        else:
            first = f"Password      {self.password}   (the same for all)"
        wide = max(len(email) for email, _ in self.people)
        rows = [f"{email:<{wide}}   {role}" for email, role in self.people]
        return [f"Sign in as    {rows[0]}", *(f"{'':14}{row}" for row in rows[1:]), first]


def find_accounts(environment: Mapping[str, str], passwords: Iterable[str]) -> DemoAccounts:
    """Those that are there still, with the first of `passwords` that opens them all."""
    connecting = psycopg2.connect(libpq_url(environment), connect_timeout=5)
    with closing(connecting) as connection, connection.cursor() as cursor:
        cursor.execute(FIND)
        rows = cursor.fetchall()
    hashes = [password_hash for *_, password_hash in rows]
    opening = (
        word
        for word in dict.fromkeys(passwords)
        if hashes and all(verify_password(word, hashed) for hashed in hashes)
    )
    return DemoAccounts(tuple((email, role) for email, role, _ in rows), next(opening, None))
