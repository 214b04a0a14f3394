"""Rules of templates and static files: the strict policy holds, nothing slips past escaping."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from crm.blueprints.shipping import ship

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "crm" / "templates").rglob("*.html"))
STATIC = ROOT / "crm" / "static"
KILOBYTE = 1024

FORBIDDEN = {
    "an inline style": re.compile(r"<style\b|\sstyle\s*=", re.IGNORECASE),
    "an inline script": re.compile(r"<script(?![^>]*\bsrc=)", re.IGNORECASE),
    "a handler in an attribute": re.compile(r"\son[a-z]+\s*=\s*[\"']", re.IGNORECASE),
    "a javascript: address": re.compile(r"javascript:", re.IGNORECASE),
    # Under the policy these three do nothing, silently.
    "hx-on": re.compile(r"\bhx-on\b"),
    "computed values or headers": re.compile(r"hx-(vals|headers)[^=]*=\s*[\"'](js|javascript):"),
    "a filter in a trigger": re.compile(r"hx-trigger\s*=\s*[\"'][^\"']*\["),
    "escaping switched off": re.compile(r"\|\s*safe\b|{%-?\s*autoescape\s+false"),
    "a foreign address for a resource": re.compile(
        r"<(?:script|link|img|iframe|source|video|audio)\b[^>]*\b(?:src|href)=[\"'](?:https?:)?//"
    ),
}


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", TEMPLATES, ids=names(TEMPLATES))
@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_template_holds(path: Path, what: str):
    found = FORBIDDEN[what].search(path.read_text("utf-8"))
    assert not found, f"{what}: {found[0]}"


def test_the_guard_sees_what_it_forbids():
    bad = {
        "an inline style": '<p style="color:red">',
        "an inline script": "<script>go()</script>",
        "a handler in an attribute": '<a onclick="go()">',
        "a javascript: address": '<a href="javascript:go()">',
        "hx-on": '<a hx-on:click="go()">',
        "computed values or headers": """<a hx-vals='js:{a: 1}'>""",
        "a filter in a trigger": '<a hx-trigger="click[ctrlKey]">',
        "escaping switched off": "{{ name|safe }}",
        "a foreign address for a resource": '<img src="https://x.example/a.png">',
    }
    assert bad.keys() == FORBIDDEN.keys()
    for what, text in bad.items():
        assert FORBIDDEN[what].search(text), what


@pytest.mark.parametrize("path", TEMPLATES, ids=names(TEMPLATES))
def test_every_form_that_changes_something_carries_its_token(path: Path):
    for form in re.findall(r"<form\b.*?</form>", path.read_text("utf-8"), re.DOTALL):
        if 'method="post"' in form:
            assert "csrf_token" in form, form[:120]


def test_every_icon_that_is_used_is_in_the_sprite_and_the_other_way_round():
    sprite = (STATIC / "img" / "icons.svg").read_text("utf-8")
    has = set(re.findall(r'<symbol id="([^"]+)"', sprite))
    text = "\n".join(path.read_text("utf-8") for path in TEMPLATES)
    used = set(re.findall(r'\bicon\("([\w-]+)"', text)) | set(
        re.findall(r"icons_url }}#([\w-]+)", text)
    )
    used |= set(re.findall(r'\bempty\("([\w-]+)"', text))
    used |= set(re.findall(r'chip\([^)]*?"(?:|warn|bad|brand)", "([\w-]+)"', text))
    kinds = re.search(r"macro kind_icon.*?{%- endmacro", text, re.DOTALL)[0]
    used |= set(re.findall(r'": "([\w-]+)"', kinds)) | set(re.findall(r'string, "([\w-]+)"', kinds))
    assert used <= has, f"not in the sprite: {sorted(used - has)}"


def test_what_is_vendored_is_what_the_lock_says():
    lock = json.loads((STATIC / "vendor" / "lock.json").read_text("utf-8"))
    for name, digest in lock["files"].items():
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest, name
    vendored = {
        str(path.relative_to(STATIC)) for path in (STATIC / "vendor").iterdir() if path.is_file()
    }
    assert vendored - {"vendor/lock.json"} <= set(lock["files"])
    pinned = json.loads((ROOT / "frontend" / "package.json").read_text("utf-8"))["dependencies"]
    assert lock["packages"] == pinned
    licences = (STATIC / "vendor" / "LICENCES.txt").read_text("utf-8")
    assert all(f"{name} {version}" in licences for name, version in pinned.items())


def test_every_module_that_a_template_names_exists():
    text = "\n".join(path.read_text("utf-8") for path in TEMPLATES)
    named = set(re.findall(r'data-(?:module|needs)="([^"]*)"', text))
    assert named, "no template names a module any more: take lazy.js away"
    missing = {name for name in named if not (STATIC / "js" / f"{name}.js").is_file()}
    assert not missing, f"no such file in static/js: {missing}"


def packed(*paths: Path) -> int:
    """Bytes over the wire: as `shipping` prepares them."""
    found = [path.with_name(f"{path.name}.gz") for path in paths]
    return sum((gz if gz.exists() else gz.with_suffix("")).stat().st_size for gz in found)


def modules_of(entry: Path) -> set[Path]:
    """The module and all that it imports, and they import."""
    found, waiting = set(), [entry]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            names = re.findall(r'(?:from|import) "\./([\w.-]+)"', path.read_text("utf-8"))
            waiting += [path.parent / name for name in names]
    return found


def test_the_first_load_stays_within_its_budget(tmp_path: Path):
    static = ship(STATIC, into=tmp_path, version="v")
    own = modules_of(static / "js" / "app.js") | modules_of(static / "js" / "live.js")
    sizes = ", ".join(f"{path.name} {packed(path)}" for path in sorted(own))
    assert packed(*own) <= 20 * KILOBYTE, (
        f"{packed(*own)} bytes of our own script on the inbox's first load: {sizes}. Move what it "
        "does not need at once into a module that data-module or data-needs brings (js/lazy.js)."
    )
    assert packed(static / "css" / "app.css") <= 20 * KILOBYTE
    assert packed(static / "img" / "icons.svg") <= 5 * KILOBYTE
    vendored = [static / "vendor" / name for name in ("htmx.min.js", "tinykeys.js")]
    everything = packed(*own, *vendored, static / "css" / "app.css", static / "img" / "icons.svg")
    # Beside it comes the page itself, 25 KB at most.
    assert everything <= 75 * KILOBYTE
