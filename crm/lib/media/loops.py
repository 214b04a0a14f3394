"""Moving pictures (GIF) as short films: what WhatsApp sends them as."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
from PIL import Image, ImageSequence

from crm.lib.media.pictures import MOST_PIXELS
from crm.lib.media.refusals import Still, TooLarge
from crm.lib.media.sounds import look_at_film

# Pixels of the longer side; frames at most; what is shorter (seconds) is shown again and again.
LONGEST_SIDE = 720
MOST_FRAMES = 600
SHORTEST = 3.0
# Browsers take a frame without a time, or with less than this, for a tenth of a second.
LEAST_MS, USUAL_MS = 20, 100


def make_loop(source: Path, folder: Path) -> dict[str, Any]:
    """An MP4 (H.264, no sound) of the moving picture, transparent parts white."""
    target = folder / "film.mp4"
    with Image.open(source, formats=["GIF"]) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise TooLarge
        if getattr(picture, "n_frames", 1) < 2:
            raise Still
        _encode(list(islice(_frames(picture), MOST_FRAMES)), target)
    return {"file": target.name, "mime": "video/mp4", **look_at_film(target, folder)}


def _frames(picture: Image.Image) -> Iterator[tuple[Image.Image, int]]:
    """(picture, milliseconds), of even measures as H.264 wants them."""
    scale = min(1.0, LONGEST_SIDE / max(picture.size))
    size = tuple(max(2, round(side * scale) // 2 * 2) for side in picture.size)
    for frame in ImageSequence.Iterator(picture):
        told = int(frame.info.get("duration") or 0)
        ground = Image.new("RGBA", frame.size, "white")
        shown = Image.alpha_composite(ground, frame.convert("RGBA")).convert("RGB")
        yield shown.resize(size, Image.Resampling.BILINEAR), told if told >= LEAST_MS else USUAL_MS


def _encode(frames: list[tuple[Image.Image, int]], target: Path) -> None:
    whole = sum(milliseconds for _, milliseconds in frames)
    times = max(1, -(-int(SHORTEST * 1000) // whole))
    with av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}) as film:
        stream: Any = film.add_stream("libx264", rate=25)
        stream.width, stream.height = frames[0][0].size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"preset": "veryfast", "crf": "26"}
        at = 0
        for picture, milliseconds in islice(cycle(frames), min(len(frames) * times, MOST_FRAMES)):
            frame = av.VideoFrame.from_image(picture)
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            film.mux(stream.encode(frame))
            at += milliseconds
        film.mux(stream.encode(None))
