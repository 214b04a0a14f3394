// Fetching list and thread anew and morphing them in, so that nothing of the reader's own is lost.
// live.js says when; it loads this module with the first mending.
import { $, $$, parse, tell, toLogin } from "./page.js";
import { carryWords } from "./composer.js";
import { rewriteAll } from "./times.js";

const PAGES_AT_MOST = 8;
const byId = (id) => document.getElementById(id);

async function fetchPage(url) {
  const answer = await fetch(url, {
    headers: { "HX-Request": "true", "HX-Request-Type": "partial" },
    signal: AbortSignal.timeout(15000),
    redirect: "manual",
  });
  if (answer.status === 401 || answer.type === "opaqueredirect") {
    toLogin();
    throw new TypeError("signed out");
  }
  if (answer.status === 404) return null;
  if (!answer.ok) throw new TypeError(`answer ${answer.status}`);
  const page = parse(await answer.text());
  // As the reader sees them, so that the morph finds nothing to change in them.
  rewriteAll(page);
  return page;
}

const morph = (target, fresh) =>
  htmx.swap({ target, text: fresh.outerHTML, swap: "outerMorph", sourceElement: target, transition: false });

export async function mendList() {
  const rows = byId("rows");
  if (!rows) return;
  const query = rows.dataset.query;
  const page = await fetchPage(`/inbox/list?${query}`);
  const fresh = page && $("#rows", page);
  if (!fresh || byId("rows")?.dataset.query !== query) return;
  await fetchFurtherRows(fresh, rows.querySelectorAll("[data-chat-id]").length);
  if (byId("rows")?.dataset.query !== query) return;
  keepMarks(byId("rows"), fresh);
  tell("crm:mending", { list: fresh });
  await keepingScroll(byId("rows"), () => morph(byId("rows"), fresh));
  const tabs = $("#tabs", page);
  if (tabs && byId("tabs")) await morph(byId("tabs"), tabs);
  tell("crm:synced", { list: true, thread: false });
}

/** Who has scrolled far keeps as many rows as there were. */
async function fetchFurtherRows(fresh, wantedRows) {
  for (let page = 1; page < PAGES_AT_MOST; page++) {
    const more = fresh.querySelector("[data-more]");
    if (!more || fresh.querySelectorAll("[data-chat-id]").length >= wantedRows) return;
    const next = await fetchPage(more.dataset.more);
    if (!next) return;
    more.replaceWith(...$$("li", next));
  }
}

/** What a page has put on its rows by itself (the open chat, the marked one) is not the server's. */
function keepMarks(old, fresh) {
  for (const link of old.querySelectorAll("[aria-current], [tabindex]")) {
    const chat = link.closest("[data-chat-id]")?.dataset.chatId;
    const twin = chat && fresh.querySelector(`[data-chat-id="${chat}"] ${link.localName}`);
    if (!twin) continue;
    for (const name of ["aria-current", "tabindex"])
      if (link.hasAttribute(name)) twin.setAttribute(name, link.getAttribute(name));
  }
}

async function keepingScroll(box, change) {
  const top = box.scrollTop;
  await change();
  box.scrollTop = top;
}

export async function mendThread(thread) {
  const id = thread.id();
  if (!id) return;
  const page = await fetchPage(`/inbox/${id}`);
  if (thread.id() !== id) return;
  if (!page) return tell("crm:event", { name: "gone", chat_id: id });
  const fresh = page.querySelector("#thread[data-chat-id]");
  if (!fresh) return;
  await prepareLog(id, byId("log"), fresh.querySelector("#log"));
  if (thread.id() !== id) return;
  tell("crm:mending", { thread: fresh });
  keepComposer(byId("compose"), fresh.querySelector("#compose"));
  await keepingLog(() => morph(thread.element(), fresh));
  const panel = $("#panel", page);
  if (panel && byId("panel")) await morph(byId("panel"), panel);
  thread.subscribe();
  tell("crm:synced", { list: false, thread: true });
}

/** Keep in the fresh log what the server does not know of, or has on an earlier page. */
async function prepareLog(id, old, fresh) {
  if (!old || !fresh) return;
  const keepOld = (...more) => fresh.replaceChildren(...[...old.childNodes].map((node) => node.cloneNode(true)), ...more);
  // Who reads far back stays there; the end comes when they go to it.
  if (old.querySelector(":scope > .newer")) return keepOld();
  const first = fresh.querySelector("[data-position]");
  const overlaps = [...fresh.querySelectorAll("[data-message-id]")].some((node) => byId(node.id));
  if (first && overlaps && first.id) {
    const edge = old.querySelector(`#${CSS.escape(first.id)}`);
    const earlier = [];
    for (let node = edge?.previousElementSibling; node; node = node.previousElementSibling)
      earlier.unshift(node.cloneNode(true));
    if (earlier.some((node) => node.dataset.position)) {
      fresh.querySelector("[data-older]")?.remove();
      fresh.prepend(...earlier);
    }
  }
  const last = $$(":scope > [data-message-id]", old).pop();
  if (first && !overlaps && last && !atEnd(old)) {
    // More than a page was missed: what follows is joined to what is being read.
    const page = await fetchPage(`/inbox/${id}/messages?after=${encodeURIComponent(`${last.dataset.position}~${last.dataset.messageId}`)}`);
    if (page) return keepOld(...page.childNodes);
  }
  const line = old.querySelector("#unread-line");
  // Who has the end before their eyes is reading it: the line stays where it was when they opened it.
  if (document.hasFocus() && atEnd(old)) fresh.querySelector("#unread-line")?.remove();
  const after = line?.nextElementSibling?.id && fresh.querySelector(`#${CSS.escape(line.nextElementSibling.id)}`);
  if (after && !fresh.querySelector("#unread-line")) after.before(line.cloneNode(true));
  for (const unsent of old.querySelectorAll("[data-client-key]:not([data-message-id])")) {
    const key = CSS.escape(unsent.dataset.clientKey);
    if (!fresh.querySelector(`[data-client-key="${key}"]`)) fresh.append(unsent.cloneNode(true));
  }
}

/** The box under one's fingers stays; where the chat's state asks for another, the words go along. */
function keepComposer(old, fresh) {
  if (!old || !fresh) return;
  if (old.dataset.state === fresh.dataset.state) {
    const same = old.cloneNode(true);
    const countdown = $(".window", fresh);
    if (countdown) $(".window", same)?.replaceWith(countdown);
    fresh.replaceWith(same);
    return;
  }
  carryWords(old, fresh);
}

const atEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < 40;

/** At the bottom one stays at the bottom; elsewhere nothing moves. */
async function keepingLog(change) {
  const log = byId("log");
  const wasAtEnd = log && atEnd(log);
  const top = log?.scrollTop;
  await change();
  const now = byId("log");
  if (now) now.scrollTop = wasAtEnd ? now.scrollHeight : top;
}
