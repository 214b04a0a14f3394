"""The page's words in Spanish and English: its own small dictionary.

The simulator imports nothing of the product, so the product's catalogs are out of its reach.
"""

from collections.abc import Iterable

LANGUAGES = ("es", "en")

# key: (Spanish, English)
WORDS: dict[str, tuple[str, str]] = {
    "title": ("WhatsApp simulado", "Simulated WhatsApp"),
    "subtitle": (
        "Aquí escriben los clientes. Lo que envían llega de verdad a Charla.",
        "Customers write here. What they send really reaches Charla.",
    ),
    "add_phone": ("Abrir un teléfono", "Open a phone"),
    "faults": ("Fallos", "Faults"),
    "inspector": ("Tráfico", "Traffic"),
    "panel": ("Herramientas", "Tools"),
    "close": ("Cerrar", "Close"),
    "theme": ("Cambiar entre claro y oscuro", "Switch between light and dark"),
    "language": ("English", "Español"),
    "pick_title": ("¿Quién escribe?", "Who is writing?"),
    "pick_text": (
        "Elija un cliente o cree uno: se abre su teléfono y usted escribe como esa persona.",
        "Choose a customer or create one. Their phone opens and you write as that person.",
    ),
    "pick_line": ("¿A qué línea escribe?", "Which line do they write to?"),
    "new_customer": ("Cliente nuevo", "New customer"),
    "name": ("Nombre", "Name"),
    "name_example": ("Por ejemplo, Luisa Villegas", "For example, Luisa Villegas"),
    "phone_number": ("Número de celular", "Mobile number"),
    "phone_help": ("Con el código del país.", "With the country code."),
    "phone_wrong": (
        "Un número tiene de 7 a 15 cifras, por ejemplo +57 300 555 0199.",
        "A number has 7 to 15 digits, for example +57 300 555 0199.",
    ),
    "create_open": ("Crear y abrir", "Create and open"),
    "known_customers": ("Clientes", "Customers"),
    "open_now": ("abierto", "open"),
    "phone_of": ("Teléfono de {name}", "Phone of {name}"),
    "line": ("Línea", "Line"),
    "write_here": ("Escriba un mensaje", "Write a message"),
    "send": ("Enviar", "Send"),
    "attach": ("Adjuntar", "Attach"),
    "photo": ("Foto", "Photo"),
    "voice": ("Nota de voz", "Voice note"),
    "sticker": ("Sticker", "Sticker"),
    "document": ("Documento", "Document"),
    "location": ("Ubicación", "Location"),
    "contact": ("Contacto", "Contact"),
    "unsupported": ("Encuesta", "Poll"),
    "order": ("Pedido", "Order"),
    "order_of": ("Pedido de {count} productos", "Order of {count} products"),
    "ad": ("Desde un anuncio", "From an ad"),
    "call": ("Llamada perdida", "Missed call"),
    "edit": ("Editar", "Edit"),
    "editing": ("Editando su mensaje", "Editing the message"),
    "edited": ("editado", "edited"),
    "take_back": ("Eliminar", "Delete"),
    "taken_back": ("Eliminó este mensaje", "This message was deleted"),
    "own_phone": ("El celular de la empresa", "The business's own phone"),
    "own_phone_help": (
        "Escriba como la empresa desde su celular: la respuesta llega al CRM como un eco.",
        "Write as the business on its phone: the answer reaches the CRM as an echo.",
    ),
    "file": ("Otro archivo", "Other file"),
    "video": ("Video", "Video"),
    "audio": ("Audio", "Audio"),
    "message": ("Mensaje", "Message"),
    "reply": ("Responder", "Reply"),
    "react": ("Reaccionar con {emoji}", "React with {emoji}"),
    "more": ("Responder, reaccionar o cambiar", "Reply, react or change"),
    "cancel_reply": ("Quitar la cita", "Remove the quote"),
    "play": ("Reproducir", "Play"),
    "pause": ("Pausar", "Pause"),
    "options": ("Opciones del teléfono", "Phone options"),
    "online": ("Teléfono encendido", "Phone switched on"),
    "online_help": (
        "Apagado, los mensajes quedan con un solo visto.",
        "While off, messages stay at one tick.",
    ),
    "receipts": ("Confirmaciones de lectura", "Read receipts"),
    "receipts_help": (
        "Sin ellas nunca aparece el visto azul.",
        "Without them the ticks never turn blue.",
    ),
    "blocked": ("Bloquear esta línea", "Block this line"),
    "blocked_help": (
        "Quien escribe no se entera: queda en un solo visto.",
        "The sender is not told: it stays at one tick.",
    ),
    "hidden": ("Ocultar el número", "Hide the number"),
    "hidden_help": (
        "Solo se conoce su usuario, como permite WhatsApp desde 2026.",
        "Only the user id is known, as WhatsApp allows since 2026.",
    ),
    "window": ("Ventana de 24 horas", "24-hour window"),
    "window_open": ("Ventana abierta", "Window open"),
    "window_closed": ("Ventana cerrada", "Window closed"),
    "window_never": ("Aún no ha escrito", "Has not written yet"),
    "close_window": ("Cerrar la ventana", "Close the window"),
    "close_window_help": (
        "Como si su último mensaje fuera de ayer.",
        "As if the last message were yesterday's.",
    ),
    "put_away": ("Guardar este teléfono", "Put this phone away"),
    "typing": ("escribiendo…", "typing…"),
    "business": ("Cuenta de empresa", "Business account"),
    "empty_chat": (
        "Escriba el primer mensaje: aparecerá en la bandeja de Charla.",
        "Write the first message: it will appear in Charla's inbox.",
    ),
    "today": ("Hoy", "Today"),
    "yesterday": ("Ayer", "Yesterday"),
    "status_sending": ("enviando a Charla", "on its way to Charla"),
    "status_delivered": ("recibido por Charla", "received by Charla"),
    "status_read": ("leído", "read"),
    "did_not_arrive": (
        "Un mensaje de la empresa no llegó: {why}",
        "A message of the business did not arrive: {why}",
    ),
    "removed_reaction": ("quitó su reacción", "removed the reaction"),
    "unknown_message": ("Mensaje de otro tipo", "Message of another kind"),
    "poll_note": (
        "Una encuesta: WhatsApp no la entrega a las empresas.",
        "A poll: WhatsApp does not hand it to businesses.",
    ),
    "options_list": ("Ver opciones", "See options"),
    "link_missing": ("Archivo enlazado", "Linked file"),
    "offline_page": (
        "Se perdió la conexión con el simulador. Reintentando…",
        "The connection to the simulator was lost. Trying again…",
    ),
    "waiting_one": ("1 aviso espera a Charla", "1 update waits for Charla"),
    "waiting_many": ("{count} avisos esperan a Charla", "{count} updates wait for Charla"),
    "hurry": ("Reintentar ya", "Try again now"),
    "check": ("Probar la conexión", "Test the connection"),
    "check_good": (
        "Charla respondió al saludo de verificación.",
        "Charla answered the verification handshake.",
    ),
    "check_refused": (
        "Charla respondió {status}: revise META_VERIFY_TOKEN.",
        "Charla answered {status}: check META_VERIFY_TOKEN.",
    ),
    "check_dead": (
        "Nadie responde en {url}. ¿Está Charla en marcha?",
        "Nobody answers at {url}. Is Charla running?",
    ),
    "faults_text": (
        "Encienda lo que puede salir mal y mire cómo responde Charla.",
        "Switch on what can go wrong and watch how Charla copes.",
    ),
    "faults_where": ("Dónde", "Where"),
    "faults_all_lines": ("Todas las líneas", "All lines"),
    "faults_how_often": ("Cuántas veces", "How often"),
    "faults_always": ("Siempre", "Always"),
    "faults_once": ("Una vez", "Once"),
    "faults_sometimes": ("1 de cada 3", "1 in 3"),
    "faults_clear": ("Apagar todos", "Switch all off"),
    "faults_on_one": ("1 fallo encendido", "1 fault on"),
    "faults_on_many": ("{count} fallos encendidos", "{count} faults on"),
    "faults_none": ("Todo funciona con normalidad.", "Everything works normally."),
    "used": ("usado {count} ×", "used {count} ×"),
    "inspector_text": (
        "Lo último que se dijeron Charla y WhatsApp.",
        "What Charla and WhatsApp last told each other.",
    ),
    "inspector_empty": (
        "Aún no hay tráfico. Escriba desde un teléfono.",
        "No traffic yet. Write from a phone.",
    ),
    "from_crm": ("Charla llamó", "Charla called"),
    "to_crm": ("WhatsApp avisó", "WhatsApp notified"),
    "asked": ("Lo enviado", "Sent"),
    "answered": ("La respuesta", "Answer"),
    "no_answer": ("sin respuesta", "no answer"),
    "empty_answer": ("(vacía)", "(empty)"),
    "why_131026": ("no se puede entregar", "undeliverable"),
    "why_131047": (
        "pasaron más de 24 horas desde el último mensaje del cliente",
        "more than 24 hours since the customer's last message",
    ),
    "why_131049": ("Meta limita la publicidad", "Meta limits advertising"),
    "why_131050": ("el cliente no quiere publicidad", "the customer opted out of marketing"),
    "why_131053": ("el archivo no sirve", "the file is unusable"),
    "try_number": ("intento {count}", "try {count}"),
    "fault_used": ("fallo: {name}", "fault: {name}"),
    "saved_error": ("No se pudo: {why}", "That did not work: {why}"),
    "group_refused": ("WhatsApp rechaza el envío", "WhatsApp refuses the call"),
    "group_unknown": ("Charla no sabe si salió", "Charla cannot tell if it went out"),
    "group_fate": ("Sale, pero no llega bien", "It goes out, but does not arrive well"),
    "group_webhook": ("Los avisos llegan mal", "Updates arrive badly"),
    # Each fault: its name, and what it means.
    "fault_rate_limit": ("Demasiados mensajes", "Too many messages"),
    "fault_rate_limit_help": (
        "El número va demasiado rápido (130429).",
        "The number is too fast (130429).",
    ),
    "fault_pair_limit": ("Demasiados a un cliente", "Too many to one customer"),
    "fault_pair_limit_help": ("Límite por pareja (131056).", "Pair limit (131056)."),
    "fault_token_expired": ("Permiso vencido", "Token expired"),
    "fault_token_expired_help": (
        "El token de acceso ya no vale (190).",
        "The access token is no longer valid (190).",
    ),
    "fault_window_closed_at_once": ("Ventana cerrada, dicho al instante", "Window closed, at once"),
    "fault_window_closed_at_once_help": (
        "Rechazo inmediato (131047).",
        "Refused at once (131047).",
    ),
    "fault_server_error": ("Error de Meta", "Meta has an error"),
    "fault_server_error_help": (
        "Responde 500 con su explicación (131000).",
        "Answers 500 with an explanation (131000).",
    ),
    "fault_unavailable": ("Servicio caído", "Service down"),
    "fault_unavailable_help": ("Responde 503 sin explicación.", "Answers 503 without a word."),
    "fault_timeout": ("No contesta", "Does not answer"),
    "fault_timeout_help": (
        "Calla 30 s y corta; no acepta nada.",
        "Silent for 30 s, then hangs up; accepts nothing.",
    ),
    "fault_cut_before": ("Corta antes de aceptar", "Hangs up before accepting"),
    "fault_cut_before_help": ("No acepta y cierra la conexión.", "Accepts nothing and closes."),
    "fault_slow": ("Muy lento", "Very slow"),
    "fault_slow_help": ("Espera 5 s y sigue normal.", "Waits 5 s, then goes on normally."),
    "fault_cut_reply": ("Respuesta cortada", "Reply cut off"),
    "fault_cut_reply_help": (
        "Acepta el mensaje y cierra sin contestar.",
        "Accepts the message and closes without an answer.",
    ),
    "fault_hang_after_accept": ("Acepta y calla", "Accepts, then silence"),
    "fault_hang_after_accept_help": (
        "Acepta, pero contesta 30 s después.",
        "Accepts, but answers 30 s later.",
    ),
    "fault_error_after_accept": ("Acepta y dice error", "Accepts, but says error"),
    "fault_error_after_accept_help": (
        "Acepta y responde 500 sin explicación.",
        "Accepts and answers 500 without a word.",
    ),
    "fault_malformed_reply": ("Respuesta ilegible", "Unreadable reply"),
    "fault_malformed_reply_help": (
        "Acepta y responde un texto roto.",
        "Accepts and answers broken text.",
    ),
    "fault_blocked": ("El cliente bloqueó la línea", "The customer blocked the line"),
    "fault_blocked_help": (
        "Queda en un visto para siempre.",
        "Stays at one tick for ever.",
    ),
    "fault_undeliverable": ("No se puede entregar", "Undeliverable"),
    "fault_undeliverable_help": ("Falla después (131026).", "Fails later (131026)."),
    "fault_window_closed": ("Ventana cerrada", "Window closed"),
    "fault_window_closed_help": (
        "Acepta y luego avisa que falló (131047).",
        "Accepts, then reports a failure (131047).",
    ),
    "fault_silent": ("Sin noticias", "No news"),
    "fault_silent_help": ("Acepta y no avisa nada más.", "Accepts and never reports again."),
    "fault_skip_delivered": ("Leído sin entregado", "Read without delivered"),
    "fault_skip_delivered_help": (
        "Salta el doble visto gris.",
        "Leaves out the grey double tick.",
    ),
    "fault_webhook_twice": ("Avisos repetidos", "Updates twice"),
    "fault_webhook_twice_help": ("Cada aviso llega dos veces.", "Each update comes twice."),
    "fault_webhook_shuffled": ("Avisos desordenados", "Updates out of order"),
    "fault_webhook_shuffled_help": (
        "Llegan con hasta 5 s de diferencia.",
        "They come up to 5 s apart.",
    ),
    "fault_webhook_bad_signature": ("Firma falsa", "Wrong signature"),
    "fault_webhook_bad_signature_help": (
        "Firmados con el secreto de otra aplicación.",
        "Signed with another app's secret.",
    ),
    "fault_webhook_held": ("Avisos detenidos", "Updates held back"),
    "fault_webhook_held_help": (
        "Nada llega a Charla hasta apagarlo.",
        "Nothing reaches Charla until switched off.",
    ),
    "group_wpp": ("WPPConnect falla", "WPPConnect fails"),
    "fault_wpp_webhook": ("Avisos perdidos", "Updates lost"),
    "fault_wpp_webhook_help": (
        "No llegan nunca; solo quedan en el historial del teléfono.",
        "They never come; only the phone's history has them.",
    ),
    "fault_wpp_again": ("Avisos dobles", "Updates doubled"),
    "fault_wpp_again_help": ("Cada aviso llega dos veces.", "Each update comes twice."),
    "fault_wpp_away": ("Sesión caída al enviar", "Session gone when sending"),
    "fault_wpp_away_help": ("Responde 404 Disconnected.", "Answers 404 Disconnected."),
    "fault_wpp_empty": ("Responde 201 sin nada", "Answers 201 with nothing"),
    "fault_wpp_empty_help": ("Dice que sí y no envía.", "Says yes and sends nothing."),
    "fault_wpp_refuse": ("Dice que el número no existe", "Says the number does not exist"),
    "fault_wpp_refuse_help": (
        "Responde 400 y lo envía de todos modos.",
        "Answers 400 and sends it all the same.",
    ),
    "fault_wpp_start": ("El inicio se cuelga", "The start hangs"),
    "fault_wpp_start_help": (
        "Se queda en INITIALIZING hasta que lo cierren.",
        "Stays at INITIALIZING until it is closed.",
    ),
    "fault_wpp_qr": ("El código QR vence pronto", "The QR code expires early"),
    "fault_wpp_qr_help": ("Se cierra en segundos.", "It closes within seconds."),
    "fault_wpp_media": ("Archivo sin descifrar", "File not decrypted"),
    "fault_wpp_media_help": (
        "Llega solo la vista previa.",
        "Only the preview comes along.",
    ),
    "lines": ("Líneas por código QR", "Lines by QR code"),
    "lines_text": (
        "El teléfono de la línea está en su mano: escanee, desvincule o tumbe el servidor.",
        "You hold the line's phone: scan, unlink, or bring its server down.",
    ),
    "line_scan": ("Escanear", "Scan"),
    "line_unlink": ("Desvincular", "Unlink"),
    "line_lose": ("Tumbar el servidor", "Bring the server down"),
    "line_connected": ("conectada", "connected"),
    "line_qrcode": ("muestra el código", "shows the code"),
    "line_initializing": ("iniciando", "starting"),
    "line_closed": ("cerrada", "closed"),
}  # fmt: skip

GROUPS: list[tuple[str, list[str]]] = [
    (
        "group_refused",
        [
            "rate_limit",
            "pair_limit",
            "window_closed_at_once",
            "token_expired",
            "server_error",
        ],
    ),
    (
        "group_unknown",
        [
            "cut_reply",
            "timeout",
            "unavailable",
            "hang_after_accept",
            "error_after_accept",
            "malformed_reply",
            "cut_before",
            "slow",
        ],
    ),
    ("group_fate", ["blocked", "undeliverable", "window_closed", "silent", "skip_delivered"]),
    (
        "group_webhook",
        ["webhook_held", "webhook_twice", "webhook_shuffled", "webhook_bad_signature"],
    ),
    (
        "group_wpp",
        [
            "wpp_webhook",
            "wpp_again",
            "wpp_away",
            "wpp_empty",
            "wpp_refuse",
            "wpp_start",
            "wpp_qr",
            "wpp_media",
        ],
    ),
]


def choose_language(asked: str, accepted: Iterable[str]) -> str:
    """`?lang=` first, then the browser's list in its order, else Spanish."""
    for candidate in (asked, *accepted):
        if candidate[:2].lower() in LANGUAGES:
            return candidate[:2].lower()
    return "es"


def words(language: str) -> dict[str, str]:
    """The whole dictionary in one language."""
    column = LANGUAGES.index(language)
    return {key: pair[column] for key, pair in WORDS.items()}
