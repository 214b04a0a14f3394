"""A tag of the catalogue."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l

from crm.forms.kit import AdminForm, TextField, Tick, Word, at_most, needed

COLOURS = (
    ("grey", _l("Grey")),
    ("blue", _l("Blue")),
    ("pink", _l("Pink")),
    ("green", _l("Green")),
    ("amber", _l("Amber")),
)


class TagForm(AdminForm):
    label = TextField(_l("Name"), validators=[needed(), at_most(50)])
    colour = Word(_l("Colour"), COLOURS, default="grey")
    is_active = Tick(_l("May be given"), default=True)
