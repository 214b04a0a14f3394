"""Column pieces that every model file shares."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import CheckConstraint, Enum, Numeric, text
from sqlalchemy.dialects.postgresql import JSONB

# The start of the transaction, as Postgres sees it. Rows of one transaction share it on purpose.
NOW = text("CURRENT_TIMESTAMP")

# Python's None is SQL NULL, never the JSON word `null`, which no `IS NULL` would find.
JsonB = JSONB(none_as_null=True)

# Pesos are long: the owner's DECIMAL(10,2) ends at ninety-nine million.
Money = Numeric(18, 2)


def choice(enum: type[StrEnum], length: int) -> Enum:
    """A VARCHAR in the database, a member of `enum` in Python.

    Not a Postgres ENUM type: a value could then never be removed, and adding one inside the
    transaction of a migration has traps of its own. The CHECK comes from `one_of`.
    """
    return Enum(
        enum,
        native_enum=False,
        create_constraint=False,
        length=length,
        values_callable=lambda members: [member.value for member in members],
    )


def one_of(column: str, enum: type[StrEnum]) -> CheckConstraint:
    """CHECK (column IN (...)), named `ck_<table>_<column>` by the naming convention."""
    values = ", ".join(f"'{member.value}'" for member in enum)
    return CheckConstraint(f"{column} IN ({values})", name=column)


def between(column: str, low: int, high: int) -> CheckConstraint:
    """CHECK (column BETWEEN low AND high), named like `one_of`."""
    return CheckConstraint(f"{column} BETWEEN {low} AND {high}", name=column)
