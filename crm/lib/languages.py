"""What a language is called."""

from babel import Locale, UnknownLocaleError


def name_language(code: str, *, reader: Locale) -> str:
    """'es_CO' -> 'Español (Colombia)' for a Spanish reader; an unknown code as it is."""
    try:
        name = Locale.parse(code.replace("-", "_")).get_display_name(reader)
    except (UnknownLocaleError, ValueError, TypeError):
        return code
    # Languages are small inside a Spanish sentence, not where they stand alone.
    return name[:1].upper() + name[1:] if name else code
