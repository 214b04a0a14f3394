// A small list above the box that follows what is typed: quick replies, emojis, colleagues.
import { $ } from "./page.js";

let list = null;
let box = null;
let pick = null;
let items = [];
let at = 0;

export const isOpen = () => Boolean(list?.isConnected);

/** Show `entries` [{label, title, text, value}] above `input`; `choose(value)` when one is taken. */
export function suggest(input, entries, choose, label) {
  if (!entries.length) return close();
  if (!list) {
    list = document.createElement("ul");
    list.className = "suggest";
    list.id = "suggest";
    list.setAttribute("role", "listbox");
    list.addEventListener("mousedown", (event) => {
      const row = event.target.closest("[role=option]");
      if (!row) return;
      event.preventDefault();
      take(Number(row.dataset.at));
    });
  }
  [box, pick, items, at] = [input, choose, entries.slice(0, 8), 0];
  list.setAttribute("aria-label", label);
  list.replaceChildren(...items.map(row));
  input.closest(".box").append(list);
  input.setAttribute("aria-controls", "suggest");
  input.setAttribute("aria-expanded", "true");
  mark();
}

function row(entry, index) {
  const item = document.createElement("li");
  item.id = `suggest-${index}`;
  item.dataset.at = index;
  item.setAttribute("role", "option");
  for (const [tag, text] of [["b", entry.label], ["span", entry.title], ["small", entry.text]]) {
    if (!text) continue;
    const part = document.createElement(tag);
    part.textContent = text;
    item.append(part);
  }
  return item;
}

function mark() {
  [...list.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === at)));
  list.children[at]?.scrollIntoView({ block: "nearest" });
  box.setAttribute("aria-activedescendant", `suggest-${at}`);
}

function take(index) {
  const entry = items[index];
  const chosen = pick;
  close();
  if (entry) chosen(entry.value);
}

export function close() {
  list?.remove();
  for (const name of ["aria-controls", "aria-expanded", "aria-activedescendant"]) box?.removeAttribute(name);
  items = [];
}

// Before the box hears the key: Enter takes a row and sends nothing.
document.addEventListener("keydown", (event) => {
  if (!isOpen() || event.target !== box || event.isComposing) return;
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (by) at = (at + by + items.length) % items.length;
  else if (event.key === "Enter" || event.key === "Tab") take(at);
  else if (event.key === "Escape") close();
  else return;
  if (by) mark();
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);
document.addEventListener("focusout", (event) => {
  if (isOpen() && event.target === box) close();
});
document.addEventListener("crm:leaving", close);
export const boxOf = () => $("#text");
