"""Papers (PDF), by PDFium: how many pages, and the top of the first one as a small picture.

The build of pypdfium2 runs no JavaScript and knows no XFA, and form fields are not drawn: what a
paper could want to do is not even read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
from pypdfium2.raw import FPDF_ERR_PASSWORD

# Pixels of the picture's width: shown at 320 CSS pixels at most, twice that for fine screens.
WIDTH = 640
# A till's receipt may be metres long: never more than this many widths of it.
LONGEST = 1.5
# More than a book has, and fewer than a hostile count claims.
MOST_PAGES = 99_999


def look(source: Path, folder: Path) -> dict[str, Any]:
    """{pages}, and the thumbnail where the first page has measures; or {locked}: a password opens
    it. PdfiumError for what is no PDF, and for a broken one."""
    try:
        document = pdfium.PdfDocument(source)
    except pdfium.PdfiumError as error:
        if error.err_code != FPDF_ERR_PASSWORD:
            raise
        return {"locked": True}
    with document:
        pages = len(document)
        page = document[0]
        wide, high = page.get_size()
        scale = WIDTH / wide
        hidden = max(0.0, high - wide * LONGEST)
        picture = page.render(scale=scale, crop=(0, hidden, 0, 0), no_smoothpath=False).to_pil()
    picture.convert("RGB").save(folder / "thumbnail.webp", quality=78, method=4)
    return {"pages": pages if pages <= MOST_PAGES else None}
