// Every <time data-style> in the reader's own language and zone; the server's text stands until then.
import { language, words, $$ } from "./page.js";

const timeZone = document.body.dataset.timeZone || undefined;
const formats = {
  clock: { hour: "2-digit", minute: "2-digit", hour12: false },
  weekday: { weekday: "short" },
  short: { day: "numeric", month: "short" },
  dated: { day: "numeric", month: "short", year: "numeric" },
  month: { month: "long", year: "numeric" },
  long: { weekday: "long", day: "numeric", month: "long" },
  full: { dateStyle: "full", timeStyle: "short" },
};
const writers = {};
const write = (name, at) => (writers[name] ??= new Intl.DateTimeFormat(language, { ...formats[name], timeZone })).format(at);
const dayKey = new Intl.DateTimeFormat("en-CA", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" });

/** The reader's calendar day, "2026-11-23". */
export const dayOf = (at) => dayKey.format(at);
const daysAgo = (at) => Math.round((Date.parse(dayOf(new Date())) - Date.parse(dayOf(at))) / 86400000);

function inWords(at, style) {
  if (style === "clock" || style === "month") return write(style, at);
  if (style === "date") return write(daysAgo(at) > 300 ? "dated" : "short", at);
  const age = daysAgo(at);
  if (age === 0) return write("clock", at);
  if (style === "soon") return `${write("weekday", at)} ${write("clock", at)}`;
  if (age === 1) return words.yesterday;
  return write(age > 1 && age < 7 ? "weekday" : age > 300 ? "dated" : "short", at);
}

/** "Today, Monday 23 November" */
export function dayLine(at) {
  const age = daysAgo(at);
  const day = write("long", at);
  if (age === 0) return `${words.today}, ${day}`;
  if (age === 1) return `${words.yesterdayLong}, ${day}`;
  return age > 300 ? write("dated", at) : day.charAt(0).toUpperCase() + day.slice(1);
}

function rewrite(element) {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.valueOf())) return;
  const text = inWords(at, element.dataset.style);
  if (element.textContent !== text) element.textContent = text;
  element.title = write("full", at);
}

export const rewriteAll = (root = document) => $$("time[data-style]", root).forEach(rewrite);

/** "23 h 49 min" */
export function spoken(seconds) {
  const minutes = Math.floor(seconds / 60);
  return minutes >= 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes} min`;
}

new MutationObserver((changes) => {
  for (const change of changes) {
    // A morph writes the server's words into the element that is there.
    const place = change.target.nodeType === 1 ? change.target : change.target.parentElement;
    const own = place?.closest("time[data-style]");
    if (own) rewrite(own);
    for (const node of change.addedNodes) {
      if (node.nodeType !== 1) continue;
      if (node.matches("time[data-style]")) rewrite(node);
      else rewriteAll(node);
    }
  }
}).observe(document.body, { childList: true, characterData: true, subtree: true });
rewriteAll();
// Midnight turns "10:42" into "yesterday".
let today = dayOf(new Date());
setInterval(() => {
  if (today !== dayOf(new Date())) {
    today = dayOf(new Date());
    rewriteAll();
  }
}, 30000);
