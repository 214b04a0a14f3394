// Admin forms: what has changed, not losing it, Ctrl+S, small rows, hours, the confirming dialog.
// Everything works on what the server has drawn; a form that comes back wrong is drawn anew by it.
import { count } from "./counting.js";
import { $, $$, fill, parse, toast } from "./page.js";

let opened = null; // the form's values when the page was opened, as "name=value" lines
let leaving = false;

const editor = () => $("form[data-guard]");

function values(form) {
  const kept = new Map();
  for (const [name, value] of new FormData(form)) {
    if (name === "csrf_token" || name === "version") continue;
    kept.set(name, [...(kept.get(name) ?? []), value]);
  }
  return kept;
}

/** How many fields differ from when the page was opened; rows of a list count as one. */
function countChanges(form) {
  const now = values(form);
  const changed = new Set();
  for (const name of new Set([...now.keys(), ...opened.keys()])) {
    if ((now.get(name) ?? []).join("\u0000") !== (opened.get(name) ?? []).join("\u0000")) changed.add(name.split("-")[0]);
  }
  return changed.size;
}

function tell() {
  const form = editor();
  if (!form || !opened) return 0;
  const count = countChanges(form);
  const line = $("[data-changes]", form);
  const text = count === 0 ? "" : count === 1 ? line.dataset.one : fill(line.dataset.many, { n: count });
  if (line.textContent !== text) line.textContent = text;
  return count;
}

function begin() {
  const form = editor();
  if (form && !opened) opened = values(form);
  const first = $("[data-focus]");
  if (first && !first.value && !$("[data-takes-focus]")) first.focus();
  for (const text of $$("textarea[data-most]")) count(text);
}

document.addEventListener("input", (event) => {
  if (event.target.closest("[data-guard]")) tell();
});
document.addEventListener("change", (event) => {
  if (event.target.closest("[data-guard]")) tell();
});
addEventListener("beforeunload", (event) => {
  if (!leaving && tell() > 0) event.preventDefault();
});
// Sent by hand, not by htmx (`data-guard="plain"`: by the browser itself): the answer is either the way on or the same form with its errors.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-guard]")) return;
  if (form.dataset.guard === "plain") {
    leaving = true;
    return;
  }
  event.preventDefault();
  const save = $(".save", form);
  if (save.disabled) return;
  save.disabled = true;
  try {
    const headers = { "HX-Request": "true", "HX-Request-Type": "partial" };
    // By attribute: a field that is called "action" (a rule has one) would hide the property.
    const response = await fetch(form.getAttribute("action"), { method: "POST", body: new FormData(form), headers, credentials: "same-origin" });
    const address = response.headers.get("HX-Redirect");
    if (address) {
      leaving = true;
      location.href = address;
      return;
    }
    answered(form, parse(await response.text()));
  } catch {
    toast(form.dataset.failed);
  }
  save.disabled = false;
});

function answered(form, content) {
  const fresh = $("#editor", content);
  if (!fresh) return toast($("[data-error] p", content)?.textContent || form.dataset.failed);
  form.replaceWith(fresh);
  document.dispatchEvent(new Event("crm:form-drawn"));
  begin();
  tell();
  $("[data-takes-focus]")?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() !== "s" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
  const form = editor();
  if (!form) return;
  event.preventDefault();
  form.requestSubmit($(".save", form));
});
// htmx's own history is off. A search is no step of its own: Back leaves the list, and returns to it as it was.
document.addEventListener("htmx:after:request", (event) => {
  const address = event.detail?.ctx?.response?.headers?.get?.("HX-Push-Url");
  if (address && $("#listing")) history.replaceState(history.state, "", address);
});

// Another provider, another pace: what was proposed gives way, what somebody wrote stays.
document.addEventListener("change", (event) => {
  const box = event.target.name === "provider" && $("[data-proposals]");
  if (!box) return;
  const proposals = JSON.parse(box.dataset.proposals);
  $$("input", box).forEach((input, index) => {
    const usual = Object.values(proposals).map((each) => String(each[index] ?? ""));
    if (usual.includes(input.value)) input.value = proposals[event.target.value][index] ?? "";
  });
  tell();
});

// ---- small rows ----
let made = 0;

function addRow(box) {
  const pick = $("[data-pick]", box);
  const list = $("[data-list]", box);
  const key = pick ? pick.value : `n${Date.now().toString(36)}${(made += 1)}`;
  if (pick && !key) return pick.focus();
  const there = [...list.children].find((row) => row.dataset.key === key);
  if (there) return $("input:not([type=hidden])", there)?.focus();
  const row = $("[data-template]", box).content.cloneNode(true).firstElementChild;
  row.dataset.key = key;
  for (const part of [row, ...row.querySelectorAll("*")]) {
    for (const name of ["id", "name", "for", "value", "aria-describedby"]) {
      const value = part.getAttribute(name);
      if (value?.includes("__key__")) part.setAttribute(name, value.replaceAll("__key__", key));
    }
  }
  const label = $("[data-label]", row);
  if (label && pick) label.textContent = pick.selectedOptions[0].textContent;
  list.append(row);
  if (pick) pick.value = "";
  $("input:not([type=hidden]), select", row)?.focus();
  tell();
}

function copyDown(day) {
  const next = day.nextElementSibling;
  if (!next) return;
  const target = $("[data-intervals]", next);
  for (const old of $$(".interval", target)) old.remove();
  for (const each of $$(".interval", $("[data-intervals]", day))) {
    const copy = $("template", next).content.cloneNode(true).firstElementChild;
    const [from, to] = $$("input", each);
    const [start, end] = $$("input", copy);
    [start.value, end.value] = [from.value, to.value];
    target.prepend(copy);
    target.insertBefore(copy, $(".none", target));
  }
  $("[data-copy-down], [data-add-interval]", next)?.focus();
}

document.addEventListener("click", (event) => {
  const at = (selector) => event.target.closest(selector);
  if (at("[data-add]")) addRow(at("[data-rows]"));
  else if (at("[data-remove]")) {
    const box = at("[data-rows]");
    at(".rowitem").remove();
    $("[data-pick], [data-add]", box).focus();
  } else if (at("[data-add-interval]")) {
    const day = at("[data-day]");
    const target = $("[data-intervals]", day);
    target.insertBefore($("template", day).content.cloneNode(true), $(".none", target));
    $$(".interval", target).at(-1).querySelector("input").focus();
  } else if (at("[data-add-holiday]")) {
    const list = $("[data-holidays]");
    list.append($("template", list.parentElement).content.cloneNode(true));
    list.lastElementChild.querySelector("input").focus();
  } else if (at("[data-remove-interval]")) {
    const home = at("[data-intervals]");
    at(".interval").remove();
    (home.closest("[data-day]") ?? home.parentElement).querySelector("[data-add-interval], [data-add-holiday]").focus();
  } else if (at("[data-copy-down]")) copyDown(at("[data-day]"));
  else if (at("[data-dialog], button[data-open]")) {
    const { dialog, open } = at("[data-dialog], button[data-open]").dataset;
    event.preventDefault();
    document.getElementById(dialog ?? open)?.showModal();
  } else if (at("[data-close]")) {
    event.preventDefault();
    at("dialog").close();
  }
  else if (at("[data-copy]")) {
    const input = document.getElementById(at("[data-copy]").dataset.copy);
    input.select();
    navigator.clipboard?.writeText(input.value);
  } else if (at("[data-discard]")) leaving = true;
  else return;
  tell();
});
// ---- many rows at once ----
document.addEventListener("change", (event) => {
  const list = event.target.closest(".pick") && event.target.closest("#listing");
  if (!list) return;
  const boxes = $$("td.pick input", list);
  const all = $("[data-pick-all]", list);
  if (event.target === all) for (const box of boxes) box.checked = all.checked;
  const picked = boxes.filter((box) => box.checked).length;
  all.checked = picked === boxes.length;
  all.indeterminate = picked > 0 && !all.checked;
  const line = $("[data-picked]", list);
  line.textContent = picked === 1 ? line.dataset.one : fill(line.dataset.many, { n: picked });
});

// The name that a confirmation asks for: said beside the field, before anything is sent.
document.addEventListener("input", ({ target }) => {
  const form = target.closest("form[data-confirm]");
  if (!form || target.name !== "confirm_name") return;
  const plain = (text) => text.trim().split(/\s+/).join(" ").toLowerCase();
  target.setCustomValidity(plain(target.value) === plain(form.dataset.confirm) ? "" : form.dataset.other);
});

// A link of the summary leads into the field, a group included.
document.addEventListener("click", (event) => {
  const link = event.target.closest(".summary a[href^='#']");
  const target = link && document.getElementById(link.hash.slice(1));
  if (!target) return;
  event.preventDefault();
  const inside = target.matches("input, select, textarea") ? target : $("[aria-invalid], .wrong input, input:checked", target);
  (inside ?? target).focus();
  target.scrollIntoView({ block: "center" });
});

const said = $("[data-said]");
if (said) setTimeout(() => said.remove(), 5000);
begin();
