"""What has to be filled into a template before it leaves, and how it reads afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from crm.errors import Invalid
from crm.lib.text import clean
from crm.models import HeaderType, ParameterFormat, Template
from crm.providers.outbound import (
    BodyParameter,
    ButtonParameter,
    CopyCodeParameter,
    FilledTemplate,
    FlowParameter,
    HeaderParameter,
    Location,
    Media,
    MediaKind,
    TextParameter,
    UrlParameter,
)
from crm.services.messages.checks import LONGEST_BODY, LONGEST_LINE, check_content, length_of
from crm.services.templates import codes
from crm.services.templates.definition import MEDIA_HEADERS, VARIABLE, names_in, ordered_names
from crm.services.templates.typed import read_parameter, words_of

Json = dict[str, Any]
LONGEST_CODE = 15


@dataclass(frozen=True)
class Blank:
    """One thing to fill in. `part`: header, body, button; `kind`: text, file, place, code.

    `label` is the variable's name, its number, or the button's words; `address` what stands before
    the end of a web address that is filled in.
    """

    key: str
    part: str
    kind: str
    label: str
    example: str = ""
    address: str = ""


@dataclass(frozen=True)
class Filled:
    """A template ready to leave; `shown` is what the bubble draws: header, body, footer, buttons"""

    content: FilledTemplate
    shown: Json = field(repr=False)


def blanks_of(template: Template) -> list[Blank]:
    """In the order in which a person reads the template."""
    examples = template.examples or {}
    found = list(_header_blanks(template, str(examples.get("header") or "")))
    given = examples.get("body") or []
    labels = template.variables or []
    for at, name in enumerate(ordered_names(template.body_content, template.parameter_format)):
        label = labels[at] if at < len(labels) else name
        example = given[at] if at < len(given) else ""
        # A one-time code is neither an amount nor a date.
        kind = "code" if codes.is_code(template) else "text"
        found.append(Blank(f"body.{name}", "body", kind, str(label), str(example or "")))
    given = examples.get("buttons") or {}
    for at, button in enumerate(template.buttons or []):
        example = str(given.get(str(at)) or "")
        kind = str(button.get("type", "")).upper()
        if codes.is_code(template):
            # The code stands in the text and once more in the button.
            continue
        if kind == "URL" and names_in(button.get("url")):
            address = VARIABLE.sub("", button["url"])
            words, example = button["text"], example.removeprefix(address)
            found.append(Blank(f"button.{at}", "button", "text", words, example, address))
        elif kind == "COPY_CODE":
            words = button.get("text") or ""
            found.append(Blank(f"button.{at}", "button", "code", words, example))
    return found


def _header_blanks(template: Template, example: str) -> list[Blank]:
    match template.header_type:
        case HeaderType.TEXT:
            names = names_in(template.header_content)
            return [Blank("header", "header", "text", name, example) for name in names]
        case HeaderType.LOCATION:
            return [Blank("header", "header", "place", "LOCATION")]
        case HeaderType.IMAGE | HeaderType.VIDEO | HeaderType.DOCUMENT:
            return [Blank("header", "header", "file", template.header_type.value)]
        case _:
            return []


def fill(template: Template, values: Mapping[str, str], *, file: Media | None = None) -> Filled:
    """Put the values into their places. `file` is the header's picture, video or document.

    Keys are those of `blanks_of`; what stands in the text may be an amount or a moment (typed.py);
    a place takes header.latitude, header.longitude, header.name and
    header.address, a file without `file` a public https link. Raises Invalid for what is missing
    or too long.
    """
    given = {key: " ".join(clean(value).split()) for key, value in values.items()}
    for blank in blanks_of(template):
        if blank.kind in ("text", "code") and not given.get(blank.key):
            _refuse_empty(blank)
    if codes.is_code(template):
        given["body.1.kind"] = "text"
        if length_of(given["body.1"]) > LONGEST_CODE:
            raise Invalid("A code has at most %(limit)s characters.", limit=LONGEST_CODE)
    header, header_text = _fill_header(template, given, file)
    names = ordered_names(template.body_content, template.parameter_format)
    named = template.parameter_format == ParameterFormat.NAMED
    labels = {blank.key: blank.label for blank in blanks_of(template)}
    body: tuple[BodyParameter, ...] = tuple(
        read_parameter(
            f"body.{name}",
            given,
            label=labels[f"body.{name}"],
            language=template.language,
            name=name if named else None,
        )
        for name in names
    )
    said = {name: words_of(value) for name, value in zip(names, body, strict=True)}
    words = _put_in(template.body_content, said)
    if length_of(words) > LONGEST_BODY:
        raise Invalid("Filled in, the text has more than %(limit)s characters.", limit=LONGEST_BODY)
    content = FilledTemplate(
        name=template.template_name,
        language=template.language,
        header=header,
        body=body,
        buttons=tuple(_fill_buttons(template, given)),
    )
    shown = {
        "header": header_text,
        "header_type": template.header_type.value if template.header_type else None,
        "body": words,
        "footer": template.footer_content,
        "buttons": [
            {"type": button.get("type"), "text": button.get("text")}
            for button in template.buttons or []
        ],
    }
    return Filled(content, {key: value for key, value in shown.items() if value})


def _refuse_empty(blank: Blank) -> NoReturn:
    """What is not filled in, called as the screen calls it."""
    if blank.kind == "code":
        raise Invalid("Write the code.")
    if blank.part == "button":
        raise Invalid("Write the end of the address of “%(button)s”.", button=blank.label)
    if blank.part == "header":
        raise Invalid("Fill in the value of the header.")
    if blank.label.isdigit():
        raise Invalid("Fill in value %(number)s.", number=blank.label)
    raise Invalid("Fill in “%(label)s”.", label=blank.label)


def _put_in(text: str, values: Mapping[str, str]) -> str:
    return VARIABLE.sub(lambda match: values.get(match.group(1), match.group(0)), text)


def _fill_header(
    template: Template, given: Mapping[str, str], file: Media | None
) -> tuple[HeaderParameter | None, str | None]:
    kind = template.header_type
    if kind is HeaderType.TEXT:
        names = names_in(template.header_content)
        if not names:
            return None, template.header_content
        value = given["header"]
        words = _put_in(template.header_content or "", {names[0]: value})
        if length_of(words) > LONGEST_LINE:
            raise Invalid("Filled in, the header has more than %(limit)s characters.", limit=60)
        named = template.parameter_format == ParameterFormat.NAMED
        return TextParameter(value, names[0] if named else None), words
    if kind is HeaderType.LOCATION:
        place = _read_place(given)
        return place, place.name
    if kind in MEDIA_HEADERS:
        assert kind is not None
        return file or _read_link(MediaKind(kind.value.lower()), given.get("header", "")), None
    return None, None


def _read_place(given: Mapping[str, str]) -> Location:
    try:
        place = Location(
            float(given["header.latitude"].replace(",", ".")),
            float(given["header.longitude"].replace(",", ".")),
            given.get("header.name"),
            given.get("header.address"),
        )
    except (KeyError, ValueError):
        raise Invalid("Choose the place of the header.") from None
    if not (place.name and place.address):
        raise Invalid("The place of the header needs a name and an address.")
    checked: Location = check_content(place)
    return checked


def _read_link(kind: MediaKind, link: str) -> Media:
    if not link.startswith("https://"):
        raise Invalid("Choose the file of the header.")
    return Media(kind, link=link)


def _fill_buttons(template: Template, given: Mapping[str, str]) -> list[ButtonParameter]:
    found: list[ButtonParameter] = []
    for at, button in enumerate(template.buttons or []):
        value = given.get(f"button.{at}", "")
        if codes.is_code(template):
            # Meta lists it as a web address of its own; the code stands in the text and in it.
            found.append(UrlParameter(at, given["body.1"]))
            continue
        match str(button.get("type", "")).upper():
            case "URL" if names_in(button.get("url")):
                found.append(UrlParameter(at, value))
            case "COPY_CODE":
                if length_of(value) > LONGEST_CODE:
                    raise Invalid("A code has at most %(limit)s characters.", limit=LONGEST_CODE)
                found.append(CopyCodeParameter(at, value))
            case "FLOW":
                found.append(FlowParameter(at, template.template_name))
    return found
