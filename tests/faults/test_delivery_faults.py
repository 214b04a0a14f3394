"""kill -9 of every process while 200 messages leave; the provider's own ledger is the judge.

I1 nothing lost, I2 nothing sent twice, I4 order kept, I10 nothing left lying about.
"""

from __future__ import annotations

import contextlib
import random
import re
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import pytest
import redis

from crm.services.messages import stuck
from tests.faults.desk import Desk
from tests.faults.sizes import FULL
from tests.simulator.server import SimulatorServer
from tests.stack import RunningStack

CHATS = 20
MESSAGES_PER_CHAT = 10
KILLS = 20
# "Back in 45 s", with the recovery times of this stack a tenth of the real ones.
BACK_SECONDS = 45


@dataclass
class Written:
    """What the desks wrote: chat id -> texts in the order of writing."""

    texts: dict[int, list[str]]

    def all(self) -> list[str]:
        return [text for texts in self.texts.values() for text in texts]


def open_chats(stack: RunningStack, whatsapp: SimulatorServer, *, count: int) -> dict[int, str]:
    """Customers write; chat id -> their wa_id, once the product has routed them all."""
    first = random.randrange(10**6)
    wa_ids = [f"57311{first + n:07d}" for n in range(count)]
    for wa_id in wa_ids:
        whatsapp.say(wa_id=wa_id, name=f"Cliente {wa_id[-3:]}", text="Hola")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        rows = stack.query(
            "SELECT c.id, substr(l.phone_number, 2) FROM chats c JOIN clients l"
            " ON l.id = c.client_id"
            " WHERE substr(l.phone_number, 2) = ANY(%s) AND c.status <> 'new'",
            wa_ids,
        )
        if len(rows) == count:
            # What the product says by itself (closed hours, a welcome) must not meet the faults.
            wait_until_quiet(stack, seconds=60)
            return dict(rows)
        time.sleep(0.1)
    raise AssertionError(f"{len(rows)} of {count} chats were opened")


def worker_pids(stack: RunningStack, queue: str) -> list[int]:
    """The live RQ workers of a queue, by the names that they register under."""
    client = redis.Redis.from_url(stack.settings["REDIS_URL"], decode_responses=True)
    mine = {child.pid for child in psutil.Process(stack.process.pid).children(recursive=True)}
    pids = [int(name.rsplit("-", 2)[1]) for name in client.smembers("rq:workers")
            if name.split(":")[-1].startswith(f"{queue}-")]  # fmt: skip
    return [pid for pid in pids if pid in mine]


def victims(stack: RunningStack) -> dict[str, Callable[[], list[int]]]:
    """Every process of the product, by what it does."""

    def named(*words: str) -> Callable[[], list[int]]:
        return lambda: [process.pid for process in stack.processes(*words)]

    def parents(*words: str) -> Callable[[], list[int]]:
        return lambda: [
            process.pid
            for process in stack.processes(*words)
            if process.ppid() == stack.process.pid
        ]

    return {
        "delivery worker": lambda: worker_pids(stack, "delivery"),
        "routing worker": lambda: worker_pids(stack, "routing"),
        "worker parent": parents("flask", "worker"),
        "web worker": lambda: [
            process.pid
            for process in stack.processes("gunicorn")
            if process.ppid() != stack.process.pid
        ],
        "web parent": parents("gunicorn"),
        "clock": named("flask", "clock"),
    }


# Each process dies; the delivery worker most often, because it holds the messages.
ROUND = [
    "delivery worker",
    "web worker",
    "delivery worker",
    "clock",
    "delivery worker",
    "worker parent",
    "delivery worker",
    "web parent",
    "delivery worker",
    "routing worker",
]


def kill_one(stack: RunningStack, what: str, number: signal.Signals) -> str:
    """Kill a process of this kind; waits a moment where it is only just coming back."""
    find = victims(stack)[what]
    deadline = time.monotonic() + 20
    while not (pids := find()):
        assert time.monotonic() < deadline, f"no {what} came back"
        time.sleep(0.05)
    psutil.Process(random.choice(pids)).send_signal(number)
    return what


def write_all(desks: list[Desk], chats: list[int], written: Written, done: list[int]) -> None:
    """Every chat gets its messages in order, several chats at a time."""
    errors: list[BaseException] = []

    def work(desk: Desk, own: list[int]) -> None:
        try:
            for n in range(MESSAGES_PER_CHAT):
                for chat_id in own:
                    text = f"chat {chat_id} mensaje {n}"
                    written.texts[chat_id].append(text)
                    desk.write(chat_id, text)
                    done.append(1)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=(desk, chats[n :: len(desks)]))
        for n, desk in enumerate(desks)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def wait_until_quiet(stack: RunningStack, *, seconds: float) -> None:
    """Wait until no row is open: sent, failed, or uncertain for good."""
    deadline = time.monotonic() + seconds
    while True:
        open_rows = stack.query(
            "SELECT q.status, count(*) FROM message_queue q"
            " WHERE q.status IN ('pending', 'processing') GROUP BY 1"
        )
        if not open_rows:
            return
        assert time.monotonic() < deadline, f"still open after {seconds} s: {open_rows}"
        time.sleep(0.2)


def judge(stack: RunningStack, whatsapp: SimulatorServer, written: Written) -> Counter[str]:
    """Hold the product's books against the provider's ledger; returns the statuses."""
    rows = stack.query(
        "SELECT content, status, chat_id FROM messages WHERE direction = 'outbound'"
        " AND content = ANY(%s) ORDER BY id",
        written.all(),
    )
    status_of = {content: status for content, status, _ in rows}
    assert Counter(content for content, _, _ in rows) == Counter(written.all()), "in the books once"
    accepted = [row["text"] for row in whatsapp.accepted() if row["text"] in status_of]
    twice = {text: n for text, n in Counter(accepted).items() if n > 1}
    assert not twice, f"sent twice: {twice}"
    taken = set(accepted)
    lost = [text for text, status in status_of.items()
            if status not in ("uncertain", "failed") and text not in taken]  # fmt: skip
    assert not lost, f"called sent, never taken: {lost}"
    unsettled = [text for text, status in status_of.items()
                 if status in ("pending", "uncertain") and text in taken]  # fmt: skip
    assert not unsettled, f"taken, and we never learnt of it: {unsettled}"
    order = defaultdict(list)
    chat_of = {content: chat_id for content, _, chat_id in rows}
    for text in accepted:
        order[chat_of[text]].append(text)
    for chat_id, texts in order.items():
        wanted = [text for text in written.texts[chat_id] if text in taken]
        assert texts == wanted, f"out of order in chat {chat_id}"
    assert lost_messages(stack) == []
    return Counter(status for _, status, _ in rows)


def lost_messages(stack: RunningStack) -> list[tuple]:
    """What the product's own watch would find, with less patience than it has."""
    given = {"seconds": 5, "unresolved": 600, "farthest": stuck.FARTHEST_HOURS}
    statement = re.sub(r"(?<!:):(\w+)", lambda name: str(given[name[1]]), stuck.LOST.text)
    return stack.query(statement)


def wait_until_settled(stack: RunningStack, whatsapp: SimulatorServer, written: Written) -> None:
    """Uncertain ones that were taken are settled by the provider's own statuses."""
    whatsapp.hurry()
    whatsapp.wait_until_quiet(seconds=60)
    deadline = time.monotonic() + 30
    while True:
        taken = [row["text"] for row in whatsapp.accepted() if row["text"] in set(written.all())]
        unsettled = stack.query(
            "SELECT content FROM messages WHERE status = 'uncertain' AND content = ANY(%s)", taken
        )
        if not unsettled:
            return
        assert time.monotonic() < deadline, f"taken, and never told: {unsettled}"
        time.sleep(0.2)


def check_leftovers(stack: RunningStack) -> None:
    """I10: no message without a reason and a moment, no transaction left open."""
    assert stack.query("SELECT id FROM message_queue WHERE lease_until < now()") == []
    idle = """
        SELECT pid FROM pg_stat_activity WHERE datname = current_database()
        AND state LIKE 'idle in transaction%%' AND state_change < now() - interval '5 s'
    """
    assert stack.query(idle) == []


# In the suite every process dies by each of them in one run; in full, by one in a run of its own.
TURNS = {
    f"{KILLS} by {', then '.join(number.name for number in numbers)}": [
        number for number in numbers for _ in range(KILLS // len(numbers))
    ]
    for numbers in (
        [[signal.SIGKILL], [signal.SIGTERM]] if FULL else [[signal.SIGKILL, signal.SIGTERM]]
    )
}


@pytest.mark.timeout(420)
@pytest.mark.parametrize("turns", TURNS.values(), ids=TURNS)
def test_twenty_deaths_in_two_hundred_messages_lose_and_double_nothing(
    stack: RunningStack, whatsapp: SimulatorServer, turns: list[signal.Signals]
) -> None:
    chats = open_chats(stack, whatsapp, count=CHATS)
    # Slow enough that each kill finds messages on their way.
    whatsapp.set_fault("slow", seconds=0.3)
    desks = [Desk(stack) for _ in range(4)]
    for chat_id in chats:
        desks[0].take(chat_id)
    written = Written({chat_id: [] for chat_id in chats})
    done: list[int] = []
    writing = threading.Thread(target=write_all, args=(desks, list(chats), written, done))
    writing.start()
    killed: Counter[str] = Counter()
    total = CHATS * MESSAGES_PER_CHAT
    for n, number in enumerate(turns):
        while len(done) < n * total // KILLS and writing.is_alive():
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.3))
        killed[kill_one(stack, ROUND[n % len(ROUND)], number)] += 1
    writing.join(180)
    assert len(done) == total

    wait_until_quiet(stack, seconds=BACK_SECONDS)
    wait_until_settled(stack, whatsapp, written)
    statuses = judge(stack, whatsapp, written)
    check_leftovers(stack)
    print(f"\nkilled {dict(killed)}; repeats {[desk.repeats for desk in desks]}; {dict(statuses)}")
    assert sum(killed.values()) == KILLS
    assert statuses["failed"] == 0
    # Only a message that was on its way at a kill may end unknown, and most of these are settled.
    assert statuses["uncertain"] <= KILLS


@pytest.mark.timeout(120)
def test_a_worker_that_dies_after_the_provider_said_yes_sends_nothing_twice(
    stack: RunningStack, whatsapp: SimulatorServer
) -> None:
    (chat_id,) = open_chats(stack, whatsapp, count=1)
    whatsapp.set_fault("hang_after_accept", count=1, seconds=10)
    whatsapp.set_fault("webhook_held")
    desk = Desk(stack)
    desk.take(chat_id)
    written = Written({chat_id: [f"uno {chat_id}", f"dos {chat_id}"]})
    for text in written.texts[chat_id]:
        desk.write(chat_id, text)
    deadline = time.monotonic() + 20
    while not any(row["text"] == f"uno {chat_id}" for row in whatsapp.accepted()):
        assert time.monotonic() < deadline, "the first one never arrived"
        time.sleep(0.02)
    kill_one(stack, "delivery worker", signal.SIGKILL)

    wait_until_quiet(stack, seconds=BACK_SECONDS)
    (status,) = stack.query("SELECT status FROM messages WHERE content = %s", f"uno {chat_id}")
    assert status == ("uncertain",), "nobody knows before the provider speaks"
    whatsapp.clear_faults()
    wait_until_settled(stack, whatsapp, written)
    statuses = judge(stack, whatsapp, written)
    assert statuses["uncertain"] == statuses["failed"] == 0


@pytest.mark.timeout(180)
def test_two_terms_and_a_term_to_the_whole_group_send_nothing_twice(
    stack: RunningStack, whatsapp: SimulatorServer
) -> None:
    chats = open_chats(stack, whatsapp, count=4)
    desk = Desk(stack)
    for chat_id in chats:
        desk.take(chat_id)
    written = Written({chat_id: [] for chat_id in chats})
    whatsapp.set_fault("slow", seconds=1.0)

    def write_one_each(words: str) -> None:
        for chat_id in chats:
            written.texts[chat_id].append(f"chat {chat_id} {words}")
            desk.write(chat_id, written.texts[chat_id][-1])

    write_one_each("antes")
    # An impatient supervisor: the second one does not wait for what is under way.
    (pid,) = worker_pids(stack, "delivery")
    impatient = psutil.Process(pid)
    impatient.send_signal(signal.SIGTERM)
    time.sleep(1.1)  # RQ takes no second one in the same second
    with contextlib.suppress(psutil.NoSuchProcess):  # it was quick
        impatient.send_signal(signal.SIGTERM)
    write_one_each("después")
    # systemd's KillMode=control-group: the parent and everybody below it, at the same moment.
    (parent,) = victims(stack)["worker parent"]()
    family = [*psutil.Process(parent).children(recursive=True), psutil.Process(parent)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    write_one_each("al final")

    wait_until_quiet(stack, seconds=BACK_SECONDS)
    wait_until_settled(stack, whatsapp, written)
    statuses = judge(stack, whatsapp, written)
    check_leftovers(stack)
    assert statuses["failed"] == 0
    assert statuses["sent"] + statuses["delivered"] + statuses["read"] >= len(chats) * 2


@pytest.mark.timeout(180)
def test_a_hung_worker_that_comes_back_finds_its_rows_taken_and_writes_nothing(
    stack: RunningStack, whatsapp: SimulatorServer
) -> None:
    """A worker that is alone and late: stopped while it waits for the provider, then let go on."""
    (chat_id,) = open_chats(stack, whatsapp, count=1)
    desk = Desk(stack)
    desk.take(chat_id)
    whatsapp.set_fault("slow", seconds=2.0, count=1)
    written = Written({chat_id: [f"uno {chat_id}", f"dos {chat_id}", f"tres {chat_id}"]})
    for text in written.texts[chat_id]:
        desk.write(chat_id, text)
    deadline = time.monotonic() + 30
    while not stack.query("SELECT id FROM message_queue WHERE submitted_at IS NOT NULL"
                          " AND status = 'processing'"):  # fmt: skip
        assert time.monotonic() < deadline, "nothing is under way"
        time.sleep(0.02)
    (pid,) = worker_pids(stack, "delivery")
    late = psutil.Process(pid)
    late.suspend()
    over = "SELECT id FROM message_queue WHERE lease_until < now()"
    while not stack.query(over):  # whoever looks next finds it
        assert time.monotonic() < deadline, "the lease does not end"
        time.sleep(0.1)
    late.resume()

    wait_until_quiet(stack, seconds=BACK_SECONDS)
    whatsapp.clear_faults()
    wait_until_settled(stack, whatsapp, written)
    statuses = judge(stack, whatsapp, written)
    assert statuses["failed"] == statuses["uncertain"] == 0


# The last one: an empty Redis has forgotten the workers by whose names the others find them.
@pytest.mark.timeout(120)
def test_an_empty_redis_in_the_middle_loses_nothing(
    stack: RunningStack, whatsapp: SimulatorServer
) -> None:
    chats = open_chats(stack, whatsapp, count=5)
    whatsapp.set_fault("slow", seconds=0.2)
    desk = Desk(stack)
    for chat_id in chats:
        desk.take(chat_id)
    written = Written({chat_id: [] for chat_id in chats})
    client = redis.Redis.from_url(stack.settings["REDIS_URL"])
    for n in range(4):
        for chat_id in chats:
            text = f"chat {chat_id} vuelta {n}"
            written.texts[chat_id].append(text)
            desk.write(chat_id, text)
        client.flushdb()
    wait_until_quiet(stack, seconds=BACK_SECONDS)
    wait_until_settled(stack, whatsapp, written)
    assert judge(stack, whatsapp, written)["failed"] == 0
