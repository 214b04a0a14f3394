// The list of chats: rows come live, are placed by this page's tab, and never move under the pointer.
import { $, $$, fetchFragment, fill, me, parse, store, tell, toast, words } from "./page.js";
import { openChat, show } from "./desk.js";

const list = () => $("#rows");
const params = () => new URLSearchParams(location.search);
const tab = () => list()?.dataset.tab ?? "mine";
/** Beside its tab the list is narrowed: then rows are renewed in place, and none is added. */
const narrowed = () => [...new URLSearchParams(list()?.dataset.query ?? "").keys()].some((key) => key !== "tab");
const isOver = (row) => ["closed", "abandoned"].includes(row.dataset.status);
const isMine = (row) => row.dataset.agentId === me || row.dataset.offeredId === me;

function belongs(row) {
  if (narrowed()) return Boolean(document.getElementById(row.id));
  if (isOver(row)) return false;
  if (tab() === "mine") return isMine(row);
  if (tab() === "unassigned") return !row.dataset.agentId && ["new", "queued"].includes(row.dataset.status);
  return true;
}

/** What only this person sees in a row: "You:", the draft, which row is open, the tab stop. */
function dress(row) {
  for (const author of $$("[data-author]", row)) if (author.dataset.author === me && me) author.textContent = `${words.you}:`;
  const link = $("a.row", row);
  const draft = store.get(`draft:${me}:${row.dataset.chatId}`);
  const last = $(".last", row);
  $(".draft", row)?.remove();
  if (draft && last && row.dataset.chatId !== openChat()) {
    last.insertAdjacentHTML("afterbegin", '<span class="draft"></span>');
    last.firstElementChild.textContent = words.draft;
  }
  if (row.dataset.chatId === openChat()) link?.setAttribute("aria-current", "true");
  if (link) link.tabIndex = -1;
}

function keepOneStop() {
  const rows = $$("a.row", list() ?? document);
  const stop = rows.find((row) => row === document.activeElement) ?? rows.find((row) => row.hasAttribute("aria-current")) ?? rows[0];
  for (const row of rows) row.tabIndex = row === stop ? 0 : -1;
}

// --- placing -------------------------------------------------------------------------------------

const waiting = new Map(); // chat id -> row, held back while the pointer rests on the list
let pointerInside = false;

/** The server's order: the last written first, and of one moment the one that opened last. */
function standsBelow(one, other) {
  if (one.dataset.lastAt !== other.dataset.lastAt) return one.dataset.lastAt < other.dataset.lastAt;
  return Number(one.dataset.chatId) < Number(other.dataset.chatId);
}
const placeFor = (row, among) => among.find((other) => other !== row && standsBelow(other, row)) ?? null;

/** Would this row stand where it stands now? Then nothing moves and nobody has to wait. */
function staysPut(row, current) {
  const rows = $$("li[data-chat-id]", list());
  const at = rows.indexOf(current);
  return (at === 0 || standsBelow(row, rows[at - 1])) && (at === rows.length - 1 || standsBelow(rows[at + 1], row));
}

/** Renew a row in place. Its link stays the same element, so that focus and selection stay. */
function renew(current, row) {
  for (const { name, value } of [...row.attributes]) current.setAttribute(name, value);
  const [link, fresh] = [$("a.row", current), $("a.row", row)];
  link.className = fresh.className;
  link.replaceChildren(...fresh.childNodes);
  dress(current);
}

function insert(row) {
  const rows = $$("li[data-chat-id]", list());
  const next = placeFor(row, rows);
  const more = $("li[data-more]", list());
  // Older than everything loaded: it is on a page that is still to come.
  if (!next && more && rows.length) return;
  $("li[data-empty]", list())?.remove();
  list().insertBefore(row, next ?? more);
  dress(row);
}

function move(current) {
  const next = placeFor(current, $$("li[data-chat-id]", list()));
  const target = next ?? $("li[data-more]", list());
  if (current.nextElementSibling === target) return;
  const focused = current.contains(document.activeElement) ? document.activeElement : null;
  if (list().moveBefore) list().moveBefore(current, target);
  else list().insertBefore(current, target);
  focused?.focus({ preventScroll: true });
}

const seen = new Map(); // chat id -> newest version shown, so that late news changes nothing

function take(html) {
  const row = $("li[data-chat-id]", parse(html));
  if (!row || !list()) return;
  const { chatId } = row.dataset;
  const version = Number(row.dataset.version);
  if ((seen.get(chatId) ?? -1) > version) return;
  seen.set(chatId, version);
  tell("crm:chat-state", { ...row.dataset });
  const current = document.getElementById(row.id);
  waiting.delete(chatId);
  if (!belongs(row)) {
    if (current) drop(current);
  } else if (current) {
    const still = staysPut(row, current);
    renew(current, row);
    if (!still && pointerInside) waiting.set(chatId, current);
    else if (!still) move(current);
  } else if (pointerInside) waiting.set(chatId, row);
  else insert(row);
  showWaiting();
  keepOneStop();
}

function drop(row) {
  const focused = row.contains(document.activeElement);
  const neighbour = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  if (focused) $("a.row", neighbour ?? list())?.focus({ preventScroll: true });
  if (!$("li", list())) reload();
}

function showWaiting() {
  const button = $("#newer");
  if (!button) return;
  // One's own answer moves a row too; that is no news.
  const news = [...waiting.values()].filter((row) => Number(row.dataset.unread)).length;
  button.hidden = news === 0;
  $("span", button).textContent = fill(news === 1 ? words.newOne : words.newMany, { n: news });
}

function release() {
  const rows = [...waiting.values()].sort((a, b) => (standsBelow(a, b) ? -1 : 1));
  waiting.clear();
  for (const row of rows) {
    if (row.isConnected) move(row);
    else if (!document.getElementById(row.id)) insert(row);
  }
  showWaiting();
  keepOneStop();
}

document.addEventListener("pointerover", (event) => {
  const inside = event.pointerType === "mouse" && Boolean(event.target.closest?.("#rows"));
  if (pointerInside && !inside) setTimeout(() => pointerInside || release(), 300);
  pointerInside = inside;
});
document.documentElement.addEventListener("pointerleave", () => {
  pointerInside = false;
  release();
});

document.addEventListener("crm:row", ({ detail }) => take(detail.html));
document.addEventListener("crm:event", ({ detail }) => {
  if (detail.name === "gone") {
    const row = document.getElementById(`chat-${detail.chat_id}`);
    if (row) drop(row);
    if (String(detail.chat_id) === openChat()) {
      toast(words.gone);
      show("/inbox", { focus: null });
    }
  }
});
// live.js fetches the list anew and morphs it in.
document.addEventListener("crm:mending", ({ detail }) => {
  if (detail.list) $$("li[data-chat-id]", detail.list).forEach(dress);
});
document.addEventListener("crm:synced", ({ detail }) => {
  if (!detail.list || !list()) return;
  waiting.clear();
  settle();
  tell("crm:counts");
});

// --- fetching ------------------------------------------------------------------------------------

let asking = null;
/** The list anew for `query`; what was read on keeps its place. */
export async function reload(query = list()?.dataset.query ?? "") {
  if (!list()) return;
  asking?.abort();
  const mine = (asking = new AbortController());
  list().classList.add("htmx-request", "dims");
  try {
    const fresh = parse(await fetchFragment(`/inbox/list?${query}`, { signal: mine.signal }));
    const focusedChat = document.activeElement?.closest?.("#rows li")?.id;
    const scroll = query === list().dataset.query ? list().scrollTop : 0;
    waiting.clear();
    $("#tabs").replaceWith($("#tabs", fresh));
    list().replaceWith($("#rows", fresh));
    settle();
    list().scrollTop = scroll;
    if (focusedChat) $("a.row", document.getElementById(focusedChat) ?? list())?.focus({ preventScroll: true });
    tell("crm:counts");
  } catch (error) {
    if (error.name !== "AbortError") toast(words.failed);
  } finally {
    if (asking === mine) list()?.classList.remove("htmx-request", "dims");
  }
}

/** A list has just come: dress its rows, mark the open one, watch for its end. */
function settle() {
  for (const row of $$("li[data-chat-id]", list())) {
    seen.set(row.dataset.chatId, Number(row.dataset.version));
    dress(row);
  }
  keepOneStop();
  showWaiting();
  watchEnd();
  tell("crm:rows");
}

const end = new IntersectionObserver(async (entries) => {
  const more = entries.find((entry) => entry.isIntersecting)?.target;
  if (!more?.dataset.more) return;
  end.unobserve(more);
  try {
    const rows = parse(await fetchFragment(more.dataset.more));
    for (const row of $$("li[data-chat-id]", rows)) if (document.getElementById(row.id)) row.remove();
    if (!more.isConnected) return;
    const fresh = $$("li[data-chat-id]", rows);
    more.replaceWith(rows);
    fresh.forEach(dress);
    keepOneStop();
    watchEnd();
  } catch {
    setTimeout(() => more.isConnected && end.observe(more), 3000);
  }
}, { rootMargin: "400px" });
const watchEnd = () => $$("li[data-more]", list() ?? document).forEach((more) => end.observe(more));

// --- tabs and search -----------------------------------------------------------------------------

export function go(query, { push = true } = {}) {
  const address = `${location.pathname}?${query}`;
  if (push) history.pushState({ crm: true }, "", address);
  else history.replaceState({ crm: true }, "", address);
  return reload(query);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("#tabs a[data-tab]");
  if (link && !event.metaKey && !event.ctrlKey && !event.shiftKey) {
    event.preventDefault();
    if ($("#q")) $("#q").value = "";
    go(kept({ tab: link.dataset.tab })).then(() => $(`#tabs a[data-tab="${link.dataset.tab}"]`)?.focus());
  }
  if (event.target.closest("#newer")) {
    release();
    list().scrollTo({ top: 0 });
  }
});

/** The list's filters with another tab or search. */
function kept(changes) {
  const query = new URLSearchParams(changes);
  for (const [name, value] of new URLSearchParams(list().dataset.query)) if (name !== "tab" && name !== "q") query.set(name, value);
  return query.toString();
}

let typing = null;
function search(push) {
  clearTimeout(typing);
  const text = $("#q").value.trim();
  const query = kept(text ? { tab: tab(), q: text } : { tab: tab() });
  if (query !== list().dataset.query) go(query, { push });
}
document.addEventListener("input", (event) => {
  if (event.target.id !== "q") return;
  clearTimeout(typing);
  typing = setTimeout(() => search(false), 250);
});
document.addEventListener("submit", (event) => {
  if (event.target.id !== "search") return;
  event.preventDefault();
  search(true);
});
document.addEventListener("reset", (event) => {
  if (event.target.id !== "search") return;
  event.preventDefault();
  $("#q").value = "";
  search(false);
  $("#q").focus();
});
// Back and forward: an address without a tab means the one that the desk began with.
const home = `tab=${tab()}`;
document.addEventListener("crm:address", () => {
  const wanted = params();
  const query = wanted.has("tab") || wanted.has("q") ? wanted.toString() : home;
  if (!list() || query === list().dataset.query) return;
  if ($("#q")) $("#q").value = wanted.get("q") ?? "";
  reload(query);
});

// A draft was written or dropped: its row says so.
document.addEventListener("crm:opened", () => { $$("#rows li[data-chat-id]").forEach(dress); keepOneStop(); });
document.addEventListener("crm:draft", ({ detail }) => {
  const row = document.getElementById(`chat-${detail.chatId}`);
  if (row) dress(row);
});

/** Move along the list; with `open` the chat is shown at once. */
export function step(by, { open = false } = {}) {
  const rows = $$("a.row", list() ?? document);
  if (!rows.length) return;
  const from = rows.indexOf(document.activeElement);
  const at = from >= 0 && !open ? from : rows.findIndex((row) => row.hasAttribute("aria-current"));
  const next = rows[Math.min(Math.max(at + by, 0), rows.length - 1)] ?? rows[0];
  if (open) show(new URL(next.href).pathname, { focus: "box" });
  else next.focus();
  next.scrollIntoView({ block: "nearest" });
  keepOneStop();
}
document.addEventListener("keydown", (event) => {
  if (!event.target.closest?.("#rows")) return;
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  step(by);
});

if (list()) settle();
