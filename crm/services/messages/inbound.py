"""The way in: what providers posted becomes clients, chats, messages and ticks.

`receive` takes a set of POSTs and writes all of it with a handful of statements, whatever the
number of messages; the door runs it in one transaction. If anything in the set is refused,
`receive_singly` does the same again event by event under savepoints: the good ones are stored, the
broken one stays in the ledger. Both may be repeated with the same bodies: a message is known by its
provider's id, and what is stored already changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from crm.db import RETRYABLE_SQLSTATES, db, on_commit, savepoint
from crm.doorbell import ring_on_commit
from crm.events import Audience, ChatChanged, MessageAdded, publish_all
from crm.events import Event as LiveEvent
from crm.providers.base import Event, HistoryChunk, InboundMessage, Receipt
from crm.services.messages import ledger
from crm.services.messages.changes import apply_changes
from crm.services.messages.consent import apply_opt_out
from crm.services.messages.echoes import settle_spoken_on_phone
from crm.services.messages.identities import move_number, new_number_of
from crm.services.messages.keeping import UNCOUNTED
from crm.services.messages.known import Known, read_known
from crm.services.messages.ledger import Post
from crm.services.messages.prepared import Prepared
from crm.services.messages.rare import apply_rare, is_rare
from crm.services.messages.receipts import apply_receipts
from crm.services.messages.ringing import ring_for_route
from crm.services.messages.senders import claim_clients
from crm.services.messages.threads import Entry, keep_referral, place

log = structlog.get_logger(__name__)

# Errors that say "not now" instead of "not this": the provider shall come again.
PASSING_SQLSTATES = RETRYABLE_SQLSTATES | {"55P03", "57014", "53100", "53200", "53300"}

STORED = text("""
    SELECT whatsapp_message_id FROM messages
    WHERE whatsapp_message_id = ANY(CAST(:ids AS text[]))
""")

QUEUE_UP = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")

# Everything at once: the messages that are new, what they change about their chats and clients,
# and the ledger. Chats and clients are locked by this transaction, so that nothing moves meanwhile.
# The place in the thread is the provider's time, never a time to come.
STORE = Prepared(
    "store_deliveries",
    {"rows": "jsonb", "ledger": "jsonb", "bodies": "bytea[]"},
    f"""
    WITH given AS (
        SELECT r.*, LEAST(r.sent_at, clock_timestamp()) AS place
        FROM jsonb_to_recordset($1)
             AS r(n int, chat_id int, client_id int, number_id int, kind text, content text,
                  mime text, metadata jsonb, wamid text, stamp bigint, sent_at timestamptz,
                  counts boolean, calls boolean, renews boolean, first_name text, speaks boolean,
                  target text)
    ), stored AS (
        INSERT INTO messages (chat_id, client_id, whatsapp_number_id, direction, message_type,
                              content, media_mime_type, metadata, whatsapp_message_id,
                              whatsapp_timestamp, target_whatsapp_id, status, sent_at,
                              delivered_at, read_at, position)
        SELECT chat_id, client_id, number_id, 'inbound', kind, content, mime, metadata, wamid,
               stamp, target, 'delivered', place, now(), CASE WHEN NOT calls THEN now() END, place
        FROM given ORDER BY n
        ON CONFLICT (whatsapp_message_id) DO NOTHING
        RETURNING id, whatsapp_message_id
    ), added AS (
        SELECT given.*, stored.id AS message_id
        FROM stored JOIN given ON given.wamid = stored.whatsapp_message_id
    ), per_chat AS (
        SELECT chat_id,
               count(*) FILTER (WHERE counts) AS counted,
               count(*) FILTER (WHERE calls) AS called,
               max(place) FILTER (WHERE counts) AS last_at,
               (array_agg(message_id ORDER BY place DESC, message_id DESC)
                   FILTER (WHERE counts))[1] AS last_id,
               min(place) FILTER (WHERE calls) AS waits_since,
               max(place) FILTER (WHERE renews) AS inbound_at
        FROM added GROUP BY chat_id
    ), chats_moved AS (
        UPDATE chats SET
            message_count = message_count + p.counted,
            unread_count = unread_count + p.called,
            last_message_id = CASE
                WHEN p.last_at >= COALESCE(last_message_at, '-infinity') THEN p.last_id
                ELSE last_message_id END,
            last_message_at = GREATEST(last_message_at, p.last_at),
            last_inbound_at = GREATEST(last_inbound_at, p.inbound_at),
            waiting_since = LEAST(waiting_since, p.waits_since),
            version = version + 1,
            updated_at = now()
        FROM per_chat p WHERE chats.id = p.chat_id
    ), per_client AS (
        SELECT client_id, max(place) FILTER (WHERE renews) AS last_at, bool_or(speaks) AS speaks,
               min(first_name) AS first_name
        FROM added GROUP BY client_id
    ), clients_moved AS (
        UPDATE clients SET
            last_contact_at = GREATEST(last_contact_at, p.last_at),
            first_name = COALESCE(NULLIF(clients.first_name, ''), p.first_name),
            deleted_at = CASE WHEN p.speaks THEN NULL ELSE deleted_at END,
            updated_at = now()
        FROM per_client p WHERE clients.id = p.client_id
    ), fetches AS (
        -- The file of a message is fetched by a job: its row is there as soon as the message is.
        INSERT INTO media_fetches (message_id, whatsapp_number_id)
        SELECT message_id, number_id FROM added WHERE metadata -> 'media' ? 'id'
    ), ledger AS ({ledger.INSERT})
    SELECT wamid, message_id, change.one IS NOT NULL AS is_spoken_of
    FROM added LEFT JOIN LATERAL (
        SELECT 1 AS one FROM messages c WHERE c.target_whatsapp_id = wamid LIMIT 1
    ) AS change ON true
    ORDER BY message_id
""",  # noqa: S608 - the inner statement is ours
)


def receive(posts: Sequence[Post]) -> None:
    """Store every event of `posts` and their ledger rows. Call it inside one `atomic()`.

    Raises what the database raises; nothing is stored then, and `receive_singly` is the next step.
    """
    known = _begin(posts)
    messages: list[tuple[Post, InboundMessage]] = []
    receipts: list[Receipt] = []
    rare: list[tuple[Post, Event]] = []
    for post in posts:
        for event in post.events:
            if not _has_number(post, event, known):
                continue
            if isinstance(event, InboundMessage):
                messages.append((post, event))
            elif isinstance(event, Receipt):
                receipts.append(event)
            elif is_rare(event):
                rare.append((post, event))
    _write(_place(messages, known), [] if rare else posts)
    if receipts:
        apply_receipts(receipts)
    if rare:
        for post, event in rare:
            _apply_or_defer(post, event, known)
        # Only now it is known what could not be done with each POST.
        _write([], posts)


def _apply_or_defer(post: Post, event: Event, known: Known) -> None:
    """A number's past is read from the ledger by a job: nobody waits for thousands of messages."""
    if isinstance(event, HistoryChunk) and post.ledger_id is None:
        post.is_deferred = True
        ring_on_commit("messages.import_history", "all")
    else:
        apply_rare(post, event, known.numbers.get(event.phone_number_id or ""))


def receive_singly(posts: Sequence[Post]) -> list[Exception | None]:
    """The same, event by event, so that one bad event harms no other. Call it inside `atomic()`.

    Returns for each POST None, or the error for which its provider shall come again (a lock that
    did not come free); nothing of that POST is stored then.
    """
    failures: list[Exception | None] = []
    for post in posts:
        post.begin()
        try:
            with savepoint():
                store_events(post)
                _write([], [post])
            failures.append(None)
        except DBAPIError as error:
            if not is_passing(error):
                raise
            failures.append(error)
    return failures


def _begin(posts: Sequence[Post]) -> Known:
    for post in posts:
        post.begin()
    return read_known(event for post in posts for event in post.events)


def store_events(post: Post) -> None:
    """Every event of one POST by itself; what is refused is noted on it. Passing errors rise."""
    for event in post.events:
        if isinstance(event, InboundMessage | Receipt) or is_rare(event):
            _store_alone(post, event)


def _place(messages: Sequence[tuple[Post, InboundMessage]], known: Known) -> list[Entry]:
    """Find clients and chats for a set; notes on its post what has to wait for a campaign."""
    fresh = _without_doubles(messages, known)
    if not fresh:
        return []
    people = claim_clients([message.sender for _, message in fresh], known.people)
    entries = [
        Entry(message, known.numbers[message.phone_number_id], person, post)
        for (post, message), person in zip(fresh, people, strict=True)
    ]
    # The clients are locked by now: before a chat is opened for a message, one more look, which
    # nobody can overtake, whether it is there already.
    opening = [entry.message for entry in entries if entry.key not in known.threads]
    there = _stored_ids(opening)
    entries = [entry for entry in entries if entry.message.whatsapp_message_id not in there]
    place(entries, known.threads)
    for entry in entries:
        if entry.thread is None:
            entry.post.note("no_campaign", entry.message, "no campaign takes its new chats")
    return [entry for entry in entries if entry.thread is not None]


def _write(entries: list[Entry], posts: Sequence[Post]) -> None:
    """Messages, counters and ledger rows, in one statement."""
    rows = [_row(n, entry) for n, entry in enumerate(entries)]
    added = STORE.run(rows=json.dumps(rows), **ledger.ledger_rows(posts)).all()
    if added:
        spoken_of = {row.wamid for row in added if row.is_spoken_of}
        _follow_up(entries, {row.wamid: row.message_id for row in added}, spoken_of)


def _follow_up(entries: list[Entry], added: dict[str, int], spoken_of: set[str]) -> None:
    """What a few of the stored messages change beside their own chat; then tell the browsers."""
    fresh = [entry for entry in entries if entry.message.whatsapp_message_id in added]
    targets = {entry.message.target_id for entry in fresh if entry.message.target_id}
    known_targets = apply_changes(targets | spoken_of) if targets or spoken_of else set()
    if spoken := {e.thread.id for e in fresh if e.number.uses_phone and e.calls and e.thread}:
        settle_spoken_on_phone(spoken)
    for entry in fresh:
        apply_opt_out(entry.person.id, entry.message)
        if (metadata := entry.message.metadata) is None:
            continue
        if "referral" in metadata:
            keep_referral(entry)
        if "system" in metadata and new_number_of(entry.message):
            move_number(entry.person.id, entry.message)
    _announce(fresh, added, known_targets)


def _has_number(post: Post, event: Event, known: Known) -> bool:
    number = known.numbers.get(event.phone_number_id or "")
    if number is not None:
        post.number_id = post.number_id or number.id
        return True
    if event.phone_number_id is None:
        return is_rare(event)
    if isinstance(event, InboundMessage | Receipt) or is_rare(event):
        post.note("unknown_number", event, "no number here has this id")
    return False


def _without_doubles(
    messages: Sequence[tuple[Post, InboundMessage]], known: Known
) -> list[tuple[Post, InboundMessage]]:
    """Each id once, and only new ones; nobody without an identity becomes two clients."""
    first: dict[str, tuple[Post, InboundMessage]] = {}
    for pair in messages:
        if pair[1].whatsapp_message_id not in known.stored:
            first.setdefault(pair[1].whatsapp_message_id, pair)
    nameless = [key for key, (_, message) in first.items() if not message.sender.identities]
    if nameless:
        for key in sorted(nameless):
            db.session.execute(QUEUE_UP, {"key": f"message:{key}"})
        for key in _stored_ids(first[key][1] for key in nameless):
            del first[key]
    return list(first.values())


def _stored_ids(messages: Iterable[InboundMessage]) -> set[str]:
    ids = [message.whatsapp_message_id for message in messages]
    return set(db.session.scalars(STORED, {"ids": ids})) if ids else set()


def _row(n: int, entry: Entry) -> dict[str, Any]:
    """One message as the STORE statement reads it."""
    message, thread = entry.message, entry.thread
    assert thread is not None
    return {
        "n": n,
        "chat_id": thread.id,
        "client_id": entry.person.id,
        "number_id": entry.number.id,
        "kind": message.kind,
        "content": message.content,
        "mime": message.mime_type,
        "metadata": message.metadata,
        "wamid": message.whatsapp_message_id,
        "stamp": message.timestamp,
        "sent_at": message.sent_at.isoformat() if message.sent_at else None,
        "counts": message.kind not in UNCOUNTED,
        "calls": entry.calls,
        "renews": message.renews_window,
        "first_name": (message.sender.profile_name or "")[:100] or None,
        "speaks": message.is_utterance,
        "target": message.target_id,
    }


def _announce(entries: list[Entry], added: dict[str, int], known_targets: set[str]) -> None:
    """After the commit: tell the browsers, and ring for chats that nobody has taken.

    What speaks of a message that is here is shown on that one, which has been told of.
    """
    events: list[tuple[LiveEvent, Audience]] = []
    chats: dict[int, tuple[LiveEvent, Audience]] = {}
    for entry in entries:
        message_id = added[entry.message.whatsapp_message_id]
        thread = entry.thread
        assert thread is not None
        agents = {thread.assigned_agent_id, thread.offered_agent_id} - {None}
        audience = Audience(
            campaign_id=thread.campaign_id,
            agent_ids=tuple(sorted(agent for agent in agents if agent is not None)),
            waiting=thread.is_waiting,
        )
        if entry.message.target_id not in known_targets:
            events.append((MessageAdded(thread.id, message_id), audience))
        chats[thread.id] = (ChatChanged(thread.id), audience)
        ring_for_route(entry)
        if "id" in ((entry.message.metadata or {}).get("media") or {}):
            ring_on_commit("media.fetch", entry.number.id)
    if events:
        events += chats.values()
        on_commit(lambda: publish_all(events))


def _store_alone(post: Post, event: Event) -> None:
    try:
        with savepoint():
            known = read_known([event])
            if not _has_number(post, event, known):
                return
            if isinstance(event, InboundMessage):
                _write(_place([(post, event)], known), [])
            elif isinstance(event, Receipt):
                apply_receipts([event])
            else:
                _apply_or_defer(post, event, known)
    except Exception as error:
        if isinstance(error, DBAPIError) and is_passing(error):
            raise
        log.exception("event_not_stored", event_kind=type(event).__name__)
        post.note("refused", event, f"{type(error).__name__}: {getattr(error, 'orig', error)}")


def is_connection_lost(error: Exception) -> bool:
    """There is no database to ask, or none that answers: trying event by event is no use."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    sqlstate = getattr(error.orig, "pgcode", None) or ""
    unreachable = isinstance(error, OperationalError | InterfaceError) and not sqlstate
    return error.connection_invalidated or unreachable or sqlstate.startswith(("57P", "08"))


def is_passing(error: DBAPIError) -> bool:
    """The database is away, locked, full or tired: nothing is wrong with what we asked for."""
    return (
        error.connection_invalidated
        or getattr(error.orig, "pgcode", None) is None
        or error.orig.pgcode in PASSING_SQLSTATES  # type: ignore[union-attr]
    )
