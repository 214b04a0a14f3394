"""Words that end a conversation politely and ask for nothing."""

import re

from crm.lib.text import fold

MOST_CHARACTERS = 25

# Folded: lower case, no accents. Spanish, Portuguese, English.
PHRASES = frozenset(
    """
    gracias; muchas gracias; mil gracias; gracias a ti; gracias a usted; muy amable; ok; okay; okey;
    oki; dale; listo; perfecto; vale; bueno; de acuerdo; entendido; excelente; genial; ok gracias;
    listo gracias; dale gracias; perfecto gracias; bueno gracias; muchas gracias muy amable;
    igualmente; feliz dia; buen dia; feliz tarde; feliz noche; buenas noches; hasta luego; adios;
    chao; chau; bendiciones; saludos;
    obrigado; obrigada; muito obrigado; muito obrigada; valeu; beleza; blz; certo; perfeito; ok
    obrigado; ok obrigada; otimo; tchau; ate logo; bom dia; boa tarde; boa noite;
    thanks; thank you; thank you so much; many thanks; thx; great; perfect; bye; got it; ok thanks;
    ok thank you; cheers
    """.replace("\n", " ").split(";")
)
COURTESIES = frozenset(" ".join(phrase.split()) for phrase in PHRASES)


def is_courtesy(kind: str, content: str | None) -> bool:
    """True for a sticker, an emoji or two, or a short text that only thanks or takes leave."""
    if kind == "sticker":
        return True
    if kind != "text" or not content or len(content) > MOST_CHARACTERS:
        return False
    words = " ".join(re.sub(r"[^\w\s]", " ", fold(content)).split())
    if not words:
        # Emoji and marks only; a question mark is a question.
        return "?" not in content and "¿" not in content
    return "?" not in content and words in COURTESIES
