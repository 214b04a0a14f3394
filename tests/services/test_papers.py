"""Papers (PDF): the first page as a picture and how many there are, whatever somebody sends."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from crm.lib.media import workshop
from crm.lib.media.workshop import Look
from crm.services import files
from crm.services.files.preparing import NOTES
from crm.services.files.storing import _facts
from tests import media

SQUARE = b"0.75 0.125 0.125 rg 0 0 99999 99999 re f"
CATALOGUE = b"<</Type/Catalog/Pages 2 0 R>>"


def look(content: bytes, folder: Path) -> Look:
    """What an agent who sends it gets beside the file: the file itself always goes as it is."""
    folder.mkdir()
    source = folder / "given.pdf"
    source.write_bytes(content)
    made = files.prepare_for_message(source, name="a.pdf", folder=folder)
    assert (made.kind, made.path) == ("document", source)
    assert made.note == (NOTES["locked"] if made.look.is_locked else "")
    assert source.read_bytes() == content
    return made.look


def colour_of(look: Look) -> tuple[int, ...]:
    assert look.thumbnail is not None
    with Image.open(look.thumbnail) as image:
        assert image.format == "WEBP"
        assert image.width == 640
        return image.getpixel((image.width // 2, 0))


def is_red(colour: tuple[int, ...]) -> bool:
    red, green, blue = colour
    return red > 150 and green < 80 and blue < 80


def test_a_paper_leaves_as_it_is_with_its_first_page_drawn_and_its_pages_counted(
    tmp_path: Path,
) -> None:
    source = media.paper(tmp_path / "a.pdf", pages=3)
    made = files.prepare_for_message(source, name="factura.pdf", folder=tmp_path)
    assert (made.kind, made.mime_type, made.note) == ("document", "application/pdf", "")
    assert made.path == source
    assert is_red(colour_of(made.look))
    assert _facts(made) == {"kind": "document", "pages": 3}


def pages_of(count: int) -> bytes:
    kids = b" ".join(b"%d 0 R" % (number + 3) for number in range(count))
    leaf = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]>>"
    tree = b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, count)
    return media.bound(CATALOGUE, tree, *[leaf] * count)


def claiming(count: int) -> bytes:
    """One page, and another word about it."""
    parts = list(media.page(SQUARE))
    parts[1] = b"<</Type/Pages/Kids[3 0 R]/Count %d>>" % count
    return media.bound(*parts)


def with_password() -> bytes:
    """Nobody knows the word that fits these."""
    lock = b"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>/ID[<00><00>]"
    return media.bound(*media.page(SQUARE), trailer=lock % (b"ab" * 32, b"cd" * 32))


def packed_zeros(megabytes: int) -> bytes:
    """As zlib packs them, without packing each: after a full flush the same bytes come again."""
    packer, block = zlib.compressobj(9), b"\0" * (1 << 20)
    first, again = (packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * (megabytes - 1) + packer.flush()


def picture_bomb() -> bytes:
    """900 MB of one colour in less than one."""
    keys = (
        b"/Type/XObject/Subtype/Image/Width 30000/Height 30000/ColorSpace/DeviceGray"
        b"/BitsPerComponent 8/Filter/FlateDecode"
    )
    orders = b"612 0 0 792 0 0 cm /I Do"
    picture = media.stream(packed_zeros(900), keys)
    return media.bound(*media.page(orders, picture, names=b"/I 5 0 R"))


def order_bomb() -> bytes:
    """A gigabyte of orders in a megabyte."""
    return media.bound(*media.page(packed_zeros(1000), filters=b"/Filter/FlateDecode"))


def at_its_opening() -> bytes:
    parts = list(media.page(SQUARE))
    parts[0] = (
        b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(while \\(true\\) {})>>"
        b"/AA<</O<</S/URI/URI(http://127.0.0.1:9/)>>>>>>"
    )
    return media.bound(*parts)


# The pages that are told where it is drawn all the same; NOTHING where it is a file by its name.
NOTHING = -1
HOSTILE = {
    "a kilometre square": (media.bound(*media.page(SQUARE, box=b"0 0 2e6 2e6")), 1),
    "a receipt of metres": (media.bound(*media.page(SQUARE, box=b"0 0 200 14400")), 1),
    "as thin as a hair": (media.bound(*media.page(SQUARE, box=b"0 0 14400 1")), 1),
    "ten thousand pages": (pages_of(10_000), 10_000),
    "two thousand million pages": (claiming(2_000_000_000), 1),
    "a million pages in one": (claiming(900_000), None),
    "a script and an address": (at_its_opening(), 1),
    "its own parent": (media.bound(CATALOGUE, b"<</Type/Pages/Kids[2 0 R]/Count 5>>"), NOTHING),
    "a password": (with_password(), NOTHING),
    "half of it": (pages_of(500)[:9000], NOTHING),
    "brackets": (b"%PDF-1.4\n1 0 obj" + b"[" * 200_000, NOTHING),
    # The kernel ends it.
    "a gigabyte of orders": (order_bomb(), NOTHING),
    # PDFium declines to unpack it: a white page.
    "a gigabyte of picture": (picture_bomb(), 1),
}
WHITE = {"ten thousand pages", "a gigabyte of picture"}


def test_a_hostile_paper_costs_a_moment_and_leaves_as_it_is(tmp_path: Path) -> None:
    papers = [content for content, _ in HOSTILE.values()]
    folders = [tmp_path / str(number) for number in range(len(papers))]
    with ThreadPoolExecutor(workshop.AT_ONCE) as pool:
        looks = list(pool.map(look, papers, folders))
    for (name, (_, pages)), seen in zip(HOSTILE.items(), looks, strict=True):
        if pages == NOTHING:
            assert seen == Look(is_locked=name == "a password"), name
        else:
            assert seen.pages == pages, name
            assert is_red(colour_of(seen)) is (name not in WHITE), name
