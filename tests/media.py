"""Real pictures, sounds and films, made when a test needs them."""

from __future__ import annotations

import io
import math
import struct
import zlib
from array import array
from pathlib import Path

import av
from av.audio.resampler import AudioResampler
from PIL import Image


def picture(
    path: Path, *, size: tuple[int, int] = (320, 200), tells: bool = False, quality: int = 85
) -> Path:
    """A picture whose format is the path's ending. With `tells` it lies on its side and says where
    and with what it was taken."""
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    if not tells:
        image.save(path, quality=quality)
        return path
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    exif[0x010F] = "Cámara de Ana"
    exif[0x8825] = {2: (4.0, 35.0, 53.0)}
    image.save(path, exif=exif, quality=quality)
    return path


def noise(path: Path, *, size: tuple[int, int]) -> Path:
    """A picture that hardly packs: large files in few pixels."""
    Image.effect_noise(size, 120).convert("RGB").save(path, quality=95)
    return path


def sound(path: Path, *, form: str, codec: str, seconds: float = 1.0, layout: str = "mono") -> Path:
    """A tone that swells and fades."""
    rate = 44100 if codec in {"libmp3lame", "aac"} else 48000
    if codec == "libopencore_amrnb":
        rate = 8000
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = layout
        resampler = AudioResampler(format=stream.format, layout=layout, rate=rate)
        count = rate // 10
        for tenth in range(round(seconds * 10)):
            loud = 20000 * (tenth % 10) / 10
            wave = [int(loud * math.sin(2 * math.pi * 440 * i / rate)) for i in range(count)]
            frame = av.AudioFrame(format="s16", layout="mono", samples=count)
            frame.planes[0].update(array("h", wave).tobytes())
            frame.sample_rate = rate
            for resampled in resampler.resample(frame):
                resampled.pts = None
                container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return path


def film(
    path: Path, *, form: str = "mp4", codec: str = "libx264", size: tuple[int, int] = (160, 120)
) -> Path:
    """Two seconds that go from dark to red."""
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for n in range(20):
            frame = av.VideoFrame.from_image(Image.new("RGB", size, (n * 12, 40, 40)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def moving(path: Path, *, frames: int = 4, size: tuple[int, int] = (121, 80)) -> Path:
    """A GIF of `frames` pictures, a tenth of a second each, half of each transparent."""
    pictures = []
    for number in range(frames):
        picture = Image.new("RGBA", size)
        picture.paste((250 - number * 40, 60, 40 * number), (0, 0, size[0] // 2, size[1]))
        pictures.append(picture)
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, disposal=2)
    return path


def huge_png() -> bytes:
    """50,000 x 50,000 pixels in a few kilobytes."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    packed = zlib.compress(b"\0" * 1_000_000)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", packed), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gif_and_page() -> bytes:
    """Begins as a GIF and goes on as a page with a script."""
    out = io.BytesIO()
    Image.new("P", (4, 4)).save(out, "GIF")
    return out.getvalue() + b"<html><script>document.title='run'</script></html>"


SVG_WITH_SCRIPT = (
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg">'
    b"<script>document.title='run'</script></svg>"
)


def paper(path: Path, *, pages: int = 1, size: tuple[int, int] = (612, 792)) -> Path:
    """A PDF: the first page is red, the others are blue."""
    first, *others = (
        Image.new("RGB", size, "#c02020" if n == 0 else "#2020c0") for n in range(pages)
    )
    first.save(path, "PDF", save_all=True, append_images=others)
    return path


def bound(*parts: bytes, trailer: bytes = b"") -> bytes:
    """A PDF of these objects, numbered from one; the first is the catalogue."""
    content, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(b"%010d 00000 n \n" % len(content))
        content += b"%d 0 obj%s\nendobj\n" % (number, part)
    count = len(parts) + 1
    table = b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, b"".join(places))
    end = b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n"
    return content + table + end % (count, trailer, len(content))


def page(
    orders: bytes,
    *more: bytes,
    box: bytes = b"0 0 612 792",
    names: bytes = b"",
    filters: bytes = b"",
) -> tuple[bytes, ...]:
    """The objects of a PDF of one page. `more` begin with number 5, `names` its words for them."""
    return (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents 4 0 R/Resources<</XObject<<%s>>>>>>"
        % (box, names),
        stream(orders, filters),
        *more,
    )


def stream(content: bytes, keys: bytes = b"") -> bytes:
    return b"<</Length %d%s>>\nstream\n%s\nendstream" % (len(content), keys, content)
