"""The ledger: what the providers delivered, what became of it, and processing it again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, flash, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext

from crm.blueprints.htmx import go_to
from crm.db import atomic, retrying
from crm.forms.templates import CATEGORY_WORDS, QUALITY_WORDS
from crm.forms.templates import STATUS_WORDS as TEMPLATE_STATUS_WORDS
from crm.models import WebhookEvent, WebhookStatus
from crm.permissions import current_scope, requires, visible_chats
from crm.services import audit, numbers
from crm.services.hourly import hour_of
from crm.services.ledger import contents, hours, kinds, reading, replays, words
from crm.services.ledger.kinds import Content
from crm.services.ledger.reading import LedgerQuery
from crm.services.messages.replay import replay as replay_one

blueprint = Blueprint("ledger", __name__, url_prefix="/settings/ledger")

RANGES = {"24": _l("24 hours"), "72": _l("3 days"), "168": _l("7 days")}
STATUS_WORDS = {
    "trouble": _l("With trouble"),
    "processed": _l("Processed"),
    "partly": _l("Partly"),
    "failed": _l("Failed"),
    "waiting": _l("Waiting"),
    "received": _l("Not looked at yet"),
}
KIND_WORDS = {
    "message": _l("Messages"),
    "receipt": _l("Ticks of our messages"),
    "echo": _l("Written on the phone"),
    "call": _l("Calls"),
    "preference": _l("Advertising: stopped or wanted"),
    "contact": _l("The phone's address book"),
    "group": _l("Groups"),
    "history": _l("History of the phone"),
    "template": _l("Templates"),
    "number": _l("The number itself"),
    "account": _l("The account"),
    "session": _l("The session"),
    "other": _l("Kept, nothing to do"),
    "unknown": _l("Unknown kinds"),
    "problem": _l("Parts that cannot be read"),
}
TEMPLATE_WORDS = {
    "status": TEMPLATE_STATUS_WORDS,
    "quality": QUALITY_WORDS,
    "category": CATEGORY_WORDS,
}
STATUS_KINDS = {
    "processed": "on", "partly": "bad", "failed": "bad", "waiting": "wait", "received": "wait",
}  # fmt: skip


@blueprint.app_template_filter("ledger_reason")
def ledger_reason(problem: dict[str, Any]) -> dict[str, str]:
    found = words.words_of(str(problem.get("reason", "")))
    return {"meaning": _(found.meaning), "cure": _(found.cure)}


@blueprint.get("")
@requires("webhooks.read")
def index() -> ResponseReturnValue:
    query = asked()
    rows, more = reading.list_deliveries(query)
    held = {row.id: kinds.contents_of(row.holds) for row, _size in rows}
    span = request.args.get("range", "24")
    span = span if span in RANGES else "24"
    last = rows[-1][0] if rows else None
    older = address(before=f"{last.received_at.isoformat()}~{last.id}") if last and more else None
    return render_template(
        "ledger/list.html",
        frame="settings/_page.html",
        area="settings",
        rows=rows,
        held=held,
        **words_of_kinds(content for contents in held.values() for content in contents),
        query=query,
        span=span,
        ranges=RANGES,
        older=older,
        newest=address(before=None) if query.before else None,
        numbers=numbers.list_number_names(current_scope()),
        chart=hours.chart(hours=int(span), number_id=query.number_id),
        open_counts=reading.count_open(),
        run=replays.find_latest_replay(),
        address=address,
        status_words=STATUS_WORDS,
        status_kinds=STATUS_KINDS,
    )


@blueprint.get("/<int:delivery_id>")
@requires("webhooks.read")
def detail(delivery_id: int) -> ResponseReturnValue:
    row = reading.load_delivery(delivery_id)
    return _detail(row)


@blueprint.get("/<int:delivery_id>/body")
@requires("webhooks.read", "webhooks.read_body")
def body(delivery_id: int) -> ResponseReturnValue:
    """The body as it came, a page of it. That somebody read it is a deed: customers speak in it."""
    row = reading.load_delivery(delivery_id)
    page = request.args.get("page", "1")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1
    part = reading.read_body(row.id, page=number)
    if part.number == 1:
        with atomic():
            audit.record("webhooks.read_body", ("webhook_events", row.id))
    return _detail(row, body=part)


@blueprint.post("/<int:delivery_id>/replay")
@requires("webhooks.read", "webhooks.replay")
def replay(delivery_id: int) -> ResponseReturnValue:
    def unit() -> str:
        with atomic():
            row = reading.load_delivery(delivery_id)
            status = replay_one(delivery_id)
            hours.recount([row.received_at])
            audit.record("webhooks.replay", ("webhook_events", delivery_id))
            return status

    status = retrying(unit)
    flash(_("Processed again: %(status)s.", status=STATUS_WORDS[str(status)]))
    return go_to(url_for("ledger.detail", delivery_id=delivery_id))


@blueprint.post("/<int:delivery_id>/set-aside")
@requires("webhooks.read", "webhooks.replay")
def set_aside(delivery_id: int) -> ResponseReturnValue:
    """Nothing is to be done about it; or, with `back`, there is after all."""
    scope = current_scope()
    back = bool(request.form.get("back"))
    with atomic():
        row = reading.load_delivery(delivery_id, lock=True)
        reading.set_aside(row, by=None if back else scope.user_id)
        action = "webhooks.take_back" if back else "webhooks.set_aside"
        audit.record(action, ("webhook_events", delivery_id))
    return go_to(url_for("ledger.detail", delivery_id=delivery_id))


@blueprint.post("/replays")
@requires("webhooks.read", "webhooks.replay")
def begin() -> ResponseReturnValue:
    """Process the ticked rows again, or everything that the filters of this address find."""
    scope = current_scope()
    ids = ticked(request.form.getlist("id"))
    # A text is looked for among the newest only, which a run of many would overtake.
    everything = request.form.get("scope") == "all" and not asked().text
    if not everything and not ids:
        flash(_("Tick the deliveries to be processed again."))
        return go_to(address())
    query = LedgerQuery(**{**vars(asked()), "before": None}) if everything else None
    with atomic():
        run = replays.begin_replay(ids=ids, query=query, by=scope.user_id)
        audit.record("webhooks.replay_many", meta={"chosen": run.chosen, "total": run.total})
        total = run.total
    flash(ngettext("%(num)d delivery is being processed again.",
                   "%(num)d deliveries are being processed again.", total))  # fmt: skip
    return go_to(address())


@blueprint.get("/run")
@requires("webhooks.read")
def run() -> ResponseReturnValue:
    """How far the run of many is, for the page to look again."""
    return render_template("ledger/_run.html", run=replays.find_latest_replay())


@blueprint.post("/replays/<int:replay_id>/stop")
@requires("webhooks.read", "webhooks.replay")
def stop(replay_id: int) -> ResponseReturnValue:
    with atomic():
        stopped = replays.stop_replay(replay_id)
        audit.record("webhooks.stop_replay", ("webhook_replays", stopped.id))
    return go_to(url_for("ledger.index"))


def asked() -> LedgerQuery:
    """What the address asks for; what it does not know is left out, not refused."""
    status = request.args.get("status", "")
    number = request.args.get("number", "")
    at, _sep, row_id = request.args.get("before", "").partition("~")
    before = moment(at)
    known = before is not None and row_id.isascii() and row_id.isdigit() and len(row_id) < 19
    return LedgerQuery(
        status=status if status in STATUS_WORDS else "",
        number_id=int(number)
        if number.isascii() and number.isdigit() and len(number) < 10
        else None,
        kind=kind if (kind := request.args.get("kind", "")) in KIND_WORDS else "",
        hour=hour_of(found) if (found := moment(request.args.get("hour", ""))) else None,
        before=(before, int(row_id)) if before is not None and known else None,
        text=asked_text(),
    )


def asked_text() -> str:
    """What is looked for in the bodies; nothing from who may not read them."""
    text = request.args.get("q", "").replace("\x00", "").strip()[:100]
    return text if current_scope().can("webhooks.read_body") else ""


def moment(text: str) -> datetime | None:
    try:
        # A plus in an address is a space to whoever writes it by hand.
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found if 2000 < found.year < 9000 else None


def address(**changes: Any) -> str:
    """The address of this list with some of it changed; None takes a part away."""
    kept = {
        name: request.args.get(name) for name in ("status", "number", "kind", "hour", "range", "q")
    }
    parts = {name: value for name, value in {**kept, **changes}.items() if value}
    return f"{url_for('ledger.index')}?{urlencode(parts)}" if parts else url_for("ledger.index")


def ticked(values: Iterable[str]) -> list[int]:
    return [int(v) for v in values if v.isascii() and v.isdigit() and len(v) < 19]


def words_of_kinds(held: Iterable[Content]) -> dict[str, Any]:
    """What the sentences about deliveries need: words, and where this person may go from them."""
    scope = current_scope()
    return {
        "kind_words": KIND_WORDS,
        "template_words": TEMPLATE_WORDS,
        "places": contents.find_places(
            held, visible=visible_chats(scope), phones_visible=scope.can("clients.view_phone")
        ),
    }


def _detail(row: WebhookEvent, body: reading.BodyPage | None = None) -> ResponseReturnValue:
    events = contents.find_contents(row.id)
    return render_template(
        "ledger/detail.html",
        frame="settings/_page.html",
        area="settings",
        row=row,
        size=reading.size_of(row.id),
        events=events,
        **words_of_kinds(events),
        body=body,
        status_words=STATUS_WORDS,
        status_kinds=STATUS_KINDS,
        is_open=row.status != WebhookStatus.PROCESSED,
    )
