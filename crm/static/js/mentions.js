// Notes that name me: a mark in the rail and the title, a toast for each new one, and the way there.
// Comes when there is one (the mark's data-needs) or when the first arrives (title.js).
import { $, fetchFragment, parse, tell } from "./page.js";
import { openChat, show } from "./desk.js";

const told = new Set();
let asking = null;

/** Fetch the mark anew; `noteId`: one that may be new, and then shows a toast. */
export async function look(noteId) {
  asking ??= fetchFragment("/inbox/mentions").finally(() => (asking = null));
  let fresh;
  try {
    fresh = parse(await asking);
  } catch {
    return; // The next event, or the next page, brings it.
  }
  const mark = $("#mentions", fresh);
  if (mark) $("#mentions")?.replaceWith(mark);
  tell("crm:counts");
  const toast = noteId && $(`[data-mention="${Number(noteId)}"]`, fresh);
  if (!toast || told.has(noteId)) return;
  told.add(noteId);
  // Whoever has the chat before their eyes sees the note itself.
  if (seesNow($("a", toast).pathname)) return see();
  $("#toasts").append(toast);
  setTimeout(() => toast.remove(), 12000);
}

const seesNow = (path) => openChat() === path.split("/").pop() && !document.hidden;

/** As with messages: only what is open before somebody's eyes is seen. */
async function see() {
  if (openChat() && $("#mentions:not([hidden])") && !document.hidden && document.hasFocus()) await fetchFragment(`/inbox/${openChat()}/read`, { method: "POST" }).catch(() => {});
}

export function aim(hash = location.hash) {
  const note = /^#note-\d+$/.test(hash) && $(`#log > ${hash}`);
  if (!note) return;
  note.scrollIntoView({ block: "center" });
  note.classList.remove("flash");
  requestAnimationFrame(() => note.classList.add("flash"));
}

document.addEventListener("click", async (event) => {
  const link = event.target.closest("[data-open-note]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  link.closest(".toast").remove();
  if (openChat() !== link.pathname.split("/").pop()) await show(link.pathname);
  aim(link.hash);
});
document.addEventListener("crm:opened", see);
document.addEventListener("visibilitychange", see);
addEventListener("focus", see);
see();
aim();
