"""The catalogs: `extract` brings new words into every .po, `compile` builds .mo, `check` judges.

English stands in the code as msgid. Beside what `_()` marks, words are taken from where the house
keeps them unmarked, because that code may not know Flask: the messages of domain errors and the
reasons of the providers' code tables. They are translated where they are shown.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages import pofile
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo

ROOT = Path(__file__).resolve().parent.parent
CRM = ROOT / "crm"
TRANSLATIONS = CRM / "translations"
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2"), ("templates/**.txt", "jinja2")]
OPTIONS = {
    pattern: {"silent": "false", "trimmed": "true"}
    for pattern in ("templates/**.html", "templates/**.txt")
}
KEYWORDS = {
    "_": None,
    "gettext": None,
    "_l": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
}
# Tables whose strings people read, by the name that they are assigned to.
WORD_TABLES = {
    "OURS",
    "BRIEF",
    "REFUSALS",
    "CLOSER",
    "NOTES",
    "EMPTY_WORDS",
    "LONG_WORDS",
    "MANAGEMENT_WORDS",
}
WORD_ATTRIBUTES = {"message", "error_message", "refused"}
WORD_CALLS = {
    "Meaning",
    "AlarmWords",
    "ReasonWords",
    "CheckWords",
    "Fault",
    "Reason",
    "ProviderError",
}
HEADERS_OF_NOBODY = tuple(
    f'"{name}:'
    for name in (
        "Report-Msgid-Bugs-To",
        "POT-Creation-Date",
        "PO-Revision-Date",
        "Last-Translator",
        "Language-Team",
        "Generated-By",
    )
)


def read_words() -> Catalog:
    """Every msgid of the code, without places: those would change with every edit."""
    catalog = Catalog(project="Charla", charset="utf-8")
    found = extract_from_dir(str(CRM), METHODS, OPTIONS, keywords=KEYWORDS, strip_comment_tags=True)
    for _file, _line, message, _comments, _context in found:
        catalog.add(message)
    for path in sorted(CRM.rglob("*.py")):
        if path.is_relative_to(CRM / "simulator"):
            continue  # the other side of the wire: its pages speak for themselves
        for word in unmarked_words(ast.parse(path.read_text("utf-8"))):
            catalog.add(word)
    return catalog


def unmarked_words(tree: ast.AST) -> Iterator[str]:
    """Messages of errors, in their class or where they are raised, and reasons in word tables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            yield from words_of_assignment(node)
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            if is_error_of_ours(node.exc.func):
                yield from sentences(node.exc.args[:1])
        elif isinstance(node, ast.Call) and name_of(node.func) in WORD_CALLS:
            yield from sentences(node.args)


def words_of_assignment(node: ast.Assign | ast.AnnAssign) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = {name_of(target) for target in targets}
    if names & WORD_TABLES and isinstance(node.value, ast.Dict):
        yield from sentences(node.value.values)
    elif names & WORD_ATTRIBUTES and node.value is not None:
        yield from sentences([node.value])


def is_error_of_ours(node: ast.AST) -> bool:
    """Errors that people see; ValueError and its kind are for us."""
    name = name_of(node)
    return bool(name) and name[0].isupper() and name in error_names()


def error_names() -> set[str]:
    """DomainError and every class below it, by name, read from the code."""
    if not _error_names:
        bases: dict[str, set[str]] = {}
        for path in CRM.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef):
                    bases[node.name] = {name_of(base) for base in node.bases}
        _error_names.add("DomainError")
        while more := {n for n, b in bases.items() if b & _error_names} - _error_names:
            _error_names.update(more)
    return _error_names


_error_names: set[str] = set()


def sentences(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value


def name_of(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def catalogs() -> Iterator[tuple[Path, Catalog]]:
    for path in sorted(TRANSLATIONS.glob("*/LC_MESSAGES/messages.po")):
        with path.open("rb") as source:
            yield path, pofile.read_po(source, locale=path.parts[-3])


def extract() -> int:
    words = read_words()
    for path, catalog in catalogs():
        catalog.update(words, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        save(path, catalog)
    return 0


def save(path: Path, catalog: Catalog) -> None:
    """Sorted, without places and dates: what two people add on one day merges by itself."""
    draft = io.BytesIO()
    pofile.write_po(draft, catalog, width=100, sort_output=True, no_location=True)
    kept = [
        line
        for line in draft.getvalue().decode("utf-8").strip().splitlines()
        if not line.startswith(HEADERS_OF_NOBODY)
    ]
    path.write_text("\n".join(kept) + "\n", "utf-8")


def compile_catalogs() -> int:
    for path, catalog in catalogs():
        with path.with_suffix(".mo").open("wb") as target:
            write_mo(target, catalog)
    return 0


def problems() -> list[str]:
    """What keeps a catalog from being complete; empty when all is well."""
    words = read_words()
    wanted = {message.id for message in words if message.id}
    found = []
    for path, catalog in catalogs():
        name = path.parts[-3]
        by_id = {message.id: message for message in catalog if message.id}
        missing = sorted(map(str, wanted - by_id.keys()))
        found += [f"{name}: not in the catalog: {word}" for word in missing]
        for message in by_id.values():
            strings = message.string if isinstance(message.string, tuple) else (message.string,)
            if message.fuzzy or not all(strings):
                found.append(f"{name}: not translated: {message.id}")
            found += [f"{name}: {error}: {message.id}" for error in message.check(catalog)]
    return found


def check() -> int:
    found = problems()
    print("\n".join(found) or "every catalog is complete")
    return 1 if found else 0


if __name__ == "__main__":
    commands = {"extract": extract, "compile": compile_catalogs, "check": check}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(f"usage: python scripts/translations.py {'|'.join(commands)}")
    sys.exit(commands[sys.argv[1]]())
