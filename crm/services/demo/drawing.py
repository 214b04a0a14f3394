"""Draws the files that the demo's people send: pictures, a film, a voice, papers, a sticker.

Run by props.py as a program of its own, `drawing.py FOLDER`, so that the start of the product does
not carry the tools. It fills one folder for each and says as JSON what they measure.
"""

from __future__ import annotations

import json
import math
import sys
from array import array
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from PIL import Image, ImageDraw, ImageFilter

from crm.lib.media import papers, pictures, sounds
from crm.lib.paper import Paper
from crm.lib.pen import FINE, Colour, Pen, finished, ground, lit, save, shadow

INK, MUTE, LINE = (32, 36, 46), (110, 117, 130), (222, 225, 231)
BRAND: Colour = (14, 116, 108)


def main(folder: Path) -> None:
    told = {}
    for name, (file, draw) in FILES.items():
        own = folder / name
        own.mkdir()
        draw(own / file)
        told[name] = {"file": file, **_measure(own / file, own)}
    json.dump(told, sys.stdout)


def _measure(path: Path, folder: Path) -> dict[str, Any]:
    match path.suffix:
        case ".mp4":
            return sounds.look_at_film(path, folder)
        case ".ogg":
            return sounds.look_at_sound(path)
        case ".pdf":
            return papers.look(path, folder)
        case _:
            return pictures.look(path, folder)


# -- pictures -------------------------------------------------------------------------------------


def coffee_pot(path: Path) -> None:
    """The shop's own picture of the red pot, on a plain ground."""
    image = ground((760, 760), (250, 244, 236), (232, 216, 198))
    shadow(image, (190, 620, 590, 690))
    _pot(ImageDraw.Draw(image), 380, 150, 1.0)
    save(image, path)


def blender(path: Path) -> None:
    """A customer's photo: the machine that does not start, on a kitchen's counter."""
    image = ground((600, 760), (201, 214, 214), (176, 192, 194))
    draw = Pen(image)
    for row in range(6):
        for column in range(6):
            left = column * 120 - (60 if row % 2 else 0)
            draw.round((left + 3, row * 92 + 3, left + 117, row * 92 + 89), 6, (222, 231, 230))
    draw.box((0, 560, 600, 760), (150, 118, 92))
    draw.box((0, 560, 600, 572), (176, 142, 113))
    shadow(image, (150, 660, 470, 720))
    draw = Pen(image)
    draw.shape([(215, 120), (385, 120), (365, 430), (235, 430)], (190, 208, 214))
    draw.shape([(222, 240), (378, 240), (365, 430), (235, 430)], (214, 122, 120))
    draw.shape([(235, 132), (255, 132), (262, 420), (246, 420)], (236, 243, 245))
    draw.round((205, 88, 395, 122), 10, (44, 48, 56))
    draw.round((270, 66, 330, 92), 8, (60, 65, 74))
    draw.arc((365, 180, 455, 360), (44, 48, 56), 20)
    draw.shape([(225, 430), (375, 430), (410, 680), (190, 680)], (58, 63, 72))
    draw.shape([(225, 430), (250, 430), (226, 680), (190, 680)], (84, 90, 100))
    draw.round((250, 520, 350, 620), 50, (30, 33, 40))
    draw.round((282, 532, 318, 580), 6, (150, 156, 166))
    draw.dot((385, 650), 7, (92, 40, 40))
    save(image, path, quality=78)


def payment(path: Path) -> None:
    """What a phone showed of a payment that nobody knows the end of."""
    image = ground((540, 960), (246, 247, 250), (246, 247, 250))
    draw = Pen(image)
    draw.box((0, 0, 540, 96), (28, 52, 110))
    draw.words((32, 34), "Pago por PSE", 30, (255, 255, 255), bold=True)
    draw.round((32, 132, 508, 700), 18, (255, 255, 255))
    draw.dot((270, 222), 46, (253, 239, 206))
    draw.words((259, 192), "!", 52, (176, 110, 8), bold=True)
    draw.words((0, 296), "Pago en proceso", 28, INK, bold=True, middle=540)
    draw.words((0, 340), "$ 159.900", 44, INK, bold=True, middle=540)
    rows = (
        ("Comercio", "Hogar Andino"),
        ("Banco", "Banco Andino"),
        ("Referencia", "PSE 4471 0926"),
        ("Estado", "Pendiente"),
    )
    for at, (left, right) in enumerate(rows):
        y = 424 + at * 62
        draw.box((64, y - 12, 476, y - 11), LINE)
        draw.words((64, y), left, 23, MUTE)
        draw.words((476, y), right, 23, INK, right=True)
    draw.round((32, 748, 508, 816), 14, (28, 52, 110))
    draw.words((0, 766), "Volver al comercio", 26, (255, 255, 255), middle=540)
    save(image, path)


def sticker(path: Path) -> None:
    """A cup that says thanks, with the white rim that stickers have."""
    image = Image.new("RGBA", (512 * FINE, 512 * FINE))
    draw = Pen(image)
    for x in (190, 256, 322):
        draw.curve(
            [(x + 12 * math.sin(y / 16), 150 - y) for y in range(0, 84, 4)], 13, (158, 128, 108)
        )
    draw.arc((330, 206, 452, 346), (222, 62, 60), 30, whole=True)
    draw.shape([(112, 176), (400, 176), (368, 376), (144, 376)], (222, 62, 60))
    draw.round((140, 340, 372, 402), 30, (222, 62, 60))
    draw.oval((112, 150, 400, 204), (244, 238, 232))
    draw.oval((128, 158, 384, 198), (94, 58, 40))
    for x in (206, 306):
        draw.oval((x - 13, 248, x + 13, 284), (60, 22, 26))
        draw.oval((x - 4, 252, x + 7, 264), (255, 255, 255))
        draw.oval(
            (x - 42, 286, x - 14, 304) if x < 256 else (x + 14, 286, x + 42, 304), (246, 128, 122)
        )
    draw.arc((222, 262, 290, 322), (60, 22, 26), 9, start=20, end=160)
    draw.words((0, 410), "Gracias!", 78, (222, 62, 60), bold=True, middle=512)
    small = image.resize((512, 512), Image.Resampling.LANCZOS)
    rim = (
        small.getchannel("A").filter(ImageFilter.MaxFilter(19)).filter(ImageFilter.GaussianBlur(2))
    )
    ground = Image.new("RGBA", small.size, (255, 255, 255, 0))
    ground.paste((255, 255, 255, 255), mask=rim)
    Image.alpha_composite(ground, small).save(path, quality=86, method=3)


def _pot(draw: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    """A stove-top pot with its eight sides; `x` is its middle, `y` its top."""
    pen = Pen(draw=draw, at=(x, y), size=size)
    sides = ((150, 24, 28), (198, 34, 38), (226, 58, 58), (186, 30, 34), (134, 20, 25))
    steps = (-1.0, -0.62, -0.16, 0.36, 0.78, 1.0)
    pen.round((108, 120, 186, 152), 14, (30, 32, 38))
    pen.round((154, 120, 190, 320), 16, (30, 32, 38))
    for at, shade in enumerate(sides):
        left, right = steps[at], steps[at + 1]
        pen.shape([(left * 96, 96), (right * 96, 96), (right * 84, 270), (left * 84, 270)], shade)
        pen.shape(
            [(left * 92, 300), (right * 92, 300), (right * 124, 496), (left * 124, 496)], shade
        )
        pen.shape(
            [(left * 100, 74), (right * 100, 74), (right * 100, 100), (left * 100, 100)],
            lit(shade),
        )
        pen.shape(
            [(left * 30, 40), (right * 30, 40), (right * 96, 76), (left * 96, 76)], lit(shade, 18)
        )
    pen.shape([(-100, 92), (-140, 96), (-92, 160)], sides[0])
    for at, shade in enumerate(
        ((150, 154, 160), (206, 210, 215), (240, 242, 244), (190, 194, 199), (140, 144, 150))
    ):
        left, right = steps[at], steps[at + 1]
        pen.shape([(left * 92, 266), (right * 92, 266), (right * 94, 304), (left * 94, 304)], shade)
    pen.round((-16, 4, 16, 44), 12, (30, 32, 38))
    pen.dot((0, 440), 13, (196, 164, 92))
    pen.dot((-2, 438), 6, (232, 208, 150))


# -- papers ---------------------------------------------------------------------------------------


def quotation(path: Path) -> None:
    rows = (
        ("24", "Hervidor eléctrico 1,7 L, acero", "165.000", "3.960.000"),
        ("24", "Plancha de vapor 2200 W", "132.500", "3.180.000"),
        ("2", "Plancha industrial con caldera", "2.100.000", "4.200.000"),
    )
    sums = (("Subtotal", "11.340.000"), ("IVA 19 %", "2.154.600"), ("Total", "$ 13.494.600"))
    _paper(path, "Cotización C-0871", "Hotel Mirador · Luz Dary Quintero · Pereira", rows, sums,
           "Entrega en 8 días hábiles. Precios válidos hasta el viernes.")  # fmt: skip


def order_slip(path: Path) -> None:
    rows = (("2", "Freidora de aire 5 L, negra", "229.900", "459.800"),)
    sums = (("Envío", "0"), ("Total", "$ 459.800"))
    _paper(path, "Pedido A-2291", "Natalia Zuluaga · Rionegro, Antioquia", rows, sums,
           "Pago contra entrega. Le llega el miércoles entre 8:00 y 12:00.")  # fmt: skip


def _paper(
    path: Path,
    title: str,
    who: str,
    rows: Sequence[tuple[str, str, str, str]],
    sums: Sequence[tuple[str, str]],
    last: str,
) -> None:
    """A sheet of letter size with a table."""
    sheet = Paper(title)
    sheet.bar(0, 0, 612, 10, BRAND)
    sheet.words(54, 76, "Hogar Andino", 20, BRAND, bold=True)
    sheet.words(54, 94, "NIT 900.555.014-2 · Calle 12 # 34-56, Bogotá", 9, MUTE)
    sheet.words(54, 160, title, 24, INK, bold=True)
    sheet.words(54, 182, who, 12, MUTE)
    sheet.bar(54, 222, 504, 1.5, INK)
    for left, word in ((54, "Cantidad"), (120, "Producto"), (404, "Valor"), (510, "Total")):
        sheet.words(left, 240, word, 10, MUTE)
    top = 270
    for count, what, each, total in rows:
        sheet.words(54, top, count, 12, INK)
        sheet.words(120, top, what, 12, INK)
        sheet.words(452, top, each, 12, INK, right=True)
        sheet.words(558, top, total, 12, INK, right=True)
        sheet.bar(54, top + 12, 504, 0.5, LINE)
        top += 32
    for word, total in sums:
        is_last = word == "Total"
        sheet.words(404, top + 14, word, 12, INK if is_last else MUTE, bold=is_last)
        sheet.words(558, top + 14, total, 12, INK, right=True, bold=is_last)
        top += 26
    sheet.words(54, top + 70, last, 11, MUTE)
    sheet.save(path)


# -- film and voice -------------------------------------------------------------------------------


def blinking_pot(path: Path) -> None:
    """Four seconds of a machine whose light goes on and off."""
    shots = [_machine(on) for on in (True, False)]
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as film:
        stream: Any = film.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 360, 480, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "27"}
        for at in range(48):
            # A hand that holds a phone is never quite still.
            x, y = 10 + round(8 * math.sin(at / 9)), 10 + round(6 * math.cos(at / 7))
            shot = shots[at // 5 % 2].crop((x, y, x + 360, y + 480))
            frame = av.VideoFrame.from_image(shot)
            frame.pts, frame.time_base = at, Fraction(1, 12)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))


def _machine(on: bool) -> Image.Image:
    image = ground((380, 500), (214, 205, 194), (178, 166, 152))
    shadow(image, (70, 410, 320, 460))
    pen = Pen(image)
    pen.round((96, 70, 284, 430), 26, (40, 43, 50))
    pen.round((96, 70, 150, 430), 26, (56, 60, 68))
    pen.round((120, 96, 260, 168), 14, (22, 24, 29))
    pen.words((138, 114), "WiFi", 28, (126, 190, 255) if on else (48, 58, 72), bold=True)
    pen.dot((234, 132), 10, (90, 176, 255) if on else (44, 52, 64))
    pen.round((124, 210, 256, 396), 12, (24, 26, 31))
    pen.shape([(146, 262), (234, 262), (224, 380), (156, 380)], (176, 192, 198))
    pen.shape([(150, 310), (230, 310), (224, 380), (156, 380)], (86, 52, 36))
    pen.round((140, 250, 240, 266), 6, (60, 64, 72))
    return finished(image).filter(ImageFilter.GaussianBlur(0.6))


RATE = 16000
# A tune of syllables: (seconds, pitch in Hz, first and second resonance); no pitch is a pause.
SYLLABLES = (
    (0.17, 205, 700, 1250), (0.15, 214, 480, 1900), (0.2, 198, 420, 850), (0.1, 0, 0, 0),
    (0.14, 220, 320, 2300), (0.18, 232, 690, 1300), (0.13, 210, 470, 1850), (0.24, 188, 400, 900),
    (0.28, 0, 0, 0), (0.16, 208, 680, 1280), (0.14, 226, 350, 2200), (0.17, 216, 450, 1800),
    (0.15, 202, 700, 1200), (0.22, 184, 420, 900), (0.16, 0, 0, 0), (0.13, 224, 470, 1900),
    (0.18, 236, 690, 1250), (0.15, 212, 330, 2250), (0.3, 176, 440, 950), (0.2, 0, 0, 0),
)  # fmt: skip


def voice(path: Path) -> None:
    """Some seconds that rise and fall as a voice does, without saying anything."""
    samples = array("h")
    for seconds, pitch, first, second in SYLLABLES * 2:
        samples.extend(_syllable(int(seconds * RATE), pitch, first, second))
    with av.open(str(path), "w", format="ogg") as made:
        stream: Any = made.add_stream("libopus", rate=48000)
        stream.layout, stream.bit_rate = "mono", 24000
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(samples))
        frame.planes[0].update(samples.tobytes())
        frame.sample_rate = RATE
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=48000)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            part.pts = None
            made.mux(stream.encode(part))
        made.mux(stream.encode(None))


def _syllable(count: int, pitch: float, first: float, second: float) -> list[int]:
    """The overtones of a voice, the louder the nearer they lie to a resonance of the mouth."""
    if not pitch:
        return [0] * count
    tones = []
    for overtone in range(1, 13):
        hertz = overtone * pitch
        loud = math.exp(-(((hertz - first) / 190) ** 2)) + 0.5 * math.exp(
            -(((hertz - second) / 260) ** 2)
        )
        if loud > 0.03:
            tones.append((hertz * 2 * math.pi / RATE, loud))
    found = []
    for at in range(count):
        swell = math.sin(math.pi * at / count) ** 0.7
        bend = at * (1 + 0.03 * at / count)
        found.append(int(7600 * swell * sum(loud * math.sin(step * bend) for step, loud in tones)))
    return found


# name: (file, who draws it)
FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "cafetera": ("cafetera-roja.jpg", coffee_pot),
    "licuadora": ("licuadora.jpg", blender),
    "pago": ("pago-pse.png", payment),
    "gracias": ("gracias.webp", sticker),
    "cotizacion": ("Cotización C-0871.pdf", quotation),
    "pedido": ("Pedido A-2291.pdf", order_slip),
    "luz": ("luz-wifi.mp4", blinking_pot),
    "voz": ("nota-de-voz.ogg", voice),
}

if __name__ == "__main__":
    main(Path(sys.argv[1]))
