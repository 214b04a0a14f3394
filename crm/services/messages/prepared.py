"""Statements that Postgres plans once per connection instead of at every call.

For the two that run for every set of deliveries: planning them takes as long as running them.
A plan made on an empty table is kept until the table is analysed, so that what grows (messages) is
looked up row by row, LATERAL with LIMIT: a set comparison would read the whole table each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult

from crm.db import db


@dataclass(frozen=True)
class Prepared:
    """A statement under a name, its parameters $1, $2, ... with their types, in order.

    PREPARE in SQL: the driver has no prepared statements of its own. It belongs to the connection
    and outlives a rollback, so that the connection's `info` can remember it.
    """

    name: str
    types: Mapping[str, str]
    sql: str

    def run(self, **values: Any) -> CursorResult[Any]:
        """Execute within the current transaction, preparing first where this connection has not."""
        connection = db.session.connection()
        if self.name not in connection.info:
            types = ", ".join(self.types.values())
            connection.exec_driver_sql(f"PREPARE {self.name} ({types}) AS {self.sql}")
            connection.info[self.name] = True
        marks = ", ".join(["%s"] * len(self.types))
        ordered = tuple(values[name] for name in self.types)
        return connection.exec_driver_sql(f"EXECUTE {self.name} ({marks})", ordered)
