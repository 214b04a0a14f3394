"""Static files as they are served."""

import gzip
from pathlib import Path

from flask import Flask

from crm.blueprints.assets import STATIC, version, versioned_path
from crm.blueprints.shipping import lighten, ship


def test_comments_that_fill_a_line_stay_at_home_and_code_does_not():
    source = """// why
import "./a.js"; // kept
/** what
 *  it does */
const url = "https://x.example//y"; /* kept */
  const text = `a // b`;
"""
    assert lighten(source, ".js") == (
        'import "./a.js"; // kept\n'
        'const url = "https://x.example//y"; /* kept */\n'
        "const text = `a // b`;\n"
    )
    assert lighten("/* a\n b */\n.x {\n  color: red; /* c */\n}\n", ".css") == (
        ".x {\ncolor: red; \n}\n"
    )


def test_our_files_hold_no_comment_sign_that_would_be_mistaken():
    """A line of a template string that looks like a comment would be dropped: there is none."""
    for path in (STATIC / "js").glob("*.js"):
        for text in path.read_text("utf-8").split("`")[1::2]:
            assert "\n" not in text or not any(
                line.strip().startswith(("//", "/*")) for line in text.splitlines()
            ), path.name


def test_every_file_is_shipped_once_for_a_version(tmp_path: Path):
    first = ship(STATIC, into=tmp_path, version="v1")
    made = {path.relative_to(first): path.stat().st_mtime_ns for path in first.rglob("*")}
    assert ship(STATIC, into=tmp_path, version="v1") == first
    assert made == {path.relative_to(first): path.stat().st_mtime_ns for path in first.rglob("*")}
    for path in STATIC.rglob("*"):
        if path.is_file():
            assert (first / path.relative_to(STATIC)).is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]


def test_where_nothing_may_be_written_the_files_are_served_as_they_are(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert ship(STATIC, into=blocked, version="v1") == STATIC


def test_a_browser_gets_them_compressed_and_for_ever(app: Flask):
    address = f"{versioned_path()}/css/app.css"
    client = app.test_client()
    packed = client.get(address, headers={"Accept-Encoding": "gzip"})
    plain = client.get(address)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert "immutable" in packed.headers["Cache-Control"]
    assert packed.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert version() in address
