"""Who wants advertising and who has said no.

Answers and service templates need no consent. Advertising (a template of Meta's category MARKETING)
needs `opt_in` with a date, and ends with a word of the customer's own.
"""

from __future__ import annotations

from typing import Any

from crm.lib.text import fold
from crm.models import Client, ConsentValue
from crm.providers.base import InboundMessage
from crm.services.messages.preferences import record_consent

# Meta's category of templates that advertise.
ADVERTISING = "MARKETING"
# Only as the whole message: "no quiero salir tarde" asks for something else.
OPT_OUT_WORDS = frozenset({"baja", "stop", "salir", "cancelar", "parar", "sair"})
# Whatever is longer is a sentence, and need not be folded to know it.
LONGEST_OPT_OUT = 40


def is_opt_out(text: str | None) -> bool:
    """Whether a message says nothing but that they want no more of it."""
    word = (text or "").strip(" \t\n.,;:!¡¿?\"'*_~")
    return len(word) <= LONGEST_OPT_OUT and fold(word) in OPT_OUT_WORDS


def apply_opt_out(client_id: int, message: InboundMessage) -> bool:
    """A customer's word that ends advertising, kept with its time and the message as proof.

    Answers go on. Inside the transaction that stores the message; twice is once.
    """
    if message.kind != "text" or not is_opt_out(message.content):
        # A tapped button that says "Cancelar" is about an appointment.
        return False
    record_consent(
        client_id,
        value=ConsentValue.STOP,
        at=message.sent_at,
        source="word",
        detail=f"{(message.content or '').strip()[:40]} ({message.whatsapp_message_id})",
    )
    return True


def has_agreed(client: Client) -> bool:
    """Whether advertising may be sent to them: they have said so, and when."""
    return client.opt_in and client.opt_in_date is not None


def is_unwanted(client: Client, template: dict[str, Any]) -> bool:
    """Advertising to somebody who has not agreed to it. `template`: the message's metadata."""
    return template.get("category") == ADVERTISING and not has_agreed(client)
