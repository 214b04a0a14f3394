// Opening conversations: one pane swapped, a real address each, Back works.
import { $, $$, HttpError, fetchFragment, isNarrow, parse, tell, toast, wire, words } from "./page.js";

const place = () => $("#conversation");
let loading = null;

export const openChat = () => $("#thread")?.dataset.chatOpen ?? null;
export const chatOf = (path) => path.match(/^\/inbox\/(\d+)/)?.[1] ?? null;

/** The list's part of the address goes along: tab, search, filters. */
const withList = (path) => path + (path.includes("?") ? "" : location.search);

/** Show `path` (a chat, its client, or the bare desk). `focus`: "box", "title" or nothing. */
export async function show(path, { push = true, focus = null } = {}) {
  const area = place();
  if (!area) {
    location.href = path;
    return;
  }
  loading?.abort();
  const mine = (loading = new AbortController());
  const address = withList(path);
  tell("crm:leaving", { chatId: openChat() });
  markRow(chatOf(path));
  area.classList.add("htmx-request", "dims");
  try {
    const html = chatOf(path) ? await fetchFragment(address, { signal: mine.signal }) : $("#nothing-open").innerHTML;
    area.replaceChildren(parse(html));
    wire(area);
    if (push) history.pushState({ crm: true }, "", address);
    opened(focus);
  } catch (error) {
    if (error.name === "AbortError") return;
    markRow(openChat());
    if (error instanceof HttpError && error.status === 404) toast(words.gone);
    else toast(words.failed);
  } finally {
    if (loading === mine) area.classList.remove("htmx-request", "dims");
  }
}

function opened(focus) {
  const thread = $("#thread");
  const id = openChat();
  markRow(id);
  tell("crm:opened", { chatId: id ? Number(id) : null, version: Number(thread?.dataset.version ?? 0) });
  const box = $("#text");
  if (focus === "box" && box && !isNarrow()) box.focus({ preventScroll: true });
  else if (focus) (id ? $("#thread-title") : $("#rows [aria-current], #rows a"))?.focus({ preventScroll: true });
}

function markRow(id) {
  for (const row of $$("#rows a[aria-current]")) row.removeAttribute("aria-current");
  if (id) $(`#chat-${CSS.escape(id)} > a`)?.setAttribute("aria-current", "true");
}
document.addEventListener("crm:rows", () => markRow(openChat()));

const plainClick = (event) => event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-open], a[data-back], a[data-client], a[data-client-back]");
  if (!link || !plainClick(event) || !place()) return;
  event.preventDefault();
  const path = new URL(link.href).pathname;
  show(link.matches("[data-back]") ? "/inbox" : path, { focus: link.matches("[data-open]") ? "box" : "title" });
});

addEventListener("popstate", () => {
  if (!place()) return;
  tell("crm:address");
  show(location.pathname + location.search, { push: false, focus: "title" });
});

// A form of ours (take, close) has brought the conversation anew.
document.addEventListener("htmx:after:swap", (event) => {
  if (event.detail.ctx?.target === place()) opened("box");
});
document.addEventListener("htmx:response:error", (event) => {
  const { ctx } = event.detail;
  if (ctx.sourceElement?.id === "composer") return;
  const said = parse(ctx.text || "");
  toast(said.querySelector("[data-error] p")?.textContent || words.failed);
  // The old content stays; a toast says why nothing happened.
  ctx.swap = "none";
  event.preventDefault();
});
document.addEventListener("htmx:error", (event) => {
  if (event.detail.ctx && event.detail.ctx.sourceElement?.id !== "composer") toast(words.failed);
});

if (place()) queueMicrotask(() => opened(null));
