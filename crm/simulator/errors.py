# ruff: noqa: E501  (the table of texts reads better with one code per line)
"""Meta's error shape and the errors that the simulator knows how to make.

Codes and titles follow Meta's error table. A code may answer a call (HTTP 4xx) or arrive later in
a `failed` status; both are built from the same row here.
"""

from typing import Any

from crm.simulator.wire import new_trace_id

HREF = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"

# code: (HTTP status, title, details)
KNOWN: dict[int, tuple[int, str, str]] = {
    1: (500, "An unknown error occurred", "Invalid request or possible server error."),
    2: (503, "Service temporarily unavailable", "Temporary due to downtime or due to being overloaded."),
    4: (400, "Application request limit reached", "The app has reached its API call rate limit."),
    10: (403, "Application does not have permission for this action", "Permission is either not granted or has been removed."),
    368: (403, "Temporarily blocked for policies violations", "The WhatsApp Business Account associated with the app has been restricted or disabled for violating a platform policy."),
    80007: (400, "Rate limit issues", "The WhatsApp Business Account has reached its rate limit."),
    130429: (400, "Rate limit hit", "Cloud API message throughput has been reached."),
    130472: (400, "User's number is part of an experiment", "Failed to send message because this user's phone number is part of an experiment"),
    131000: (500, "Something went wrong", "Message failed to send due to an unknown error."),
    131008: (400, "Required parameter is missing", "The request is missing a required parameter."),
    131009: (400, "Parameter value is not valid", "One or more parameter values are invalid."),
    131021: (400, "Recipient cannot be sender", "Sender and recipient phone number is the same."),
    131026: (400, "Message undeliverable", "Message Undeliverable."),
    131030: (400, "Recipient phone number not in allowed list", "Recipient phone number not in allowed list: Add recipient phone number to recipient list and try again."),
    131031: (403, "Business Account locked", "The WhatsApp Business Account associated with the app has been restricted or disabled for violating a platform policy."),
    131042: (402, "Business eligibility payment issue", "Message failed to send because there were one or more errors related to your payment method."),
    131045: (500, "Incorrect certificate", "Message failed to send due to a phone number registration error."),
    131047: (400, "Re-engagement message", "Message failed to send because more than 24 hours have passed since the customer last replied to this number."),
    131048: (400, "Spam rate limit hit", "Message failed to send because there are restrictions on how many messages can be sent from this phone number. This may be because too many previous messages were blocked or flagged as spam."),
    131049: (400, "This message was not delivered to maintain healthy ecosystem engagement.", "In order to maintain a healthy ecosystem engagement, the message failed to be delivered."),
    131050: (400, "User has stopped marketing messages", "Unable to deliver the message. This recipient has chosen to stop receiving marketing messages on WhatsApp from your business"),
    131051: (400, "Unsupported message type", "Message type is not currently supported."),
    131053: (400, "Media upload error", "Unable to upload the media used in the message."),
    131056: (400, "(Business Account, Consumer Account) pair rate limit hit", "Message failed to send because there were too many messages sent from this phone number to the same phone number in a short period of time."),
    131057: (500, "Account in maintenance mode", "Business Account is in maintenance mode"),
    132000: (400, "Number of parameters does not match the expected number of params", "The number of variable parameter values included in the request did not match the number of variable parameters defined in the template."),
    132001: (404, "Template name does not exist in the translation", "The template does not exist in the specified language or the template has not been approved."),
    132005: (400, "Translated text too long", "Translated text is too long."),
    132012: (400, "Parameter format does not match format in the created template", "Variable parameter values formatted incorrectly."),
    132015: (400, "Template is paused", "Template is paused due to low quality so it cannot be sent in a template message."),
    132016: (400, "Template is disabled", "Template has been paused too many times due to low quality and is now permanently disabled."),
    132018: (400, "There is an issue with the parameters in your template", "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"),
    133010: (400, "Phone number not registered", "Phone number not registered on the WhatsApp Business Platform."),
    135000: (400, "Generic user error", "Message failed to send because of an unknown error with your request parameters."),
}  # fmt: skip


class GraphError(Exception):
    """An answer that refuses; `status` is HTTP's, `body` the whole JSON object."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(error.get("message", ""))
        self.status = status
        self.body = {"error": {**error, "fbtrace_id": new_trace_id()}}

    @property
    def code(self) -> int:
        return int(self.body["error"]["code"])

    @property
    def details(self) -> str:
        data = self.body["error"].get("error_data") or {}
        return str(data.get("details") or self.body["error"]["message"])


def known_error(code: int, *, details: str = "") -> GraphError:
    """The error that Meta answers for a code of its table."""
    status, title, usual = KNOWN.get(code, (400, "Generic user error", "Request refused."))
    error: dict[str, Any] = {
        "message": f"(#{code}) {title}",
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": details or usual},
    }
    if code in {1, 2, 131000}:
        error["is_transient"] = True
    return GraphError(status, error)


def invalid_parameter(message: str) -> GraphError:
    """Code 100: the request itself is wrong; the text says where."""
    return GraphError(400, {"message": f"(#100) {message}", "type": "OAuthException", "code": 100})


def required(name: str) -> GraphError:
    """Code 100 for a parameter that is not there."""
    return invalid_parameter(f"The parameter {name} is required.")


def unknown_object(object_id: str, *, verb: str) -> GraphError:
    """Code 100, subcode 33: the id in the path is nobody's."""
    return GraphError(
        400,
        {
            "message": f"Unsupported {verb} request. Object with ID '{object_id}' does not exist, "
            "cannot be loaded due to missing permissions, or does not support this operation. "
            "Please read the Graph API documentation at "
            "https://developers.facebook.com/docs/graph-api",
            "type": "GraphMethodException",
            "code": 100,
            "error_subcode": 33,
        },
    )


def bad_token(*, expired: bool = False) -> GraphError:
    """Code 190: the bearer is missing, wrong or has expired."""
    message = "Invalid OAuth access token - Cannot parse access token"
    error: dict[str, Any] = {"message": message, "type": "OAuthException", "code": 190}
    if expired:
        error["message"] = (
            "Error validating access token: Session has expired on Monday, 23-Nov-26 09:00:00 PST."
            " The current time is Monday, 23-Nov-26 10:00:00 PST."
        )
        error["error_subcode"] = 463
    return GraphError(401, error)


def status_error(code: int, *, details: str = "") -> dict[str, Any]:
    """One entry of `errors` in a `failed` status."""
    _, title, usual = KNOWN.get(code, (400, "Generic user error", "Message failed to send."))
    return {
        "code": code,
        "title": title,
        "message": title,
        "error_data": {"details": details or usual},
        "href": HREF,
    }
