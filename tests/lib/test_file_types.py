"""What a file is, by its bytes, and what it may be called."""

from __future__ import annotations

import pytest

from crm.lib.media import types
from tests import media


@pytest.mark.parametrize(
    ("head", "name", "mime"),
    [
        (media.gif_and_page(), "foto.html", "image/gif"),
        (media.SVG_WITH_SCRIPT, "logo.svg", "text/plain"),
        (b"<!doctype html><script>1</script>", "foto.jpg", "text/plain"),
        (b"\xff\xd8\xff\xe0" + b"x" * 20, "a.php.jpg", "image/jpeg"),
        (b"%PDF-1.7", "x", "application/pdf"),
        (b"PK\x03\x04....", "informe.docx", types._INSIDE["docx"][1]),
        (b"PK\x03\x04....", "informe.zip", "application/zip"),
        (b"MZ\x90\x00", "fotos.docx", "application/octet-stream"),
        ("año, ñandú".encode(), "a.csv", "text/plain"),
        ("año".encode("latin-1"), "a.txt", "text/plain"),
        (b"", "vacio", "application/octet-stream"),
        (b"\x00\x01", "a.txt", "application/octet-stream"),
    ],
)
def test_bytes_decide_what_a_file_is_and_its_name_only_within_a_family(head, name, mime):
    assert types.sniff(head, name=name) == mime


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("fac\x00tura.pdf", "factura.pdf"),
        ("factura\u202efdp.exe", "facturafdp.exe"),
        ("a\r\nSet-Cookie: x.pdf", "aSet-Cookie: x.pdf"),
        ("...", "archivo.pdf"),
        ("", "archivo.pdf"),
        (None, "archivo.pdf"),
        ("ñ" * 300 + ".pdf", "ñ" * 118 + ".pdf"),
        ("a" * 300, "a" * 200),
        ("\ud800.pdf", "\ufffd.pdf"),
    ],
)
def test_a_name_from_outside_harms_nobody(given, shown):
    name = types.clean_name(given, mime="application/pdf")
    assert name == shown
    assert len(name.encode()) <= 240
