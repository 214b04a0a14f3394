"""The small checks that all message kinds share: text, object, known keys, media."""

from typing import Any

from crm.simulator.errors import invalid_parameter, known_error, required

Body = dict[str, Any]


def text(where: Body, name: str, *, path: str = "", needed: bool = False, longest: int = 0) -> None:
    """Refuse a parameter that is not text, too long, or empty although needed."""
    label = f"{path}['{name}']" if path else name
    value = where.get(name)
    if name not in where:
        if needed:
            raise required(label)
        return
    if not isinstance(value, str):
        raise invalid_parameter(f"Param {label} must be a string.")
    if needed and not value:
        raise required(label)
    if longest and len(value) > longest:
        raise invalid_parameter(f"Param {label} must be at most {longest} characters long.")


def part(body: Body, name: str) -> Body:
    """A parameter that must be an object."""
    value = body[name]
    if not isinstance(value, dict):
        raise invalid_parameter(f"Param {name} must be a JSON object.")
    return value


def only(where: Body, path: str, names: set[str]) -> None:
    """Refuse keys that Meta does not know."""
    unknown = set(where) - names
    if unknown:
        raise invalid_parameter(f'Unexpected key "{min(unknown)}" on param "{path}".')


def check_media_object(content: Body, path: str) -> None:
    """Exactly one of id and link; also used by headers of interactive and template messages."""
    if ("id" in content) == ("link" in content):
        raise known_error(
            131008 if "id" not in content else 131009,
            details=f"Exactly one of '{path}.id' and '{path}.link' is required.",
        )
    for name, longest in (("id", 0), ("link", 0), ("caption", 1024), ("filename", 240)):
        text(
            content,
            name,
            path=path,
            needed=name in ("id", "link") and name in content,
            longest=longest,
        )
    link = content.get("link")
    if link is not None and not link.lower().startswith(("http://", "https://")):
        raise invalid_parameter(f"Param {path}['link'] is not a valid URI.")
