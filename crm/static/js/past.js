// The past of a long conversation: fetched as one scrolls back, dropped again as hours go by.
// thread.js loads this module with the first conversation that has an earlier page.
import { $, $$, fetchFragment, parse } from "./page.js";
import { openChat } from "./desk.js";
import { MOST, drawDays, entries, keepPinned, nameMe } from "./thread.js";

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
const loadOlder = (older) => fetchOlder(older).catch(() => {});

const past = new IntersectionObserver((found) => {
  for (const entry of found) if (entry.isIntersecting && log()?.scrollHeight > log()?.clientHeight) loadOlder(entry.target);
}, { rootMargin: "300px 0px 0px" });
export const watchPast = () => $$("#log > .older").forEach((older) => past.observe(older));

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-load-older]")) loadOlder(event.target.closest(".older"));
});
