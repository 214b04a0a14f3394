"""Who may import whom: the table of the house, read from the files themselves."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
CRM = ROOT / "crm"

# room -> the rooms of `crm` it may import. `crm/application.py` joins all and may import all.
MAY_IMPORT: dict[str, set[str]] = {
    "lib": {"lib"},
    "errors": set(),
    "log": set(),
    "config": {"lib"},
    "extensions": {"config", "lib"},
    "db": {"config", "lib"},
    "models": {"db", "lib", "errors", "models"},
    "providers": {"lib", "errors", "providers"},
    "events": {"db", "extensions", "lib"},
    "doorbell": {"db", "extensions", "lib"},
    "services": {"models", "db", "providers", "events", "doorbell", "lib", "errors", "services"}
    # Read side and routing ask the one rule of who sees and answers what; doctor looks at settings.
    | {"permissions", "config", "extensions"},
    "permissions": {"models", "db", "errors"},
    "forms": {"models", "lib", "forms"},
    "simulator": {"simulator"},
    "embedded": {"embedded_guard"},
    "embedded_guard": set(),
}
DOOR = {
    "services", "models", "permissions", "events", "doorbell", "db", "extensions", "config",
    "errors", "lib", "log",
}  # fmt: skip
MAY_IMPORT |= {
    "blueprints": DOOR | {"forms", "blueprints"},
    "jobs": DOOR | {"jobs"},
    "realtime": DOOR | {"realtime"},
    "cli": DOOR,
    # `make run`: the place where the servers, the supervisor and the settings come together.
    "local": DOOR | {"local", "embedded", "jobs", "crm"},
}
# Single files that hold one thing more than their room, and why.
EXCEPTIONS = {
    # The route checks the signature and parses before anything is stored.
    "blueprints/webhooks.py": {"providers"},
    # A job makes the provider's client and hands it to the service.
    "jobs/messages.py": {"providers"},
    # And this one makes the call.
    "jobs/calls.py": {"providers"},
    "jobs/media.py": {"providers"},
    # It asks the server about sessions and history, between the services' transactions.
    "jobs/wppconnect.py": {"providers"},
    # A worker is a process of its own: it makes its application.
    "jobs/worker.py": {"crm"},
    "jobs/clock.py": {"crm"},
}
NEVER_FLASK = {"lib", "errors", "config", "models", "providers", "events", "services"}


def room_of(path: Path) -> str:
    parts = path.relative_to(CRM).parts
    return parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Absolute dotted names that a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            if node.module == "crm":
                names |= {f"crm.{alias.name}" for alias in node.names}
            else:
                names.add(node.module or "")
    return names


def sources() -> list[Path]:
    top = {CRM / "__init__.py", CRM / "application.py"}
    return [path for path in sorted(CRM.rglob("*.py")) if path not in top]


def test_every_room_imports_only_what_the_table_allows() -> None:
    wrong = []
    for path in sources():
        room = room_of(path)
        inside = path.relative_to(CRM).as_posix()
        assert room in MAY_IMPORT, f"crm/{inside}: a new room; give it a row in {__file__}"
        allowed = MAY_IMPORT[room] | EXCEPTIONS.get(inside, set())
        for name in imports_of(path):
            parts = name.split(".")
            if parts[0] != "crm":
                continue
            target = parts[1] if len(parts) > 1 and (is_room(parts[1])) else "crm"
            if target not in allowed and target != room:
                wrong.append(f"crm/{inside} imports {name}; {room} may import {sorted(allowed)}")
    assert not wrong, "\n".join(wrong)


def test_the_domain_knows_no_web_framework() -> None:
    wrong = [
        f"crm/{path.relative_to(CRM)} imports {name}"
        for path in sources()
        if room_of(path) in NEVER_FLASK
        for name in imports_of(path)
        if name.split(".")[0] in {"flask", "flask_login", "werkzeug"}
        # The mix-in that makes a row a signed-in person; it touches no request.
        and (room_of(path), name) != ("models", "flask_login")
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_in_the_house_is_called_utils_or_helpers() -> None:
    assert not [path for path in sources() if path.stem in {"utils", "helpers", "misc", "common"}]


def is_room(name: str) -> bool:
    return (CRM / name).is_dir() or (CRM / f"{name}.py").is_file()
