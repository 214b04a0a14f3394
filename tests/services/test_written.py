"""What people type and paste into the composer's dialogs, read as they mean it."""

import pytest

from crm.errors import Invalid
from crm.providers.outbound import Contacts, ListMenu, Location
from crm.services.messages.written import content_of

MAP = "https://www.google.com/maps/place/Plaza/@4.5,-74.1,17z/data=!3m1!4b1!3d4.5981!4d-74.0758"


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("4.6097, -74.0817", (4.6097, -74.0817)),
        ("4,6097; -74,0817", (4.6097, -74.0817)),
        ("4,6097, -74,0817", (4.6097, -74.0817)),
        ("https://maps.google.com/?q=4.61,-74.08", (4.61, -74.08)),
        # The place that is marked, not the middle of the screen.
        (MAP, (4.5981, -74.0758)),
    ],
)
def test_a_place_is_read_as_it_is_copied(given, place):
    found = content_of("location", {"place": given})
    assert isinstance(found, Location)
    assert (found.latitude, found.longitude) == place


@pytest.mark.parametrize(
    ("given", "words"),
    [("", "Paste"), ("Bogotá", "Paste"), ("https://maps.app.goo.gl/AbC1", "short link")],
)
def test_what_holds_no_place_is_refused_with_the_way_to_one(given, words):
    with pytest.raises(Invalid, match=words):
        content_of("location", {"place": given})


@pytest.mark.parametrize("phone", ["300 123 45 67", "+57 3001234567", "+57 (300) 123-4567"])
def test_a_contacts_phone_gets_its_country_so_that_one_can_write_to_it(phone):
    found = content_of("contact", {"first_name": "Ana", "phone": phone})
    assert isinstance(found, Contacts)
    (number,) = found.cards[0].phones
    assert (number.phone, number.wa_id) == ("+57 300 123 4567", "573001234567")


def test_a_contact_without_a_phone_has_none_and_nonsense_is_no_phone():
    found = content_of("contact", {"first_name": "Ana", "email": "ana@example.com"})
    assert isinstance(found, Contacts)
    assert found.cards[0].phones == ()
    with pytest.raises(Invalid):
        content_of("contact", {"first_name": "Ana", "phone": "mi número"})


def test_rows_of_one_section_stand_together_wherever_they_were_written():
    values = {"body": "x", "button": "Ver"}
    for at, section in enumerate(("Hombre", "Mujer", "Hombre")):
        values |= {f"row-{at}": f"Fila {at}", f"section-{at}": section}
    found = content_of("list", values)
    assert isinstance(found, ListMenu)
    told = [(part.title, [row.title for row in part.rows]) for part in found.sections]
    assert told == [("Hombre", ["Fila 0", "Fila 2"]), ("Mujer", ["Fila 1"])]
    with pytest.raises(Invalid, match="A list needs a row"):
        content_of("list", {"body": "x", "button": "Ver"})
