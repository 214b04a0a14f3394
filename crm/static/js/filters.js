// The panel that narrows the list. What it says stands in the address, so that Back works.
import { $, $$, fetchFragment, parse, toast, words } from "./page.js";
import { go } from "./list.js";

const NAMES = ["closing", "unread", "mentioned", "status", "number", "campaign", "agent", "tag"];
const place = () => $("#filter-panel");
const query = () => new URLSearchParams($("#rows")?.dataset.query ?? "");

/** How many filters are set, on the button for eyes and readers. */
function count() {
  const set = NAMES.filter((name) => query().get(name)).length;
  const badge = $("#filter-button .badge");
  if (!badge) return;
  badge.hidden = set === 0;
  badge.textContent = set;
  $("#filter-button").classList.toggle("on", set > 0);
}

async function open() {
  const panel = place();
  const button = $("#filter-button");
  if (!panel.hidden) {
    panel.hidden = true;
    button.setAttribute("aria-expanded", "false");
    return;
  }
  try {
    panel.replaceChildren(parse(await fetchFragment(`/inbox/filters?${query()}`)));
    panel.hidden = false;
    button.setAttribute("aria-expanded", "true");
    $("input, select", panel)?.focus();
  } catch {
    toast(words.failed);
  }
}

function apply() {
  const wanted = query();
  const form = new FormData($("#filters"));
  for (const name of NAMES) {
    if (form.get(name)) wanted.set(name, form.get(name));
    else wanted.delete(name);
  }
  $("[data-clear-filters]").hidden = !NAMES.some((name) => wanted.has(name));
  go(wanted.toString()).then(count);
}

document.addEventListener("click", (event) => {
  if (event.target.closest("#filter-button")) open();
  if (event.target.closest("[data-clear-filters]")) {
    for (const field of $$("input, select", place())) {
      if (field.type === "checkbox") field.checked = false;
      else field.value = "";
    }
    apply();
    $("input", place())?.focus();
  }
});
document.addEventListener("change", (event) => event.target.closest("#filters") && apply());
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !place()?.contains(event.target)) return;
  event.preventDefault();
  place().hidden = true;
  $("#filter-button").setAttribute("aria-expanded", "false");
  $("#filter-button").focus();
});
document.addEventListener("crm:rows", count);
count();
