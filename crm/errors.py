"""Domain errors: each carries its HTTP status and a message for people.

The message is an English msgid; the web door translates it. `code` is a short stable name for
logs, tests and scripts.
"""


class DomainError(Exception):
    """Something a person asked for cannot be done; nothing was changed."""

    http_status = 400
    code = "invalid"
    message = "That cannot be done."

    def __init__(self, message: str | None = None, **values: object) -> None:
        self.message = message or self.message
        self.values = values
        super().__init__(self.message % values if values else self.message)


class NotFound(DomainError):
    """It does not exist, or this person may not know that it does."""

    http_status = 404
    code = "not_found"
    message = "This does not exist, or you do not have access to it."


class Forbidden(DomainError):
    http_status = 403
    code = "forbidden"
    message = "You do not have permission to do this."


class Conflict(DomainError):
    """Somebody else was faster, or the thing is no longer in the state that was shown."""

    http_status = 409
    code = "conflict"
    message = "This has changed in the meantime. Look at it again."


class Invalid(DomainError):
    """Input that a person can mend."""

    http_status = 422
    code = "invalid_input"


class Unavailable(DomainError):
    """A part that we depend on is away; trying again later is right."""

    http_status = 503
    code = "unavailable"
    message = "The service is not available right now. Try again in a moment."
