"""One message of ours of each kind, and the larger forms of those that have any."""

from crm.providers.outbound import (
    Buttons,
    ContactCard,
    ContactPhone,
    Contacts,
    Content,
    CopyCodeParameter,
    CurrencyParameter,
    DateTimeParameter,
    FilledTemplate,
    FlowParameter,
    LinkButton,
    ListMenu,
    ListRow,
    ListSection,
    Location,
    Media,
    MediaKind,
    OutboundMessage,
    QuickReplyParameter,
    Reaction,
    Recipient,
    ReplyButton,
    Text,
    TextParameter,
    UrlParameter,
)

PDF = Media(MediaKind.DOCUMENT, media_id="44", filename="Contrato.pdf")
THREE = tuple(ReplyButton(f"b{n}", f"Opción {n}") for n in (1, 2, 3))
SECTIONS = tuple(
    ListSection(tuple(ListRow(f"{s}-{r}", f"Fila {r}", "Mañana") for r in range(5)), f"Sección {s}")
    for s in (1, 2)
)
CARD = ContactCard(
    "Ana María Ruiz",
    "Ana María",
    "Ruiz",
    phones=(ContactPhone("+57 300 111 2233", wa_id="573001112233"), ContactPhone("+57 601 55")),
    emails=("ana@example.com",),
    company="Ruiz y Cía.",
    title="Gerente",
)
ALL: dict[str, Content] = {
    "text": Text("Buenos días 👋"),
    "text without preview": Text("https://example.com", preview_url=False),
    "image": Media(MediaKind.IMAGE, media_id="11", caption="Su pedido"),
    "image by link": Media(MediaKind.IMAGE, link="https://example.com/a.jpg"),
    "video": Media(MediaKind.VIDEO, media_id="12", caption="Cómo armarlo"),
    "audio": Media(MediaKind.AUDIO, media_id="13"),
    "voice": Media(MediaKind.AUDIO, media_id="14", voice=True),
    "document": Media(
        MediaKind.DOCUMENT, media_id="15", filename="Contrato.pdf", caption="Para firmar"
    ),
    "sticker": Media(MediaKind.STICKER, media_id="16"),
    "location": Location(4.6097, -74.0817, "Bogotá", "Carrera 7 # 12-34"),
    "location on the equator": Location(0.0, 0.0),
    "contacts": Contacts((CARD, ContactCard("Luis", "Luis", emails=("luis@example.com",)))),
    "reaction": Reaction("wamid.target", "👍"),
    "reaction taken back": Reaction("wamid.target", ""),
    "buttons": Buttons("¿Confirmamos?", THREE, header="Su cita", footer="Clínica Vida"),
    "buttons under a file": Buttons("¿Confirmamos?", THREE[:1], header=PDF),
    "list": ListMenu("Elija una hora", "Ver horas", SECTIONS, "Su cita", "Clínica Vida"),
    "list without titles": ListMenu("Elija", "Ver", (ListSection((ListRow("1", "Uno"),)),)),
    "link": LinkButton("Pague aquí", "Pagar", "https://example.com/p", "Factura", "Gracias"),
    "template alone": FilledTemplate("saludo", "es_CO"),
    "template": FilledTemplate(
        "pedido_enviado",
        "es",
        header=TextParameter("Ana"),
        body=(
            TextParameter("A-1"),
            CurrencyParameter("$0", "COP", 0),
            DateTimeParameter("mañana a las 3"),
        ),
        buttons=(QuickReplyParameter(0, "si"), UrlParameter(1, "A-1"), CopyCodeParameter(2, "X9")),
    ),
    "template with names": FilledTemplate("p", "es", body=(TextParameter("Ana", "first_name"),)),
    "template under a file": FilledTemplate("p", "es", header=PDF),
    "template under a place": FilledTemplate("p", "es", header=Location(4.6, -74.1, "Aquí", "K 7")),
    "template with a flow": FilledTemplate(
        "p", "es", buttons=(FlowParameter(0, "token", (("plan", "oro"),)),)
    ),
}


def outgoing(content: Content, **changes: object) -> OutboundMessage:
    """The message to Ana that says this."""
    values: dict[str, object] = {"to": Recipient(phone="573001112233"), "opaque_id": "key.1"}
    return OutboundMessage(content=content, **(values | changes))  # type: ignore[arg-type]
