"""The demo's customers and what was said, as a small script.

Each line of `words` is `who minutes text`: minutes since the line before, and who speaks:
c = the customer, a = the chat's agent, b = the bot, t = a template of the agent's,
l = the customer's location (latitude, longitude, name), r = the customer's reaction to our last
message, q = the customer, quoting our last message. A text may begin with a name in brackets: a
file of props.py, whose caption follows, or what parts.py knows under that name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Customer:
    """`phone` in digits, as WhatsApp's `wa_id`; None = known only by a username."""

    phone: str | None
    first_name: str
    last_name: str
    city: str = "Bogotá"
    country: str = "CO"
    company: str | None = None
    email: str | None = None
    segment: str | None = None
    lead: str = "contacted"
    score: int = 30
    tags: tuple[str, ...] = ()
    notes: str | None = None
    username: str | None = None
    wants_advertising: bool = False


@dataclass(frozen=True)
class Talk:
    """One chat. `ago` is how long its last line lies back."""

    who: Customer
    campaign: str
    status: str
    ago: timedelta
    words: str
    queue: str | None = None
    agent: str | None = None
    unread: int = 0
    priority: str = "normal"
    tags: tuple[str, ...] = ()
    note: str | None = None
    offered_to: str | None = None
    pending: str | None = None
    close_reason: str | None = None
    outcome: str | None = None
    value: int | None = None
    rating: int | None = None
    comment: str | None = None
    # The status of our last message; the ones before were read.
    last_tick: str = "read"


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


# The three customers whom the simulated phone shows first.
CAROLINA = Customer(
    "573015550142", "Carolina", "Restrepo", city="Medellín", segment="vip", lead="won", score=90,
    email="carolina.restrepo@example.com", tags=("vip",),
    wants_advertising=True,
    notes="Prefiere que le escriban por la tarde. Factura a nombre de Dulces del Valle S.A.S.",
)  # fmt: skip
JHON = Customer("573005550187", "Jhon", "Gutiérrez", city="Cali", lead="qualified", score=55)
MARIA_PAZ = Customer("573105550163", "María Paz", "Ñáñez", city="Popayán", lead="new", score=20)

TALKS: tuple[Talk, ...] = (
    Talk(CAROLINA, "VENTAS", "active", minutes(4), queue="General", agent="laura", unread=2,
         priority="high", tags=("pedido",), note="Tiene cupo de crédito aprobado hasta 5 millones.",
         words="""
         c 0 Hola Laura, buenas tardes
         c 0.3 ¿Les quedan cafeteras de la roja, la de 12 tazas?
         a 1 ¡Hola, Carolina! Sí, nos quedan 8 unidades en bodega.
         a 0.2 [cafetera] Cafetera italiana roja, *12 tazas*
         a 0.5 Le sale en $ 289.900 con el 10 % por ser clienta frecuente.
         c 3 Perfecto. Necesito 4 para la oficina
         a 2 Listo, se las separo. ¿Se las envío a la misma dirección de El Poblado?
         r 0.2 👍
         c 5 Sí, la misma. Que las reciba el portero, le comparto el contacto
         c 0.3 [portero] Edilberto Marín
         c 0.5 ¿Y la factura puede salir a nombre de la empresa?
         """),
    Talk(JHON, "VENTAS", "active", minutes(38), queue="General", agent="jhon",
         last_tick="delivered",
         words="""
         c 0 Buenas, ¿el combo de olla y sartén sigue en promoción?
         a 2 Buen día, Jhon. Sí, hasta el domingo: $ 199.900.
         c 4 ¿Y el envío a Cali cuánto vale?
         a 1 A Cali es gratis por compras de más de $ 150.000. Llega en 2 o 3 días hábiles.
         """),
    Talk(MARIA_PAZ, "SOPORTE", "assigned", minutes(3), queue="Garantías", agent="yuliana", unread=4,
         tags=("garantia",),
         words="""
         c 0 Buenas tardes
         c 0.2 Compré una licuadora hace un mes y ya no prende
         c 0.5 [licuadora] Ni siquiera enciende el bombillo
         c 0.6 ¿Cómo hago válida la garantía?
         """),
    Talk(Customer("573125550110", "Luz Dary", "Quintero", city="Pereira", segment="vip",
                  lead="negotiation", score=75, company="Hotel Mirador", tags=("vip", "mayorista")),
         "VENTAS", "active", minutes(16), queue="Mayoristas", agent="laura", unread=1,
         priority="urgent", tags=("cotizacion", "mayorista"),
         words="""
         c 0 Buen día. Estamos dotando 24 habitaciones y necesitamos cotizar hervidores y planchas
         a 3 Buen día, doña Luz Dary. Con mucho gusto. ¿24 de cada uno?
         c 2 [editado] Sí, y 2 planchas industriales
         a 18 [cotizacion] Aquí va: $ 11.340.000 más IVA, entrega en 8 días.
         q 25 Está muy bien. ¿Ese valor me lo sostienen hasta el viernes?
         """),
    Talk(Customer("573155550121", "Óscar", "Bedoya", city="Manizales", lead="new", score=10),
         "VENTAS", "queued", minutes(2), queue="General", unread=2,
         words="""
         c 0 Buenas
         c 0.4 [pedido-repuestos] ¿Me sirven para la máquina de la línea Plata?
         """),
    Talk(Customer("573185550134", "Paola", "Echeverri", city="Envigado", lead="new", score=15),
         "VENTAS", "queued", minutes(7), queue="General", unread=2, priority="high",
         words="""
         c 0 Hola, hice un pago por PSE y la página se quedó en blanco
         c 0.4 [pago] ¿Quedó mi pedido?
         """),
    Talk(Customer("573205550145", "Hernán", "Pabón", city="Cúcuta", lead="contacted", score=35),
         "SOPORTE", "queued", minutes(11), queue="Soporte técnico", unread=2,
         words="""
         c 0 El técnico quedó de venir esta mañana y no llegó
         c 6 [voz]
         """),
    Talk(Customer("573045550156", "Ximena", "Arboleda", city="Bogotá", lead="new", score=5),
         "VENTAS", "new", minutes(0.3), unread=1,
         words="""
         c 0 [anuncio] Hola! vi el anuncio de las freidoras 😊
         """),
    Talk(Customer("573115550167", "Camilo", "Useche", city="Neiva", lead="new", score=5),
         "SOPORTE", "bot", minutes(1), unread=2,
         words="""
         c 0 Hola
         b 0.1 [menu] ¡Hola! Soy el bot de Soporte. ¿Qué necesita?
         c 0.5 [garantia] Garantía
         b 0.1 Con gusto. Escríbame el serial del equipo, por favor; está debajo de la base.
         """),
    Talk(Customer("573135550178", "Adriana", "Mosquera", city="Buenaventura", lead="follow_up",
                  score=45, email="adriana.m@example.com"),
         "VENTAS", "pending", hours(5), queue="General", agent="laura", pending="customer",
         words="""
         c 0 ¿Me reservas el juego de cuchillos azul?
         a 4 Claro que sí, Adriana. Queda reservado a su nombre hasta mañana al mediodía.
         c 2 Gracias, consulto con mi esposo y le confirmo
         c 0.2 [gracias]
         a 1 Con mucho gusto, quedo pendiente.
         r 0.5 🙏
         """),
    Talk(Customer("573165550189", "Fabián", "Ochoa", city="Montería", lead="proposal", score=60,
                  company="Restaurante La Ceiba"),
         "VENTAS", "pending", hours(29), queue="Mayoristas", agent="jhon", pending="snoozed",
         tags=("cotizacion",), note="El dueño decide el jueves; llamar si no escribe.",
         words="""
         c 0 Buenas, ¿me regala la cotización de los dos congeladores?
         a 12 Buen día, Fabián. Aquí va: dos congeladores de 400 L, $ 6.480.000 con instalación.
         c 9 Listo, la reviso con el dueño
         a 2 Perfecto. Le escribo el jueves para saber cómo les fue.
         """),
    Talk(Customer("573175550190", "Sandra", "Cifuentes", city="Tunja", score=25),
         "SOPORTE", "pending", hours(7), queue="Soporte técnico", agent="yuliana",
         pending="callback",
         words="""
         c 0 No he podido configurar el horno, ¿me pueden llamar?
         a 6 [horarios] Claro, doña Sandra. ¿A qué hora la llamamos?
         c 3 [cinco] 5 de la tarde
         a 1 Agendado. La llama nuestro técnico Rubén.
         """),
    Talk(Customer("573225550102", "Wilson", "Caicedo", city="Pasto", lead="qualified", score=50),
         "VENTAS", "transferred", minutes(9), queue="General", agent="laura", offered_to="jhon",
         unread=1,
         words="""
         c 0 Hola, quiero cambiar la batidora que me llegó, es de otro color
         c 0.5 [borrado] mi cédula es 1.088.555.014
         a 3 Lamento el inconveniente, Wilson. Le paso con mi compañero Jhon, que ve los cambios.
         c 4 Bueno, quedo atento
         """),
    Talk(Customer("525555550134", "Valeria", "Sepúlveda", city="Ciudad de México", country="MX",
                  lead="contacted", score=30),
         "VENTAS", "active", hours(22.8), queue="General", agent="laura", tags=("internacional",),
         words="""
         c 0 Hola, ¿hacen envíos a México?
         a 5 ¡Hola, Valeria! Sí, por correo certificado; tarda de 8 a 12 días.
         c 3 Súper. ¿Me pasas el costo a CDMX?
         a 2 Son 32 dólares por una freidora. ¿Le armo el pedido?
         """),
    Talk(Customer(None, "Carlos", "Mejía", city="Barranquilla", lead="new", score=10,
                  username="carlos.mejia"),
         "VENTAS", "active", minutes(52), queue="General", agent="jhon",
         words="""
         c 0 Buenas, ¿tienen tienda física en Barranquilla?
         a 4 Buen día, Carlos. Sí, en el centro comercial Buenavista, local 214.
         l 3 11.013100,-74.827700 Estoy por aquí, Parque Venezuela
         a 1 Está a unos 10 minutos. Lo esperamos.
         """),
    Talk(Customer("573145550113", "Gloria", "Rincón", city="Ibagué", lead="contacted", score=40),
         "SOPORTE", "active", hours(1.4), queue="Garantías", agent="yuliana", tags=("garantia",),
         last_tick="failed",
         words="""
         c 0 Buenas tardes, ¿qué pasó con mi plancha? La dejé hace 10 días
         a 7 Buenas tardes, doña Gloria. Ya está lista; pasó todas las pruebas.
         c 2 ¡Qué bueno! ¿La puedo recoger hoy?
         a 3 Sí, hasta las 7 de la noche, con la cédula.
         """),
    Talk(Customer("573235550124", "Duván", "Tabares", city="Armenia", lead="contacted", score=20),
         "SOPORTE", "assigned", minutes(1), queue="Soporte técnico", agent="jhon", unread=2,
         words="""
         c 0 Buenas, la app de la cafetera no conecta con el wifi
         c 0.5 [luz] La luz se queda así
         """),
    Talk(Customer("573195550135", "Natalia", "Zuluaga", city="Rionegro", segment="frecuente",
                  lead="won", score=85, tags=("vip",)),
         "VENTAS", "closed", hours(20), queue="General", agent="laura", close_reason="resolved",
         outcome="sale", value=459800, rating=5, comment="Muy amable y rápida",
         words="""
         c 0 Hola, quiero dos freidoras de 5 litros
         a 1 ¡Hola, Natalia! Con gusto: $ 459.800 las dos, con envío incluido.
         c 2 ¿Puedo pagar contra entrega?
         a 1 Sí, sin problema.
         c 1 Listo, entonces me las envía por favor
         a 2 [pedido] Pedido A-2291 confirmado. Le llega el miércoles.
         r 0.3 ❤️
         """),
    Talk(Customer("573215550146", "Rodrigo", "Villamil", city="Yopal", lead="lost", score=10),
         "VENTAS", "closed", hours(27), queue="General", agent="jhon", close_reason="resolved",
         outcome="no_sale", rating=3,
         words="""
         c 0 ¿A cómo la nevera de 300 litros?
         a 9 Buen día, Rodrigo. Está en $ 1.890.000.
         c 3 Uy, está más barata en otro lado. Gracias
         a 1 Entiendo. Si cambia de opinión, con gusto le ayudo.
         c 2 BAJA
         a 0.5 Listo, no le enviamos más publicidad.
         """),
    Talk(Customer("573245550157", "Esperanza", "Tovar", city="Florencia", score=30),
         "SOPORTE", "closed", hours(45), queue="Soporte técnico", agent="yuliana",
         close_reason="resolved", outcome="information", rating=4,
         words="""
         c 0 Buenas, ¿cómo limpio el filtro de la campana?
         a 5 Buenas tardes. Se retira hacia abajo y se lava con agua tibia y jabón suave.
         c 4 Muchísimas gracias
         a 0.5 Con mucho gusto.
         """),
    Talk(Customer("573035550168", "Álvaro", "Sanclemente", city="Buga", lead="contacted", score=20),
         "SOPORTE", "closed", hours(52), queue="Garantías", agent="jhon", close_reason="resolved",
         outcome="complaint", rating=2, comment="Se demoraron mucho, ¿quién me responde?",
         tags=("queja",),
         words="""
         c 0 Llevo tres semanas esperando el cambio del microondas
         c 3 [llamada]
         a 24 Don Álvaro, le pido disculpas por la demora. Ya lo estoy revisando.
         c 8 Eso mismo me dijeron la semana pasada
         a 15 Su equipo nuevo sale hoy con la guía 88120345. Le llega mañana.
         c 2 Bueno, espero que sí
         """),
    Talk(Customer("573085550179", "Brayan", "Cortés", city="Soacha", lead="new", score=5),
         "VENTAS", "abandoned", hours(31), queue="General",
         words="""
         c 0 Hola
         c 3 ¿Alguien me atiende?
         c 14 Bueno, gracias
         """),
    Talk(Customer("573095550180", "Promos", "Ganadoras", city="Bogotá", lead="lost", score=0),
         "VENTAS", "closed", hours(60), queue="General", agent="laura", close_reason="spam",
         words="""
         c 0 FELICIDADES!!! Usted ganó un iPhone, haga clic aquí para reclamar
         """),
    Talk(Customer("573025550191", "Mauricio", "Londoño", city="Sabaneta", lead="won", score=70,
                  email="mlondono@example.com"),
         "VENTAS", "closed", hours(70), queue="Mayoristas", agent="laura", close_reason="resolved",
         outcome="sale", value=3250000, rating=5,
         words="""
         t 0 Hola, Mauricio. Su pedido A-2107 ya va en camino. ¿Podemos ayudarle en algo más?
         c 35 ¡Excelente! Aprovecho: ¿me agrega 10 termos más?
         a 4 Claro, los sumo al mismo envío. Quedan en $ 3.250.000 en total.
         c 3 Listo, gracias Laura
         a 1 A usted, Mauricio.
         """),
    Talk(Customer("573075550103", "Ingrid", "Palomino", city="Leticia", lead="follow_up"),
         "VENTAS", "pending", hours(3), queue="General", agent="jhon", pending="customer",
         last_tick="sent",
         words="""
         t 0 Hola, Ingrid. Su pedido A-2301 ya va en camino. ¿Podemos ayudarle en algo más?
         """),
    # Carolina again: what the panel shows as earlier chats.
    Talk(CAROLINA, "VENTAS", "closed", hours(24 * 6), queue="General", agent="laura",
         close_reason="resolved", outcome="sale", value=289900, rating=5,
         comment="Excelente servicio",
         words="""
         c 0 Hola, quisiera la cafetera roja que vi en Instagram
         a 2 ¡Hola, Carolina! Con gusto. Está en $ 289.900 con envío a Medellín.
         c 5 La compro
         a 3 ¡Lista! Pedido A-1042, le llega mañana.
         """),
    Talk(JHON, "SOPORTE", "closed", hours(24 * 4), queue="Garantías", agent="yuliana",
         close_reason="resolved", outcome="information", rating=4,
         words="""
         c 0 ¿Hasta cuándo va la garantía de mi arrocera?
         a 6 Buen día, Jhon. Va hasta el 14 de marzo.
         c 1 Listo, gracias
         """),
)  # fmt: skip
