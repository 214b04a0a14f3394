// Photos and films that one person sent in one go stand as a grid, four of them and how many more.
// Only how they stand: each stays the message that it is, with its own ticks, reactions and deeds.
// thread.js says when the log has changed; a picture in a bubble brings this module.
import { $, $$ } from "./page.js";
import { keepPinned } from "./thread.js";
import { withSheet } from "./sheets.js";

const LEAST = 4; // fewer are easier to look at one by one
const APART = 60000; // a message after more than a minute is another story
// Who has anything to say beside the picture (words, a quote, a fault) stands alone.
const PARTS = ".by:not(.mute), .visually-hidden, a.shot, .foot, .reactions, [data-waiting][hidden]";
const open = new Set(); // ids of messages whose album shows all of its pictures

const isPlain = (bubble) => bubble.dataset.messageId && [...bubble.children].every((part) => part.matches(PARTS));
const writer = (bubble) => `${bubble.classList.contains("out")}/${bubble.dataset.author}/${$(".by", bubble)?.textContent.trim() ?? ""}`;
const sentAt = (bubble) => Date.parse(bubble.dataset.position);
const follows = (bubble, last) =>
  last && bubble.previousElementSibling === last && writer(bubble) === writer(last) && sentAt(bubble) - sentAt(last) <= APART;

function albumsIn(area) {
  const runs = [];
  for (const bubble of $$(":scope > .bubble:has(> a.shot)", area)) {
    if (!isPlain(bubble)) continue;
    if (follows(bubble, runs.at(-1)?.at(-1))) runs.at(-1).push(bubble);
    else runs.push([bubble]);
  }
  return runs.filter((run) => run.length >= LEAST);
}

/** `place`: start, end, folded, or null for a bubble of its own. */
function put(bubble, place, more = 0) {
  const shot = $("a.shot", bubble);
  if (place) bubble.dataset.tile = place;
  else delete bubble.dataset.tile;
  if (!shot) return;
  if (more) shot.dataset.more = `+${more}`;
  else delete shot.dataset.more;
  // A film in a grid plays large.
  shot.dataset.module = place || shot.dataset.shot === "image" ? "lightbox" : "player";
}

function draw(area) {
  const placed = new Set();
  for (const run of albumsIn(area)) {
    const folded = run.slice(LEAST);
    const all = run.some(({ id }) => open.has(id)) || folded.some((bubble) => $(".reactions", bubble) || bubble.contains(document.activeElement));
    run.forEach((bubble, at) => {
      placed.add(bubble);
      const isLast = at === LEAST - 1 && !all;
      put(bubble, at >= LEAST && !all ? "folded" : at % 2 ? "end" : "start", isLast ? folded.length : 0);
    });
  }
  for (const bubble of $$(":scope > [data-tile]", area)) if (!placed.has(bubble)) put(bubble, null);
}

/** Show all of the album to which this message belongs. */
export function unfold(bubble) {
  open.add(bubble.id);
  draw($("#log"));
}

/** What stood before the eyes stays there. */
function anchored(change) {
  const area = $("#log");
  const top = area.getBoundingClientRect().top;
  const seen = $$(":scope > [data-position]", area).filter((entry) => entry.getBoundingClientRect().bottom > top);
  const tops = seen.map((entry) => entry.getBoundingClientRect().top);
  change();
  const at = seen.findIndex((entry) => entry.checkVisibility());
  if (at >= 0) area.scrollTop += seen[at].getBoundingClientRect().top - tops[at];
}

withSheet("albums").then(() => {
  document.addEventListener("crm:drawn", ({ detail }) => draw(detail.area));
  if ($("#log")) keepPinned(() => anchored(() => draw($("#log"))));
});
