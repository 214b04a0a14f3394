// From a quote to what it quotes: fetched where it is not loaded, in another chat where it stands there.
import { $, fetchFragment, parse, toast, words } from "./page.js";
import { chatOf, openChat, show } from "./desk.js";
import { fetchAround, fetchOlder } from "./past.js";

const MOST_WAITS = 50;
const pause = () => new Promise((resolve) => setTimeout(resolve, 100));

/** Bring the message of the address (or this one) before the eyes, and point at it. */
export async function reveal(id = location.hash.slice(1)) {
  try {
    // Too far back for all that lies between: then it alone, with what stands beside it.
    await load(id).catch((error) => (error.status === 409 ? fetchAround(id.slice("message-".length)) : Promise.reject(error)));
  } catch (error) {
    toast($("[data-error] p", parse(error.html ?? ""))?.textContent || words.failed);
    return;
  }
  const target = document.getElementById(id);
  if (!target) return;
  if (target.dataset.tile === "folded") (await import("./albums.js")).unfold(target);
  target.scrollIntoView({ block: "center" });
  target.classList.remove("flash");
  requestAnimationFrame(() => target.classList.add("flash"));
  target.tabIndex = -1;
  target.focus({ preventScroll: true });
}

async function load(id) {
  const number = id.slice("message-".length);
  const chat = openChat();
  // Amid the past it may lie on either side.
  if ($("#log > .newer") && !document.getElementById(id)) return fetchAround(number);
  for (let wait = 0; wait < MOST_WAITS && openChat() === chat && !document.getElementById(id); wait += 1) {
    const older = $("#log > .older");
    // All there is has been loaded: the server knows what became of it, and says so.
    if (!older) await fetchFragment(`/inbox/${chat}/messages?reach=${number}`).then(() => { wait = MOST_WAITS; });
    // Somebody scrolls, and that page is on its way.
    else if (older.dataset.busy) await pause();
    else await fetchOlder(older, `&reach=${number}`);
  }
}

document.addEventListener("click", async (event) => {
  const quote = event.target.closest("a[data-quoted]");
  if (!quote || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const { pathname, hash } = new URL(quote.href);
  const chat = chatOf(pathname);
  if (chat !== openChat()) {
    await show(pathname);
    if (chat !== openChat()) return;
  }
  await reveal(hash.slice(1));
});
