// The bell: looked at again whenever something moved, and put in its place with its note.
import { $, fetchFragment, parse, store } from "./page.js";

const KEY = "alarm-put-away";
const PLACES = ["alarm-bell", "alarm-note"];
const UNSURE_EVERY = 15000;

/** Put away on this computer: the next alarm shows itself again. */
function hidePutAway(root = document) {
  const note = $("#alarm-note", root);
  if (note?.dataset.alarm && note.dataset.alarm === store.get(KEY)) note.replaceChildren();
}

let asking = null;
function look() {
  asking ??= fetchFragment("/alarms/bell").then(show, () => {}).finally(() => (asking = null));
}

function show(html) {
  const fresh = parse(html);
  hidePutAway(fresh);
  for (const id of PLACES) {
    const now = document.getElementById(id);
    const next = fresh.getElementById(id);
    if (!now || !next || now.outerHTML === next.outerHTML) continue;
    if (id === "alarm-bell") {
      const current = now.getAttribute("aria-current");
      if (current) next.setAttribute("aria-current", current);
      const focused = document.activeElement === now;
      now.replaceWith(next);
      if (focused) next.focus();
    } else if (now.dataset.alarm !== next.dataset.alarm) {
      // The region itself stays, so that what is new in it is read out.
      now.dataset.alarm = next.dataset.alarm ?? "";
      now.replaceChildren(...next.childNodes);
    }
  }
}

document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-put-away]")) return;
  store.set(KEY, $("#alarm-note").dataset.alarm);
  hidePutAway();
});
document.addEventListener("crm:event", ({ detail }) => {
  if (detail.name !== "alarms") return;
  look();
  // What shows the state of a number asks for itself again (hx-trigger).
  document.dispatchEvent(new Event("crm:alarms"));
});
document.addEventListener("crm:connection", ({ detail }) => detail.state === "live" && look());
setInterval(() => document.documentElement.dataset.live !== "live" && !document.hidden && look(), UNSURE_EVERY);
hidePutAway();
