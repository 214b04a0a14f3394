"""A pen for pictures that are drawn by a program: smooth shapes, soft shadows, plain words.

Everything is drawn larger than it will be and made smaller at the end (`finished`), which gives
smooth edges without another library. Measures are those of the finished picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]
FINE = 2


class Pen:
    """Draws in plain measures on a surface that is FINE times as large.

    Pillow's own letters have no accents, so the pictures do without.
    """

    def __init__(
        self,
        image: Image.Image | None = None,
        *,
        draw: ImageDraw.ImageDraw | None = None,
        at: tuple[float, float] = (0, 0),
        size: float = 1.0,
    ) -> None:
        assert image or draw, "a pen needs something to draw on"
        self._draw = draw or ImageDraw.Draw(image)  # type: ignore[arg-type]
        self._at, self._scale = at, size * FINE

    def _points(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """A place is counted from the pen's own corner, in the pen's own size."""
        left, top = (value * FINE for value in self._at)
        return [(left + x * self._scale, top + y * self._scale) for x, y in points]

    def _frame(self, box: Box) -> list[tuple[float, float]]:
        return self._points([box[:2], box[2:]])

    def shape(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        self._draw.polygon(self._points(points), fill=colour)

    def box(self, box: Box, colour: Colour) -> None:
        self._draw.rectangle(self._frame(box), fill=colour)

    def round(self, box: Box, radius: float, colour: Colour) -> None:
        self._draw.rounded_rectangle(self._frame(box), radius * self._scale, fill=colour)

    def oval(self, box: Box, colour: Colour) -> None:
        self._draw.ellipse(self._frame(box), fill=colour)

    def dot(self, middle: tuple[float, float], radius: float, colour: Colour) -> None:
        x, y = middle
        self.oval((x - radius, y - radius, x + radius, y + radius), colour)

    def curve(self, points: Sequence[tuple[float, float]], width: float, colour: Colour) -> None:
        self._draw.line(self._points(points), colour, round(width * self._scale), joint="curve")

    def arc(
        self,
        box: Box,
        colour: Colour,
        width: float,
        *,
        start: float = -90,
        end: float = 90,
        whole: bool = False,
    ) -> None:
        start, end = (0, 360) if whole else (start, end)
        self._draw.arc(self._frame(box), start, end, fill=colour, width=round(width * self._scale))

    def words(
        self,
        at: tuple[float, float],
        words: str,
        size: float,
        colour: Colour,
        *,
        bold: bool = False,
        right: bool = False,
        middle: float = 0,
    ) -> None:
        """`right`: they end at `at`; `middle`: they stand in the middle of that width."""
        font = ImageFont.load_default(round(size * self._scale))
        weight = size * self._scale / 34 if bold else 0
        x, y = self._points([at])[0]
        long = self._draw.textlength(words, font)
        if right:
            x -= long
        elif middle:
            x += (middle * self._scale - long) / 2
        self._draw.text((x, y), words, colour, font, stroke_width=weight, stroke_fill=colour)


def lit(colour: Colour, more: int = 30) -> Colour:
    red, green, blue = (min(255, value + more) for value in colour)
    return red, green, blue


def ground(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    """A surface that grows darker downwards."""
    fall = Image.linear_gradient("L").resize((size[0] * FINE, size[1] * FINE))
    return Image.composite(
        Image.new("RGB", fall.size, bottom), Image.new("RGB", fall.size, top), fall
    )


def shadow(image: Image.Image, box: Box) -> None:
    """A soft one, drawn small: a blur of a large picture is slow."""
    small = Image.new("L", (image.width // 8, image.height // 8))
    ImageDraw.Draw(small).ellipse([value * FINE / 8 for value in box], fill=130)
    mask = small.filter(ImageFilter.GaussianBlur(3)).resize(image.size, Image.Resampling.BILINEAR)
    image.paste((60, 40, 30), mask=mask)


def finished(image: Image.Image) -> Image.Image:
    return image.resize((image.width // FINE, image.height // FINE), Image.Resampling.BOX)


def save(image: Image.Image, path: Path, *, quality: int = 84) -> None:
    finished(image).save(path, quality=quality)
