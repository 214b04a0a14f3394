// The emoji picker, and emojis by name. The data comes with the first use, in the page's language.
import { $, $$, language, me, store } from "./page.js";

const SIGNS = ["😀", "👋", "🐻", "🍇", "🌎", "🎃", "👓", "🏧", "🏁"];
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
let coming = null;
let picker = null;
let choose = null;
let opener = null;

/** [[[sign, name, words], ...], ...] by group. */
function load() {
  coming ??= fetch(new URL(`../vendor/emoji-${language.startsWith("en") ? "en" : "es"}.json`, import.meta.url))
    .then((response) => response.json());
  coming.catch(() => { coming = null; });
  return coming;
}

/** How well an emoji fits: 0 is its very name; 9 is not at all. */
function rank(label, words, wanted) {
  const name = plain(label);
  if (name === wanted) return 0;
  if (name.startsWith(wanted)) return 1;
  const asked = wanted.split(" ");
  const inName = name.split(/[ :,]+/);
  if (asked.every((word) => inName.some((own) => own.startsWith(word)))) return 2;
  const all = [...inName, ...plain(words).split(" ")];
  return asked.every((word) => all.some((own) => own.startsWith(word))) ? 3 : 9;
}

/** The emojis whose name or words begin with `name`, the best first. */
export async function search(name, limit = 8) {
  const wanted = plain(name.replaceAll("_", " ")).trim();
  const ranked = [];
  for (const group of await load()) {
    for (const [emoji, label, words] of group) {
      const fit = rank(label, words, wanted);
      if (fit < 9) ranked.push([fit, emoji, label]);
    }
  }
  return ranked.sort((a, b) => a[0] - b[0]).slice(0, limit).map(([, emoji, label]) => ({ emoji, name: label }));
}

// --- the picker ----------------------------------------------------------------------------------

const recentName = `emoji:${me}`;
const recent = () => (store.get(recentName) ?? "").split(" ").filter(Boolean);
const remember = (emoji) => store.set(recentName, [emoji, ...recent().filter((other) => other !== emoji)].slice(0, 24).join(" "));

function button(emoji, label) {
  const key = document.createElement("button");
  key.type = "button";
  key.tabIndex = -1;
  key.textContent = emoji;
  key.dataset.emoji = emoji;
  if (label) key.title = label;
  if (label) key.setAttribute("aria-label", label);
  return key;
}

async function draw(text = "") {
  const grid = $(".grid", picker);
  const parts = [];
  if (text) {
    parts.push(...(await search(text, 80)).map((hit) => button(hit.emoji, hit.name)));
    if (!parts.length) parts.push(Object.assign(document.createElement("p"), { textContent: "—" }));
  } else {
    parts.push(...recent().map((emoji) => button(emoji)));
    for (const [at, group] of (await load()).entries()) {
      const head = document.createElement("h3");
      head.dataset.group = at;
      head.setAttribute("aria-hidden", "true");
      head.textContent = SIGNS[at] ?? "";
      parts.push(head, ...group.map(([emoji, label]) => button(emoji, label)));
    }
  }
  grid.replaceChildren(...parts);
  const first = $("[data-emoji]", grid);
  if (first) first.tabIndex = 0;
}

function build() {
  const words = $("#compose")?.dataset.emojiWords ?? "";
  picker = document.createElement("div");
  picker.className = "emoji-picker";
  picker.setAttribute("role", "dialog");
  picker.setAttribute("aria-label", words);
  const search = document.createElement("label");
  search.className = "search";
  const field = document.createElement("input");
  field.type = "search";
  field.autocomplete = "off";
  field.setAttribute("aria-label", words);
  field.placeholder = words;
  field.addEventListener("input", () => draw(field.value.trim()));
  search.append(field);
  const nav = document.createElement("nav");
  nav.append(...SIGNS.map((sign, at) => Object.assign(button(sign), { className: "", onclick: null })).map((key, at) => {
    delete key.dataset.emoji;
    key.dataset.to = at;
    key.tabIndex = 0;
    key.setAttribute("aria-hidden", "true");
    return key;
  }));
  const grid = document.createElement("div");
  grid.className = "grid";
  picker.append(search, nav, grid);
  picker.addEventListener("click", (event) => {
    const to = event.target.closest("[data-to]");
    if (to) $(`[data-group="${to.dataset.to}"]`, grid)?.scrollIntoView({ block: "start" });
    const key = event.target.closest("[data-emoji]");
    if (!key) return;
    remember(key.dataset.emoji);
    const chosen = choose;
    if (!event.shiftKey) close();
    chosen(key.dataset.emoji);
  });
  picker.addEventListener("keydown", onKey);
}

function onKey(event) {
  const keys = $$("[data-emoji]", picker);
  const at = keys.indexOf(document.activeElement);
  const columns = Math.max(1, Math.floor($(".grid", picker).clientWidth / 36));
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: at < 0 ? 1 : columns, ArrowUp: -columns }[event.key];
  if (event.key === "Escape") close();
  else if (event.key === "Enter" && at < 0) keys[0]?.click();
  else if (by && (at >= 0 || event.key === "ArrowDown")) (keys[at + by] ?? $("input", picker)).focus();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

/** Open beside `button`, or close; each emoji that is taken goes to `take`. */
export function togglePicker(beside, take) {
  if (picker?.isConnected) return close();
  if (!picker) build();
  [choose, opener] = [take, beside];
  (beside.closest("dialog") ?? document.body).append(picker);
  if (!$("link[data-compose-sheet]")) {
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.href = new URL("../css/compose.css", import.meta.url).href;
    sheet.dataset.composeSheet = "";
    sheet.addEventListener("load", () => place(beside));
    document.head.append(sheet);
  }
  $("input", picker).value = "";
  draw();
  place(beside);
  $("input", picker).focus();
}

function place(beside) {
  const at = beside.getBoundingClientRect();
  const [wide, high] = [picker.offsetWidth || 340, picker.offsetHeight || 330];
  picker.style.setProperty("left", `${Math.max(8, Math.min(at.left, innerWidth - wide - 8))}px`);
  const above = at.top - high - 8;
  picker.style.setProperty("top", `${above > 8 ? above : Math.max(8, Math.min(at.bottom + 8, innerHeight - high - 8))}px`);
}

function close() {
  picker.remove();
  if (opener?.isConnected && document.activeElement === document.body) opener.focus({ preventScroll: true });
}
document.addEventListener("click", (event) => {
  if (picker?.isConnected && !picker.contains(event.target) && !event.target.closest("[data-compose=emoji], [data-react-more]")) close();
});
