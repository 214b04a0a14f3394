"""Meta's own OpenAPI document as a judge over `POST /messages`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_schema_validator import OAS31Validator

SPEC = (
    Path(__file__).resolve().parents[2] / "../shared/whatsapp/spec/meta-business-messaging-v23.yaml"
)


def read_document() -> dict[str, Any]:
    if not SPEC.is_file():
        pytest.fail(f"NOT CHECKED: Meta's OpenAPI document is not at {SPEC}.", pytrace=False)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: dict[str, Any] = yaml.load(SPEC.read_text(), Loader=loader)
    return document


def judge_of_messages() -> Callable[[Any], bool]:
    """Whether the document accepts a body of `POST /messages`."""
    document = read_document()
    schemas = document["components"]["schemas"]

    def validator(name: str) -> OAS31Validator:
        return OAS31Validator(
            {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        )

    # A message's schemas exclude each other by `type`: one instead of all twelve says the same.
    whole = validator("Message")
    by_type = {
        schemas[name]["allOf"][1]["properties"]["type"]["enum"][0]: validator(name)
        for name in (row["$ref"].rpartition("/")[2] for row in schemas["Message"]["anyOf"])
        if "allOf" in schemas[name]
    }

    def accepts(body: Any) -> bool:
        kind = body.get("type") if isinstance(body, dict) else None
        return bool(by_type.get(kind if isinstance(kind, str) else "", whole).is_valid(body))

    return accepts
