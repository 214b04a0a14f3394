// The open conversation: messages placed by their position, days between them, the scroll kept.
import { $, $$, fetchFragment, fill, me, parse, tell, toast, words } from "./page.js";
import { openChat } from "./desk.js";
import { dayLine, dayOf } from "./times.js";

const log = () => $("#log");
export const MOST = 600;
let unseen = 0;

// --- scroll --------------------------------------------------------------------------------------

const isAmid = () => Boolean($("#log > .newer"));
const atBottom = () => !log() || !isAmid() && log().scrollHeight - log().scrollTop - log().clientHeight < 48;
let pinned = true;

export function toBottom() {
  const area = log();
  if (!area) return;
  // The end is not loaded: it comes, and then this again.
  if (isAmid()) return void withPast().then((past) => past.fetchLatest());
  pinned = true;
  area.scrollTop = area.scrollHeight;
  unseen = 0;
  showJump();
}

function showJump() {
  const button = $("#jump");
  if (!button) return;
  button.hidden = pinned;
  $("span", button).textContent = unseen ? fill(unseen === 1 ? words.newOne : words.newMany, { n: unseen }) : "";
  button.setAttribute("aria-label", unseen ? $("span", button).textContent : words.latest);
  button.classList.toggle("icon-only", !unseen);
  button.classList.toggle("primary", unseen > 0);
}

document.addEventListener("scroll", (event) => {
  if (event.target !== log()) return;
  pinned = atBottom();
  if (pinned) {
    unseen = 0;
    markRead();
  }
  showJump();
  stackDays();
}, { capture: true, passive: true });

/** Two days can stick to the top at once; the later one is the one that is being read. */
function stackDays() {
  const lines = $$("#log > .day");
  const tops = lines.map((line) => line.offsetTop);
  lines.forEach((line, at) => line.classList.toggle("under", at + 1 < lines.length && tops[at + 1] - tops[at] < 8));
}

// The composer grows, the window turns, a font comes: whoever read the end keeps reading it.
const sizes = new ResizeObserver(() => { if (pinned && log()) log().scrollTop = log().scrollHeight; });

// --- days ----------------------------------------------------------------------------------------

export const entries = (area = log()) => $$(":scope > [data-position]", area);

/** A line before the first message of each day. Cheap enough to do anew: it compares, then mends. */
export function drawDays(area = log()) {
  let day = null;
  for (const entry of entries(area)) {
    const at = new Date(entry.dataset.position);
    const own = dayOf(at);
    let line = entry.previousElementSibling;
    if (line?.classList.contains("unread-line")) line = line.previousElementSibling;
    const has = line?.classList.contains("day") ? line : null;
    if (own === day) has?.remove();
    else if (has?.dataset.day !== own) {
      has?.remove();
      const fresh = document.createElement("div");
      fresh.className = "day";
      fresh.id = `day-${own}`;
      fresh.dataset.day = own;
      fresh.setAttribute("role", "separator");
      fresh.textContent = dayLine(at);
      const before = entry.previousElementSibling?.classList.contains("unread-line") ? entry.previousElementSibling : entry;
      before.before(fresh);
    }
    day = own;
  }
  tell("crm:drawn", { area });
}

export function nameMe(root = log()) {
  for (const author of $$(".by [data-author]", root)) if (author.dataset.author === me) author.textContent = words.you;
}

// --- placing -------------------------------------------------------------------------------------

const RANK = { pending: 0, uncertain: 1, failed: 1, sent: 2, delivered: 3, read: 4 };

/** Ticks never go back, whatever order the news comes in; a failure is news unless it arrived. */
const isOlder = (fresh, current) => {
  const [next, now] = [fresh.dataset.status, current.dataset.status];
  return Boolean(next && now) && RANK[next] < RANK[now] && !(next === "failed" && RANK[now] < 3) && !(next === "pending" && now === "failed");
};

/** Put one message of the server's where it belongs: over itself, over its draft, or in order. */
export function placeBubble(fresh) {
  const area = log();
  if (!area || !fresh) return null;
  const byKey = fresh.dataset.clientKey ? $(`#log > [data-client-key="${CSS.escape(fresh.dataset.clientKey)}"]`) : null;
  const current = document.getElementById(fresh.id) ?? byKey;
  if (current) {
    if (current.id === fresh.id && isOlder(fresh, current)) return current;
    current.replaceWith(fresh);
    if (byKey && byKey !== current) byKey.remove();
  } else {
    const oldest = entries()[0];
    // It belongs to a page that has not been fetched: scrolling back brings it.
    if (isAmid() || ($("#log > .older") && oldest && fresh.dataset.position < oldest.dataset.position)) return null;
    const before = entries().reverse().find((entry) => !entry.dataset.local && entry.dataset.position <= fresh.dataset.position);
    if (before) before.after(fresh);
    else if (oldest) oldest.before(fresh);
    else area.append(fresh);
    $("#no-messages")?.remove();
  }
  nameMe(fresh);
  return current ? null : fresh;
}

export function keepPinned(change) {
  const was = pinned;
  change();
  drawDays();
  if (was && !isAmid()) toBottom();
  else showJump();
  stackDays();
}

/** A page has come into the log: whose it is, its days, where one stands in it. */
export function settle() {
  nameMe();
  drawDays();
  pinned = atBottom();
  showJump();
  stackDays();
}

function receive({ chat_id: chatId, html }) {
  if (String(chatId) !== openChat()) return;
  const fresh = $("[id^=message-], [id^=note-]", parse(html));
  if (!fresh) return;
  const known = document.getElementById(fresh.id);
  const inbound = fresh.classList.contains("in");
  keepPinned(() => {
    const added = placeBubble(fresh);
    if (!added) return;
    added.classList.add("fresh");
    if (inbound && !pinned) unseen += 1;
    trim();
  });
  if (!known && inbound) {
    renewWindow(fresh);
    announce(fresh);
    if (pinned) markRead();
  }
}
document.addEventListener("crm:bubble", ({ detail }) => receive(detail));
document.addEventListener("crm:note", ({ detail }) => receive(detail));
document.addEventListener("crm:ticks", ({ detail }) => receive(detail));

/** Each word of the customer's opens the 24 hours anew. */
function renewWindow(bubble) {
  const line = $("[data-window-ends]");
  if (!line) return;
  const ends = new Date(Date.parse(bubble.dataset.position) + 86400000).toISOString();
  if (ends > new Date(line.dataset.windowEnds).toISOString()) line.dataset.windowEnds = ends;
}

let lastSaid = 0;
function announce(bubble) {
  const place = $("#announcer");
  if (!place || Date.now() - lastSaid < 1500) return;
  lastSaid = Date.now();
  place.textContent = `${$("#thread-title")?.textContent}: ${($(".text, .what b", bubble)?.textContent ?? "").slice(0, 200)}`;
}

// Scrolling back, and forgetting what lies far behind: for the long conversations alone.
const withPast = () => import("./past.js");
const watchPast = () => { if ($("#log > .older")) withPast().then((past) => past.watchPast()); };
const trim = () => { if (pinned && entries().length > MOST) withPast().then((past) => past.trim()); };

document.addEventListener("click", (event) => {
  if (event.target.closest("#jump")) toBottom();
});

// --- one's own message ---------------------------------------------------------------------------

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-message-act]");
  if (!button) return;
  const { messageId } = button.closest("article").dataset;
  button.disabled = true;
  try {
    const url = `/inbox/${openChat()}/messages/${messageId}/${button.dataset.messageAct}`;
    const html = await fetchFragment(url, { method: "POST" });
    keepPinned(() => placeBubble($("article", parse(html))));
  } catch (error) {
    button.disabled = false;
    toast($("[data-error] p", parse(error.html ?? ""))?.textContent || words.failed);
  }
});
// A clock is normal for a moment; who waits longer is told, and may take the message back.
setInterval(() => {
  for (const line of $$("#log [data-waiting][hidden]")) {
    if (Date.now() - Date.parse(line.closest("article").dataset.position) > 8000) keepPinned(() => { line.hidden = false; });
  }
}, 2000);

// --- reading -------------------------------------------------------------------------------------

let reading = null;
/** The owner has it before their eyes. Asked once for a burst. */
function markRead() {
  const thread = $("#thread");
  if (!Number(thread?.dataset.unread ?? 0) || thread.dataset.agentId !== me || document.hidden || !document.hasFocus()) return;
  const chatId = openChat();
  clearTimeout(reading);
  reading = setTimeout(async () => {
    try {
      await fetchFragment(`/inbox/${chatId}/read`, { method: "POST" });
      if (openChat() === chatId) $("#thread").dataset.unread = "0";
    } catch {
      // The next look tries again.
    }
  }, 300);
}
addEventListener("focus", () => { if (pinned) markRead(); });
document.addEventListener("visibilitychange", () => { if (pinned) markRead(); });

// The row of the open chat brings how many are unread.
document.addEventListener("crm:chat-state", ({ detail }) => {
  const thread = $("#thread");
  if (!thread || detail.chatId !== openChat()) return;
  thread.dataset.unread = detail.unread;
  if (pinned) markRead();
});

// live.js fetches the thread anew and morphs it in: what only this page draws is in it beforehand.
document.addEventListener("crm:mending", ({ detail }) => {
  const fresh = detail.thread && $("#log", detail.thread);
  if (!fresh) return;
  nameMe(fresh);
  drawDays(fresh);
  // What was missed is new all the same to who reads above.
  if (!pinned) unseen += $$(".bubble.in", fresh).filter(({ id }) => !document.getElementById(id)).length;
});
document.addEventListener("crm:synced", ({ detail }) => {
  if (!detail.thread || !log()) return;
  nameMe();
  keepPinned(() => {});
  watchPast();
  if (pinned) markRead();
});

// --- opening -------------------------------------------------------------------------------------

document.addEventListener("crm:opened", ({ detail }) => {
  sizes.disconnect();
  unseen = 0;
  pinned = true;
  if (!detail.chatId || !log()) return;
  nameMe();
  drawDays();
  sizes.observe(log());
  const line = $("#unread-line");
  if (line) {
    log().scrollTop = line.offsetTop - log().offsetTop - 60;
    pinned = atBottom();
  }
  if (!line || pinned) toBottom();
  showJump();
  watchPast();
  if (location.hash.startsWith("#message-")) import("./quotes.js").then((quotes) => quotes.reveal());
  markRead();
});
setInterval(() => { if (log()) drawDays(); }, 60000);
