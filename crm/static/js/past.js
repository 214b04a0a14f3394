// The past of a long conversation: fetched as one scrolls back, dropped again as hours go by.
// thread.js loads this module with the first conversation that has an earlier page.
import { $, $$, fetchFragment, parse, toast, words } from "./page.js";
import { openChat } from "./desk.js";
import { MOST, drawDays, entries, keepPinned, nameMe, settle, toBottom } from "./thread.js";

const KEPT = 400;
const log = () => $("#log");

/** A shift of eight hours must not end with ten thousand bubbles. */
export function trim() {
  const all = entries();
  if (all.length <= MOST) return;
  keepPinned(() => {
    for (const entry of all.slice(0, all.length - KEPT)) entry.remove();
    for (const stray of $$("#log > .day + .day, #log > .unread-line")) stray.remove();
    const first = $("#log > article[data-message-id]");
    const cursor = `${first.dataset.position}~${first.dataset.messageId}`;
    $("#log > .older")?.remove();
    const older = $("#older").content.firstElementChild.cloneNode(true);
    older.dataset.older = `/inbox/${openChat()}/messages?before=${encodeURIComponent(cursor)}`;
    log().prepend(older);
  });
  watchPast();
}

/** The page before, instead of its button; `query` may ask for more of it. Throws what fetching throws. */
export async function fetchOlder(older, query = "") {
  if (!older?.dataset.older || older.dataset.busy) return;
  older.dataset.busy = "yes";
  try {
    const page = parse(await fetchFragment(older.dataset.older + query));
    const area = log();
    if (!older.isConnected) return;
    const height = area.scrollHeight;
    const top = area.scrollTop;
    older.replaceWith(page);
    nameMe();
    drawDays();
    area.scrollTop = top + area.scrollHeight - height;
    watchPast();
  } catch (error) {
    delete older.dataset.busy;
    throw error;
  }
}

// --- amid the past: a message far back, with what lies beside it ---------------------------------

/** The log anew; what is still on its way from here stays at its end. */
async function fetchLog(query) {
  const chat = openChat();
  const page = parse(await fetchFragment(`/inbox/${chat}/messages${query}`));
  if (openChat() !== chat) return;
  const known = new Set($$("[data-client-key]", page).map((entry) => entry.dataset.clientKey));
  const unsent = $$("#log > [data-local]").filter((entry) => !known.has(entry.dataset.clientKey));
  log().replaceChildren(page, ...($(".newer", page) ? [] : unsent));
  settle();
  watchPast();
}
export const fetchAround = (number) => fetchLog(`?around=${number}`);
export const fetchLatest = () => fetchLog("").then(toBottom, () => toast(words.failed));

async function fetchNewer(newer) {
  if (newer.dataset.busy) return;
  newer.dataset.busy = "yes";
  try {
    const page = parse(await fetchFragment(newer.dataset.newer));
    if (!newer.isConnected) return;
    newer.replaceWith(page);
    settle();
    watchPast();
  } catch {
    delete newer.dataset.busy;
  }
}

const loadOlder = (older) => fetchOlder(older).catch(() => {});
const load = (edge) => (edge.matches(".older") ? loadOlder(edge) : fetchNewer(edge));

const past = new IntersectionObserver((found) => {
  for (const entry of found) if (entry.isIntersecting && log()?.scrollHeight > log()?.clientHeight) load(entry.target);
}, { rootMargin: "300px 0px" });
export const watchPast = () => $$("#log > :is(.older, .newer)").forEach((edge) => past.observe(edge));

document.addEventListener("click", (event) => {
  const edge = event.target.closest("[data-load-older], [data-load-newer]")?.parentElement;
  if (edge) load(edge);
});
