"""A sheet of text and lines as a small PDF, with the fonts that every reader has.

For a page or two of plain paper: letter size, points from the top left, Latin-1 letters.
"""

from __future__ import annotations

from pathlib import Path

WIDE, HIGH = 612, 792
Colour = tuple[int, int, int]
# Helvetica's widths in thousandths of its size, for what is set to the right: figures.
WIDTHS = {".": 278, ",": 278, " ": 278, "-": 333, "%": 889}
DIGIT = 556


class Paper:
    """Write with `words` and `bar`, keep it with `save`."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._orders: list[str] = []

    def bar(self, left: float, top: float, wide: float, high: float, colour: Colour) -> None:
        """A filled rectangle; a thin one is a line."""
        self._orders.append(f"{_ink(colour)} {left} {HIGH - top - high} {wide} {high} re f")

    def words(
        self,
        left: float,
        top: float,
        text: str,
        size: float,
        colour: Colour,
        *,
        bold: bool = False,
        right: bool = False,
    ) -> None:
        """One line whose letters stand on `top`. `right`: it ends at `left` (figures only)."""
        if right:
            left -= sum(WIDTHS.get(letter, DIGIT) for letter in text) * size / 1000
        font = "F2" if bold else "F1"
        place = f"{left:.1f} {HIGH - top:.1f} Td"
        self._orders.append(f"BT /{font} {size} Tf {_ink(colour)} {place} ({_quoted(text)}) Tj ET")

    def save(self, path: Path) -> None:
        drawn = "\n".join(self._orders)
        fonts = [
            f"<</Type/Font/Subtype/Type1/BaseFont/{name}/Encoding/WinAnsiEncoding>>"
            for name in ("Helvetica", "Helvetica-Bold")
        ]
        parts = [
            "<</Type/Catalog/Pages 2 0 R>>",
            "<</Type/Pages/Kids[3 0 R]/Count 1>>",
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {WIDE} {HIGH}]/Contents 4 0 R"
            "/Resources<</Font<</F1 5 0 R/F2 6 0 R>>>>>>",
            f"<</Length {len(drawn)}>>\nstream\n{drawn}\nendstream",
            *fonts,
            f"<</Title({_quoted(self._title)})>>",
        ]
        path.write_bytes(_bound(parts).encode("cp1252", "replace"))


def _bound(parts: list[str]) -> str:
    """The parts numbered from one, and the table that says where each begins."""
    text, places = "%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(f"{len(text):010d} 00000 n \n")
        text += f"{number} 0 obj{part}\nendobj\n"
    count = len(parts) + 1
    table = f"xref\n0 {count}\n0000000000 65535 f \n{''.join(places)}"
    trailer = f"trailer<</Size {count}/Root 1 0 R/Info {len(parts)} 0 R>>"
    return f"{text}{table}{trailer}\nstartxref\n{len(text)}\n%%EOF\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def _ink(colour: Colour) -> str:
    return " ".join(f"{part / 255:.3f}" for part in colour) + " rg"
