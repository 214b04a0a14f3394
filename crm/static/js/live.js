// The page's one live connection: it brings what has changed, and mends what was missed.
//
// What other modules hear, on `document`:
//   crm:row    {chat_id, version, html}               a list row, new or changed
//   crm:bubble {chat_id, message_id, version, html}   a message that was added to the open chat
//   crm:ticks  {chat_id, message_id, version, html}   the same message again, when it has changed
//   crm:event  {name, ...}       gone {chat_id}, agent {user_id}
//   crm:counts                   the numbers on the tabs have moved (they are in place)
//   crm:connection {state}       live, stale (no live events, the page asks every 10 s), offline
//   crm:synced {list, thread}    list or thread were fetched anew and morphed in
// What it hears: crm:opened, when another chat (or none) has been put on the screen.
// Messages keep their order; those that come while the page is being mended wait until it is.
//
// Why no hx-ws: docs/decisions/004-live-socket.md.
import { $, isLeaving, parse, tell, toLogin } from "./page.js";

const PATH = "/socket";
const BANNER_AFTER = 3000;
const POLL_EVERY = 10000;
// The server pings every 25 s; after two missed ones the line is dead, whatever the browser thinks.
const SILENCE = 60000;
const FIRST_DELAY = 500;
// With its jitter 7.5 s at most: after a server's death everybody is back within ten.
const LONGEST_DELAY = 5000;
const CLOSED = { restart: 1012, sessionOver: 4401, tooMany: 4409 };

let socket = null;
let attempt = 0;
let timer = 0;
let bannerTimer = 0;
let heardAt = Date.now();
let beatAt = Date.now();
let state = "connecting";
let resting = false; // too many pages of this person: this one only polls until it is looked at
let first = true;

const jitter = (ms) => ms * (0.5 + Math.random());
const byId = (id) => document.getElementById(id);

// ---------------------------------------------------------------------------------------- socket

function connect() {
  clearTimeout(timer);
  timer = 0;
  if (isLeaving() || (socket && socket.readyState <= WebSocket.OPEN)) return;
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const mine = new WebSocket(`${scheme}://${location.host}${PATH}`);
  socket = mine;
  mine.onopen = () => {
    if (mine !== socket) return;
    attempt = 0;
    resting = false;
    heardAt = Date.now();
    become("live");
    say({ type: "visible", value: !document.hidden });
    thread.subscribe();
  };
  mine.onmessage = ({ data }) => {
    if (mine !== socket) return;
    heardAt = Date.now();
    receive(JSON.parse(data));
  };
  mine.onclose = ({ code }) => {
    if (mine !== socket) return;
    socket = null;
    if (code === CLOSED.sessionOver) return toLogin();
    if (code === CLOSED.tooMany) resting = true;
    become("offline");
    if (resting && document.hidden) return;
    const base = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** attempt++);
    // After a restart everybody comes at once: spread them.
    retryIn(jitter(code === CLOSED.restart ? 1500 : resting ? 30000 : base));
  };
}

function retryIn(ms) {
  clearTimeout(timer);
  timer = setTimeout(connect, ms);
}

function say(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function drop() {
  const dead = socket;
  socket = null;
  dead?.close();
  become("offline");
  connect();
}

// What htmx asked for before the session was over is answered with a way to the login of its own.
document.addEventListener("htmx:before:response", (event) => {
  if (event.detail.ctx.response.status !== 401 && !isLeaving()) return;
  event.preventDefault();
  toLogin();
});

// ---------------------------------------------------------------------------------------- states

function become(next) {
  if (state === next) return;
  state = next;
  clearTimeout(bannerTimer);
  if (next === "live") showBanner(null);
  // A blink of the line is nobody's business.
  else bannerTimer = setTimeout(() => showBanner(next), next === "stale" ? 0 : BANNER_AFTER);
  document.documentElement.dataset.live = next;
  tell("crm:connection", { state: next });
}

function showBanner(which) {
  const banner = byId("banner");
  if (!banner) return;
  for (const text of banner.querySelectorAll("[data-text]")) text.hidden = text.dataset.text !== which;
  banner.hidden = !which;
}

setInterval(() => {
  const now = Date.now();
  const slept = now - beatAt > 30000;
  beatAt = now;
  if (socket?.readyState === WebSocket.OPEN && now - heardAt > SILENCE) return drop();
  if (slept) wake();
}, 5000);

setInterval(() => {
  // Without live events the page asks, hidden or not: the title still counts what is unread.
  if (state !== "live" && !isLeaving()) setTimeout(() => mend({ list: true, thread: true }), Math.random() * 2000);
}, POLL_EVERY);

let awayAt = 0;
function wake() {
  if (isLeaving()) return;
  if (socket?.readyState === WebSocket.OPEN) mend({ list: true, thread: true });
  else {
    attempt = 0;
    connect();
  }
}
document.addEventListener("visibilitychange", () => {
  say({ type: "visible", value: !document.hidden });
  if (document.hidden) awayAt = Date.now();
  else if (!socket || Date.now() - awayAt > 60000) wake();
});
addEventListener("online", wake);
addEventListener("pageshow", (event) => event.persisted && wake());
addEventListener("pagehide", () => socket?.close());

// -------------------------------------------------------------------------------------- messages

const waiting = [];
let mending = null;

function receive(message) {
  if (message.type === "ping") {
    say({ type: "pong" });
    if (message.chat_id === thread.id() && thread.isBehind(message)) mend({ thread: true });
  } else if (message.type === "hello") {
    // The server listens for us now. What happened before, since the cut or since the page's load,
    // is fetched (for the thread of a fresh page, the answer to `open` tells).
    mend({ list: true, thread: !first });
    first = false;
  } else if (message.type === "opened") {
    if (message.chat_id === thread.id()) thread.acknowledge(message);
  } else if (mending) waiting.push(message);
  else deliver(message);
}

function deliver(message) {
  if (message.type === "html") {
    const { type, kind, ...detail } = message;
    thread.note(kind, detail);
    tell(`crm:${kind}`, detail);
    return;
  }
  const { type, ...detail } = message;
  if (detail.name === "resync") {
    become("live");
    // Everybody hears it at once; not everybody asks at once.
    setTimeout(() => mend({ list: true, thread: true }), Math.random() * 1000);
  } else if (detail.name === "delayed") become("stale");
  else if (detail.name === "counts") showCounts(detail.counts);
  else tell("crm:event", detail);
}

/** The numbers come with the event: a thousand pages need not ask for them. */
function showCounts({ unread, ...tabs }) {
  const place = byId("tabs");
  if (!place) return;
  for (const [tab, number] of Object.entries(tabs)) {
    const shown = $(`[data-tab="${tab}"] .num`, place);
    if (shown) shown.textContent = number;
  }
  place.dataset.unread = unread;
  tell("crm:counts");
}

// --------------------------------------------------------------------------------------- mending

let wanted = null;
// The first look at a page does without it.
const mendingModule = () => import("./mending.js");

/** Fetch list or thread (or both) and morph them in. Calls while one runs become one more run. */
async function mend(parts) {
  wanted = { ...wanted, ...Object.fromEntries(Object.entries(parts).filter(([, on]) => on)) };
  if (mending) return mending;
  mending = (async () => {
    try {
      while (wanted && !isLeaving()) {
        const now = wanted;
        wanted = null;
        const { mendList, mendThread } = await mendingModule();
        if (now.thread) thread.lastMend = Date.now();
        await Promise.all([now.list && mendList(), now.thread && mendThread(thread)]);
      }
    } catch (error) {
      // The server is away, or answers nonsense: the next poll or reconnection tries again.
      wanted = null;
      if (!(error instanceof TypeError) && error.name !== "TimeoutError") console.warn("live:", error);
    }
  })();
  await mending;
  mending = null;
  for (const message of waiting.splice(0)) receive(message);
  // On the way out nothing is mended any more: asking again and again would freeze the page.
  if (wanted && !isLeaving()) mend({});
}

// ---------------------------------------------------------------------------------------- thread

const thread = {
  version: 0,
  subscribed: null,
  counted: null, // {count, ids}: how many messages the chat had, and which have come since
  lastMend: 0,

  element: () => document.querySelector("#thread[data-chat-id]"),
  id() {
    return Number(this.element()?.dataset.chatId) || null;
  },

  subscribe() {
    const element = this.element();
    this.version = Number(element?.dataset.version) || 0;
    this.counted = null;
    this.subscribed = this.id();
    say({ type: "open", chat_id: this.subscribed });
  },

  /** The server's answer to `open`: how far the chat is now. */
  acknowledge({ version, count }) {
    if (version > this.version) return this.mendSoon();
    this.counted = { count, ids: new Set() };
  },

  isBehind({ version, count }) {
    const known = this.counted && this.counted.count + this.counted.ids.size;
    return version > this.version || (known !== null && count !== known);
  },

  /** A bubble explains a new version; a row that is ahead of all bubbles means something else. */
  note(kind, { chat_id, message_id, version, html }) {
    if (chat_id !== this.id()) return;
    if (kind !== "row") {
      this.version = Math.max(this.version, version);
      if (kind === "bubble") this.counted?.ids.add(message_id);
      const reopened = kind === "bubble" && byId("compose")?.querySelector(".closed-window");
      if (reopened) this.mendSoon();
    } else if (version > this.version) {
      if (this.onlyReadMoved(html)) this.version = version;
      else this.mendSoon();
    }
  },

  onlyReadMoved(html) {
    const row = $("[data-chat-id]", parse(html));
    const mine = this.element().dataset;
    if (!row || row.dataset.unread === mine.unread) return false;
    if (row.dataset.status !== mine.status || row.dataset.agentId !== mine.agentId) return false;
    mine.unread = row.dataset.unread;
    return true;
  },

  mendSoon() {
    const wait = Math.max(150, this.lastMend + 1000 - Date.now());
    clearTimeout(this.timer);
    this.timer = setTimeout(() => mend({ thread: true }), wait);
  },
};

// ----------------------------------------------------------------------------------------- start

document.addEventListener("crm:opened", () => thread.subscribe());
document.addEventListener("htmx:after:swap", () => {
  // However another chat came onto the screen, its bubbles are wanted from now on.
  if (!mending && thread.id() !== thread.subscribed) thread.subscribe();
});
connect();
