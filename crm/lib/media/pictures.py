"""Pictures, by Pillow: measures, thumbnails, and what an agent's picture becomes on its way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from crm.lib.media.refusals import TooLarge

MOST_PIXELS = 40_000_000
# Shown at 320 CSS pixels at most; twice that for fine screens.
THUMBNAIL = 640
# Of a person: shown at 72 px, twice that for dense screens.
PORTRAIT_THUMBNAIL = 144
# WhatsApp shows no more; a phone's 50 megapixels would only cost the customer's data.
LONGEST_SIDE = 4096
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# Parts of a file that tell about the camera, its place and its owner.
TELLING = ("exif", "xmp", "photoshop", "comment", "XML:com.adobe.xmp", "Raw profile type exif")


def look(source: Path, folder: Path) -> dict[str, Any]:
    """Measures as a person sees it (turned upright), and the thumbnail."""
    with _open(source) as image:
        animated = getattr(image, "n_frames", 1) > 1
        upright = _upright(image)
    _thumbnail(upright, folder)
    return {"width": upright.width, "height": upright.height, "animated": animated}


def make(source: Path, folder: Path, *, most: int) -> dict[str, Any]:
    """The picture ready to leave: JPEG or PNG, upright, nothing told beside the pixels, in size."""
    with _open(source) as image:
        kind = image.format
        untouched = _may_stay(image, source, most)
        upright = _upright(image)
    if untouched:
        target = folder / f"picture.{'png' if kind == 'PNG' else 'jpg'}"
        target.write_bytes(source.read_bytes())
    else:
        target = _write(upright, folder, most=most)
    _thumbnail(upright, folder)
    mime = "image/png" if target.suffix == ".png" else "image/jpeg"
    return {"file": target.name, "mime": mime, "width": upright.width, "height": upright.height}


def portrait(source: Path, folder: Path, *, side: int) -> dict[str, Any]:
    """The middle of the picture as a square JPEG, written anew whatever came; never enlarged."""
    with _open(source) as image:
        upright = _upright(image)
    if upright.mode == "RGBA":
        ground = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(ground, upright)
    length = min(side, *upright.size)
    square = ImageOps.fit(upright.convert("RGB"), (length, length), Image.Resampling.LANCZOS)
    square.info = {}
    target = folder / "picture.jpg"
    square.save(target, "JPEG", quality=84, optimize=True)
    _thumbnail(square, folder, most=PORTRAIT_THUMBNAIL)
    return {"file": target.name, "mime": "image/jpeg", "width": length, "height": length}


def _open(source: Path) -> Image.Image:
    """Opened lazily: the size is looked at before anything is unpacked."""
    Image.MAX_IMAGE_PIXELS = None  # our own limit, which raises instead of warning
    image = Image.open(source, formats=FORMATS)
    if image.width * image.height > MOST_PIXELS:
        raise TooLarge
    return image


def _upright(image: Image.Image) -> Image.Image:
    # A JPEG can be unpacked smaller than it is, which saves most of the work of a thumbnail.
    if max(image.size) > LONGEST_SIDE:
        image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
    image.load()
    turned = ImageOps.exif_transpose(image)
    if turned.mode not in {"RGB", "RGBA", "L"}:
        has_alpha = turned.mode in {"LA", "PA"} or "transparency" in turned.info
        turned = turned.convert("RGBA" if has_alpha else "RGB")
    return turned


def _thumbnail(image: Image.Image, folder: Path, *, most: int = THUMBNAIL) -> None:
    small = image.copy()
    small.info = {}
    small.thumbnail((most, most), Image.Resampling.LANCZOS)
    small.save(folder / "thumbnail.webp", quality=78, method=4)


def _may_stay(image: Image.Image, source: Path, most: int) -> bool:
    return (
        image.format in {"JPEG", "PNG"}
        and image.mode in {"RGB", "RGBA", "L"}
        and getattr(image, "n_frames", 1) == 1
        and max(image.size) <= LONGEST_SIDE
        and source.stat().st_size <= most
        and not image.getexif()
        and not any(name in image.info for name in TELLING)
        and not (image.format == "PNG" and getattr(image, "text", None))
        # A JPEG with something glued to its end is written anew, so that only the picture leaves.
        and _ends_cleanly(image, source)
    )


def _ends_cleanly(image: Image.Image, source: Path) -> bool:
    with open(source, "rb") as file:
        file.seek(-12, 2)
        tail = file.read()
    return tail.endswith(b"\xff\xd9") if image.format == "JPEG" else b"IEND" in tail


def _write(image: Image.Image, folder: Path, *, most: int) -> Path:
    """PNG for pictures with transparency, else JPEG, smaller by steps until it fits."""
    image = image.copy()
    image.info = {}
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    if image.mode == "RGBA":
        if image.getchannel("A").getextrema() != (255, 255):
            target = folder / "picture.png"
            image.save(target, optimize=True)
            if target.stat().st_size <= most:
                return target
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    target = folder / "picture.jpg"
    for side, quality in ((4096, 88), (3072, 84), (2048, 82), (1600, 78), (1024, 70)):
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        image.save(target, quality=quality, optimize=True, progressive=True)
        if target.stat().st_size <= most:
            return target
    raise TooLarge
