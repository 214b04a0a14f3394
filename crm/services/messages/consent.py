"""Who wants advertising and who has said no.

Answers and service templates need no consent. Advertising (a template of Meta's category MARKETING)
needs `opt_in` with a date, and ends with a word of the customer's own.
"""

from __future__ import annotations

from typing import Any

from crm.lib.text import fold
from crm.models import Client

# Only as the whole message: "no quiero salir tarde" asks for something else.
OPT_OUT_WORDS = frozenset({"baja", "stop", "salir", "cancelar", "parar", "sair"})


def is_opt_out(text: str | None) -> bool:
    """Whether a message says nothing but that they want no more of it."""
    return fold(text or "").strip(" \t\n.,;:!¡¿?\"'*_~") in OPT_OUT_WORDS


def is_unwanted(client: Client, template: dict[str, Any]) -> bool:
    """Advertising to somebody who has not agreed to it. `template`: the message's metadata."""
    agreed = client.opt_in and client.opt_in_date is not None
    return template.get("category") == "MARKETING" and not agreed
