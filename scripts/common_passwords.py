"""Writes crm/lib/common_passwords.txt.gz: passwords that guessers try first, ten characters up.

Composed here from words and habits, not taken from a leaked list: what people of our countries
type (clubs, cities, names, the brand, the year), keyboard walks, runs and repetitions. All entries
are folded; `crm.lib.common_passwords` folds what it compares.
"""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "crm/lib/common_passwords.txt.gz"
SHORTEST = 10

WORDS_TEXT = """
    password passw0rd contrasena contrasenia clave claveacceso micontrasena mipassword secreto
    secreta admin administrador administrator root usuario user invitado guest prueba test
    testing demo temporal cambiame changeme letmein welcome bienvenido bienvenidos hola
    holamundo helloworld iloveyou teamo tequiero teamomucho amor amorcito corazon princesa
    princess sunshine dragon monkey master superman batman pokemon starwars football futbol
    soccer baseball basketball qwerty qwertyuiop asdfgh asdfghjkl zxcvbn zxcvbnm abcdef abcdefg
    abc123 a1b2c3 1q2w3e 1q2w3e4r 1qaz2wsx qazwsx q1w2e3 q1w2e3r4 123qwe 123abc computador
    computadora internet whatsapp facebook instagram google android samsung iphone microsoft
    windows empresa oficina trabajo gerente ventas soporte servicio cliente clientes atencion
    contacto callcenter charla mensaje mensajes colombia bogota medellin cali barranquilla
    cartagena bucaramanga pereira manizales mexico guadalajara monterrey argentina buenosaires
    cordoba rosario peru lima chile santiago ecuador quito guayaquil venezuela caracas bolivia
    paraguay asuncion uruguay montevideo panama costarica guatemala honduras nicaragua
    elsalvador cuba dominicana puertorico espana madrid barcelona brasil saopaulo rio
    millonarios nacional atleticonacional santafe america junior boca bocajuniors river
    riverplate racing independiente sanlorenzo chivas pumas cruzazul tigres rayados alianza
    universitario colocolo flamengo palmeiras corinthians realmadrid messi ronaldo maradona
    neymar james falcao shakira carlos andres juan camilo sebastian santiago alejandro alejandra
    daniel daniela andrea paola carolina natalia valentina mariana isabella sofia camila laura
    maria jose mariajose juancarlos luis miguel jorge fernando ricardo eduardo roberto francisco
    antonio manuel david diego felipe nicolas mateo gabriel samuel jesus jesuscristo dios
    diosesamor cristo diosmio virgen familia mifamilia mama papa mamaypapa hermosa hermoso
    bonita mihijo mihija bebe perro gato mascota estrella luna lunita solecito mariposa flores
    verano invierno primavera enero febrero marzo abril mayo junio julio agosto septiembre
    octubre noviembre diciembre lunes viernes domingo negro blanco azul rojo verde amarillo
    chocolate cafe cerveza aguardiente tequila pizza
"""
WORDS = WORDS_TEXT.split()
YEARS = [str(year) for year in range(1980, 2031)]
ENDINGS = [
    "", "1", "12", "123", "1234", "12345", "123456", "1234567", "12345678", "123456789", "0", "00",
    "01", "007", "10", "100", "11", "111", "13", "21", "22", "23", "69", "77", "88", "99", "321",
    "2020", "2021", "2022", "2023", "2024", "2025", "2026", "2027", "!", "!!", "1!", "12!", "123!",
    "1234!", "*", "123*", "1234*", ".", "123.", "1234.", "@", "@1", "@123", "@1234", "@2024",
    "@2025", "@2026", "#1", "#123", "$", "_1", "_123", "-123", "2024!", "2025!", "2026!", "2024*",
    "2025*", "2026*", "abc", "xd", "yo",
]  # fmt: skip
ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertyuiopasdfghjklzxcvbnm")
COLUMNS = ("1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm")


def candidates() -> Iterator[str]:
    for word, ending in itertools.product(WORDS, ENDINGS):
        yield word + ending
        yield word + word + ending
    for word, year in itertools.product(WORDS, YEARS):
        yield word + year
    for row in ROWS:
        for line in (row, row[::-1]):
            for start, length in itertools.product(range(len(line)), range(4, 27)):
                piece = line[start : start + length]
                yield from (piece, piece + piece, piece + piece[::-1], piece + "123", "123" + piece)
    for count in range(2, len(COLUMNS) + 1):
        for start in range(len(COLUMNS) - count + 1):
            walk = "".join(COLUMNS[start : start + count])
            yield from (walk, walk[::-1], walk + "!")
    for char, length in itertools.product("0123456789abcdefghijklmnopqrstuvwxyz", range(10, 21)):
        yield char * length
    for pair in itertools.product("0123456789", repeat=2):
        yield "".join(pair) * 5
        yield "".join(pair) * 6
    for day, month, year in itertools.product(range(1, 32, 5), range(1, 13), range(1970, 2011, 5)):
        yield f"{day:02d}/{month:02d}/{year}"
        yield f"{day:02d}-{month:02d}-{year}"


def main() -> None:
    entries = sorted({entry for entry in candidates() if len(entry) >= SHORTEST})
    with TARGET.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        packed.write("\n".join(entries).encode("utf-8"))
    print(f"{len(entries)} entries, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
