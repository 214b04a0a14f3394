"""Turns the demo's talks into rows: clients, chats, messages, events, notes and tags.

All lie in the past, counted from the moment of loading, so that windows, waits and unread marks
make sense whenever that is. Rows are written directly, not through the services: these would ring,
check times against now, and take their moments from the clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from crm.db import db
from crm.lib.clock import utcnow
from crm.lib.text import fold
from crm.models import (
    Chat,
    ChatNote,
    ChatOwner,
    ChatPriority,
    ChatStatus,
    ChatTag,
    Client,
    ClientConsent,
    ClientIdentity,
    ClientTag,
    ConsentValue,
    Direction,
    IdentityKind,
    LeadStatus,
    Message,
    MessageStatus,
    MessageType,
    PendingReason,
    Tag,
    User,
    next_case_number,
)
from crm.services.demo.bot import attach_bot, build_flow
from crm.services.demo.house import House
from crm.services.demo.parts import Part
from crm.services.demo.props import PROPS, Props, hang_prop, prop_meta
from crm.services.demo.script import Line, lines_of
from crm.services.demo.story import tell_story
from crm.services.demo.talks import Customer, Talk
from crm.services.messages.consent import is_opt_out
from crm.services.messages.preferences import MARKETING

TAGS = {
    "VIP": "pink", "Mayorista": "blue", "Pedido": "green", "Cotización": "amber",
    "Garantía": "blue", "Queja": "pink", "Internacional": "grey",
}  # fmt: skip
# The refusal under the one message that failed: the number takes no messages.
FAILURE_CODE = "131026"
# How long after writing it somebody edits or deletes a message.
CHANGED_AFTER = timedelta(seconds=20)


def play_talks(talks: Iterable[Talk], house: House, props: Props) -> None:
    """Write every talk, the oldest first, so that case numbers follow time.

    What is not in `props` is shown as a file that is not here.
    """
    now = utcnow()
    staged = [(talk, lines_of(talk, now)) for talk in talks]
    staged.sort(key=lambda pair: pair[1][0].at)
    clients = welcome_clients([talk.who for talk in talks], staged, house)
    db.session.add_all(
        Tag(name=fold(label), label=label, colour=colour, created_by=house.people["marta"].id)
        for label, colour in TAGS.items()
    )
    flow = None
    for talk, lines in staged:
        chat = open_stage(talk, lines, clients[talk.who], house)
        db.session.flush()
        say_lines(talk, lines, chat, house, props)
        tell_story(talk, lines, chat, house)
        decorate(talk, lines, chat, house)
        if talk.status == "bot":
            flow = flow or build_flow(house)
            attach_bot(flow, chat, started_at=lines[0].at, last_at=lines[-1].at)
    db.session.flush()


def welcome_clients(
    customers: Iterable[Customer], staged: list[tuple[Talk, list[Line]]], house: House
) -> dict[Customer, Client]:
    """One client each, however many talks; known since their first word."""
    clients: dict[Customer, Client] = {}
    for customer in dict.fromkeys(customers):
        moments = [line.at for talk, lines in staged if talk.who == customer for line in lines]
        clients[customer] = Client(
            phone_number=f"+{customer.phone}" if customer.phone else None,
            first_name=customer.first_name,
            last_name=customer.last_name,
            email=customer.email,
            company=customer.company,
            city=customer.city,
            country=customer.country,
            lead_status=LeadStatus(customer.lead),
            lead_score=customer.score,
            segment=customer.segment,
            notes=customer.notes,
            created_at=min(moments),
            last_contact_at=max(moments),
        )
    db.session.add_all(clients.values())
    db.session.flush()
    for customer, client in clients.items():
        db.session.add(identity_of(customer, client))
        if customer.wants_advertising:
            client.opt_in_date = client.created_at
            db.session.add(consent_of(client, ConsentValue.SIGNUP, client.created_at, "whatsapp"))
        for tag in customer.tags:
            db.session.add(
                ClientTag(client_id=client.id, tag=tag, created_by=house.people["marta"].id)
            )
    return clients


def identity_of(customer: Customer, client: Client) -> ClientIdentity:
    """By phone; who hides it is known by the user id that Meta gives to this business."""
    known_by_phone = customer.phone is not None
    return ClientIdentity(
        client_id=client.id,
        kind=IdentityKind.WA_ID if known_by_phone else IdentityKind.USER_ID,
        value=customer.phone if known_by_phone else f"CO.{10**15 + client.id}",
        profile_name=f"{customer.first_name} {customer.last_name}",
        username=customer.username,
        created_at=client.created_at,
        last_seen_at=client.last_contact_at,
    )


def consent_of(
    client: Client, value: ConsentValue, at: datetime, source: str, detail: str | None = None
) -> ClientConsent:
    """The proof of a choice about advertising, as services/messages/preferences.py keeps it."""
    return ClientConsent(
        client_id=client.id,
        category=MARKETING,
        value=value,
        occurred_at=at,
        source=source,
        detail=detail,
    )


def open_stage(talk: Talk, lines: list[Line], client: Client, house: House) -> Chat:
    """The chat's row with every fact that its script implies."""
    campaign = house.campaigns[talk.campaign]
    status = ChatStatus(talk.status)
    said = [line for line in lines if line.who != "r"]
    answers = [line.at for line in said if line.who in "at"]
    customers = [line.at for line in said if line.who in "clq"]
    unanswered = [at for at in customers if not answers or at > answers[-1]]
    first, last = lines[0].at, lines[-1].at
    chat = Chat(
        client_id=client.id,
        campaign_id=campaign.id,
        whatsapp_number_id=house.numbers[talk.campaign].id,
        queue_id=house.queues[talk.queue].id if talk.queue else None,
        status=status,
        priority=ChatPriority(talk.priority),
        owner=owner_of(talk),
        case_number=next_case_number(campaign.code, campaign.timezone),
        created_at=first,
        last_message_at=said[-1].at,
        last_inbound_at=customers[-1] if customers else None,
        waiting_since=unanswered[0] if unanswered and status.is_open else None,
        unread_count=talk.unread,
        message_count=len(said),
        version=len(lines),
        queued_at=first if talk.queue and lines[0].who != "t" else None,
        pending_reason=PendingReason(talk.pending) if talk.pending else None,
        snoozed_until=last + timedelta(hours=48) if talk.pending == "snoozed" else None,
        close_reason=talk.close_reason,
        outcome=talk.outcome,
        outcome_value=talk.value,
        satisfaction_rating=talk.rating,
        satisfaction_comment=talk.comment,
    )
    settle_agent(talk, lines, chat, house)
    db.session.add(chat)
    return chat


def settle_agent(talk: Talk, lines: list[Line], chat: Chat, house: House) -> None:
    """Who has it, how long it waited, and when it was answered and ended."""
    first, last = lines[0].at, lines[-1].at
    # Who was written to first has not waited.
    waited = timedelta(seconds=0 if lines[0].who == "t" else 20)
    answer = next((line.at for line in lines if line.who == "a"), None)
    if talk.agent:
        chat.assigned_agent_id = house.people[talk.agent].id
        chat.assigned_at = first + waited
        chat.wait_time_seconds = int(waited.total_seconds())
    if talk.offered_to:
        chat.offered_agent_id = house.people[talk.offered_to].id
        chat.offered_at = last
    if answer and waited:
        chat.first_response_at = answer
        chat.first_response_time_seconds = int((answer - first).total_seconds())
    if chat.status is ChatStatus.BOT:
        chat.bot_started_at = first
    if chat.status.is_final:
        chat.closed_at = last + timedelta(minutes=2)
        if chat.assigned_at:
            chat.handling_time_seconds = int((chat.closed_at - chat.assigned_at).total_seconds())


def owner_of(talk: Talk) -> ChatOwner | None:
    status = ChatStatus(talk.status)
    if status is ChatStatus.BOT:
        return ChatOwner.BOT
    return ChatOwner.HUMAN if talk.agent and status.is_open else None


def say_lines(talk: Talk, lines: list[Line], chat: Chat, house: House, props: Props) -> None:
    agent = house.people[talk.agent] if talk.agent else None
    rows = [message_of(line, chat, agent) for line in lines]
    inbound = [row for row in rows if row.direction is Direction.INBOUND]
    outbound = [row for row in rows if row.direction is Direction.OUTBOUND]
    words = [row for row in inbound if row.message_type is not MessageType.REACTION]
    for row in inbound:
        if row not in words[len(words) - talk.unread :]:
            row.read_at = row.position
    for row in outbound:
        tick(row, "read")
    if outbound:
        tick(outbound[-1], talk.last_tick)
    answer: Message | None = None
    for line, row in zip(lines, rows, strict=True):
        # A reaction or a quote of the customer is about what we said last.
        if line.who == "r" and answer:
            target = {"message_id": answer.whatsapp_message_id, "emoji": line.text}
            row.meta = {"reaction": target}
            row.target_whatsapp_id = answer.whatsapp_message_id
        if answer and (line.who == "q" or (line.part and line.part.answers)):
            row.meta = {**(row.meta or {}), "quote": {"message_id": answer.whatsapp_message_id}}
        if row.direction is Direction.OUTBOUND:
            answer = row
    db.session.add_all(rows)
    # The id of the last is needed now; and ids follow time, where two share a moment.
    db.session.flush()
    for line, row in zip(lines, rows, strict=True):
        if row in inbound and is_opt_out(row.content):
            detail = f"{row.content} ({row.whatsapp_message_id})"
            row.client.opt_in = False
            db.session.add(consent_of(row.client, ConsentValue.STOP, line.at, "word", detail))
        if stored := props.get(line.name):
            hang_prop(row, stored, author=agent if row in outbound else None)
    chat.last_message_id = next(
        row.id for row in reversed(rows) if row.message_type is not MessageType.REACTION
    )


def message_of(line: Line, chat: Chat, agent: User | None) -> Message:
    inbound = line.who in "clqr"
    content, kind, meta = line.text, MessageType.TEXT, None
    if line.who == "l":
        spot, content = line.text.split(maxsplit=1)
        latitude, longitude = (float(part) for part in spot.split(","))
        kind = MessageType.LOCATION
        meta = {"location": {"latitude": latitude, "longitude": longitude, "name": content}}
    elif line.who == "t":
        kind = MessageType.TEMPLATE
    elif line.who == "r":
        kind = MessageType.REACTION
    elif line.name in PROPS:
        kind, meta = MessageType(PROPS[line.name].kind), prop_meta(PROPS[line.name])
    elif part := line.part:
        kind, meta = part.kind, part_meta(part, line)
    return Message(
        chat_id=chat.id,
        client_id=chat.client_id,
        whatsapp_number_id=chat.whatsapp_number_id,
        direction=Direction.INBOUND if inbound else Direction.OUTBOUND,
        user_id=agent.id if agent and line.who in "at" else None,
        is_bot_message=line.who == "b",
        message_type=kind,
        content=content or None,
        meta=meta,
        whatsapp_message_id=f"wamid.DEMO.{uuid4().hex}",
        whatsapp_timestamp=int(line.at.timestamp()),
        client_key=None if inbound else uuid4(),
        position=line.at,
        created_at=line.at,
        status=MessageStatus.DELIVERED if inbound else MessageStatus.SENT,
        delivered_at=line.at if inbound else None,
        sent_at=None if inbound else line.at,
        deleted_at=line.at + CHANGED_AFTER if line.part and line.part.is_deleted else None,
    )


def part_meta(part: Part, line: Line) -> dict[str, Any]:
    if part.original is None:
        return part.meta
    at = (line.at + CHANGED_AFTER).isoformat()
    return {**part.meta, "edited": {"original": part.original, "at": at, "times": 1}}


def tick(message: Message, status: str) -> None:
    """Give a message of ours its status and the times that belong to it."""
    message.status = MessageStatus(status)
    moment = message.position + timedelta(seconds=2)
    if message.status is MessageStatus.FAILED:
        message.failed_at, message.error_code = moment, FAILURE_CODE
        message.sent_at = message.delivered_at = message.read_at = None
        return
    rank = message.status.rank
    message.delivered_at = moment if rank >= MessageStatus.DELIVERED.rank else None
    message.read_at = moment if rank >= MessageStatus.READ.rank else None


def decorate(talk: Talk, lines: list[Line], chat: Chat, house: House) -> None:
    """Tags and the internal note."""
    author = house.people[talk.agent or "marta"]
    for tag in talk.tags:
        db.session.add(ChatTag(chat_id=chat.id, tag=tag, created_by=author.id))
    if talk.note:
        db.session.add(
            ChatNote(
                chat_id=chat.id,
                user_id=author.id,
                content=talk.note,
                created_at=lines[len(lines) // 2].at,
            )
        )
