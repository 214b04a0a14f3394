"""WPPConnect's refusals and what they mean for us: one table for send answers and failed acks.

Source: WPPConnect Server 2.10.4, recorded answers. It has no numbers for its errors: what counts
are the HTTP status, the word in `status` and a few fixed sentences. The reasons are English msgids
in plain words that say what to do: the agent reads them under a red tick, translated where they are
shown.
"""

from __future__ import annotations

from crm.providers.meta.codes import Meaning
from crm.providers.outbound import Effect

_P, _RETRY, _RATE, _CHANNEL, _UNKNOWN = (
    Effect.PERMANENT,
    Effect.RETRY,
    Effect.RATE,
    Effect.CHANNEL,
    Effect.UNKNOWN,
)
NO_ANSWER = "WhatsApp did not answer. Nobody knows whether the message was sent."

CODES: dict[str, Meaning] = {
    # 404 "Disconnected": nothing was sent; the number waits for its phone.
    "wpp_disconnected": Meaning(
        _CHANNEL, "The phone's WhatsApp session is not connected: connect it on the number's page."
    ),
    "wpp_token": Meaning(
        _CHANNEL,
        "The WPPConnect server refuses our key for this session: "
        "enter the secret key on the number's page.",
    ),
    # The connection was never made, or the body never left.
    "wpp_unreachable": Meaning(
        _RETRY, "The WPPConnect server cannot be reached. Try again in a few minutes."
    ),
    "wpp_not_there": Meaning(
        _CHANNEL, "There is no WPPConnect server at this address: correct it on the number's page."
    ),
    "wpp_inner_address": Meaning(
        _CHANNEL,
        "The WPPConnect server's address is inside the network and not allowed: "
        "name the host in CRM_TRUSTED_HOSTS.",
    ),
    # 400 "O número ... não existe": the server says so, and calls sendText all the same.
    "wpp_no_whatsapp": Meaning(
        _UNKNOWN, "This number has no WhatsApp: check it, or reach them another way."
    ),
    # 500 with an error in it: WhatsApp Web threw, and the text of a JavaScript error is lost. What
    # it threw after the message was in its outbox is sent.
    "wpp_error": Meaning(
        _UNKNOWN,
        "WhatsApp Web reported an error while sending. Nobody knows whether the message was sent.",
    ),
    # 201 with nothing in it, or an entry without an id: the server had nobody or nothing to send.
    "wpp_empty": Meaning(
        _P,
        "WhatsApp Web did not take this message. Try again; if it stays so, tell an administrator.",
    ),
    "wpp_bad_answer": Meaning(
        _UNKNOWN, "WhatsApp's answer made no sense. Nobody knows whether the message was sent."
    ),
    "wpp_no_answer": Meaning(_UNKNOWN, NO_ANSWER),
    "wpp_refused": Meaning(
        _P, "The WPPConnect server did not accept this message: send it in another way."
    ),
    "wpp_too_large": Meaning(
        _P, "The file is too large for the WPPConnect server: send a smaller one."
    ),
    "wpp_busy": Meaning(_RATE, "The WPPConnect server is busy. Try again in a few minutes.", 30.0),
    "wpp_no_template": Meaning(
        _P, "A number on WPPConnect has no templates: write the text itself."
    ),
    # The text of what WhatsApp Web threw is lost; mostly the time for it is over.
    "wpp_not_edited": Meaning(
        _P,
        "WhatsApp did not edit the message: it is perhaps too old. Write the correction instead.",
    ),
    "wpp_not_deleted": Meaning(_P, "WhatsApp did not delete the message: it is perhaps too old."),
    "wpp_file_missing": Meaning(_P, "The file of this message is gone: attach it again."),
    # Acks below zero: what WhatsApp Web says of a message that it had taken.
    "wpp_ack_failed": Meaning(
        _P, "The phone could not send this message. Try again; if it stays so, look at the phone."
    ),
    "wpp_ack_expired": Meaning(
        _P, "The phone was too long without a connection to send this. Try again once it has one."
    ),
    "wpp_ack_too_large": Meaning(_P, "WhatsApp found the file too large: send a smaller one."),
    "wpp_ack_gone": Meaning(
        _P, "The file was gone before WhatsApp could send it: attach it again."
    ),
}
ACKS: dict[int, str] = {
    -2: "wpp_ack_expired",
    -3: "wpp_ack_gone",
    -4: "wpp_ack_too_large",
}


def meaning_of(code: str) -> Meaning:
    return CODES.get(code, CODES["wpp_refused"])


def code_of_ack(ack: int) -> str:
    """The code of an ack below zero."""
    return ACKS.get(ack, "wpp_ack_failed")


def reason_for(code: str | None) -> str | None:
    """The msgid for a stored `messages.error_code`; None for a code that is not WPPConnect's."""
    meaning = CODES.get(code or "")
    return meaning.reason if meaning else None


def all_reasons() -> set[str]:
    """Every msgid of this table: the catalogs must know them."""
    return {meaning.reason for meaning in CODES.values()}
