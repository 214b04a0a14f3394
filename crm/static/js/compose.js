// The composer beside its text: dialogs, quick replies, emojis, quotes, notes, and how Enter works.
import { $, $$, fetchFragment, fill, me, newKey, parse, store, tell, toast, words } from "./page.js";
import { openChat } from "./desk.js";
import { keepPinned, placeBubble, toBottom } from "./thread.js";
import { renewCompose, showMode } from "./composer.js";
import { count } from "./counting.js";
import { closeDialog, openDialog, sendForm } from "./dialog.js";
import * as suggestions from "./suggest.js";

const form = () => $("#composer");
const box = () => $("#text");
const isNote = () => form()?.dataset.mode === "note";
const said = (name) => $("#compose")?.dataset[name] ?? "";

/** Put text at the caret, as if it had been typed. */
export function insert(text) {
  const area = box();
  if (!area) return;
  area.focus();
  area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
  area.dispatchEvent(new Event("input", { bubbles: true }));
}

// --- dialogs -------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const tool = event.target.closest("[data-compose]");
  if (!tool) return;
  tool.closest("details[data-menu]")?.removeAttribute("open");
  const opener = tool.closest("details")?.querySelector("summary") ?? tool;
  const { compose: kind } = tool.dataset;
  if (kind === "template") openDialog(`/inbox/${openChat()}/templates`, opener);
  else if (kind === "emoji") import("./emoji.js").then((emoji) => emoji.togglePicker(tool, insert));
  else if (kind === "quick") startQuick();
  else if (kind === "reply" || kind === "note") setMode(kind);
  else openDialog(`/inbox/${openChat()}/compose/${kind}${quoted() ? `?reply_to=${quoted()}` : ""}`, opener);
});

document.addEventListener("submit", async (event) => {
  const sent = event.target;
  if (!sent.matches("[data-compose-form]") || event.defaultPrevented) return;
  event.preventDefault();
  if (quoted() && !sent.elements.reply_to) sent.insertAdjacentHTML("beforeend", `<input type="hidden" name="reply_to" value="${Number(quoted())}">`);
  const chat = openChat();
  const html = await sendForm(sent);
  if (html === null) return;
  closeDialog();
  // Somebody may look at another chat by now.
  if (chat !== openChat()) return;
  const answer = parse(html);
  keepPinned(() => placeBubble($("article.bubble", answer)));
  renewCompose($("#compose", answer));
  setQuote(null);
  toBottom();
});

// --- quotes --------------------------------------------------------------------------------------

const quoted = () => form()?.elements.reply_to?.value || "";

/** Answer to this bubble; with null to none. */
export function setQuote(bubble) {
  const line = $("#quoting");
  if (!line) return;
  form().elements.reply_to.value = bubble?.dataset.messageId ?? "";
  line.hidden = !bubble;
  if (!bubble) return;
  $("b", line).textContent = bubble.classList.contains("in") ? $("#thread-title").textContent : words.you;
  $(".cut", line).textContent = ($(".text, .what b", bubble)?.textContent ?? "").trim().slice(0, 200) || "…";
  setMode("reply");
  box()?.focus();
}
document.addEventListener("click", (event) => event.target.closest("[data-unquote]") && (setQuote(null), box()?.focus()));
document.addEventListener("crm:sent", () => {
  setQuote(null);
  for (const name of ["quick_reply", "no_preview"]) if (form()?.elements[name]) form().elements[name].value = "";
  showPreviewChoice();
  if (box()) count(box());
});
document.addEventListener("keydown", (event) => {
  if (event.target.id !== "text" || event.isComposing || event.defaultPrevented) return;
  if (event.key === "ArrowUp" && !event.target.value && !isNote()) {
    const last = $$("#log > .bubble.in").at(-1);
    if (!last) return;
    event.preventDefault();
    setQuote(last);
  } else if (event.key === "Escape" && quoted()) {
    event.preventDefault();
    setQuote(null);
  }
});

// --- quick replies and emojis by name ------------------------------------------------------------

const replies = new Map(); // chat id -> the promise of its list
const repliesOf = (chatId) => {
  if (!replies.has(chatId)) {
    const coming = fetchFragment(`/inbox/${chatId}/quick-replies`).then((text) => JSON.parse(text).replies);
    replies.set(chatId, coming);
    coming.catch(() => replies.delete(chatId));
  }
  return replies.get(chatId);
};
document.addEventListener("crm:leaving", () => replies.clear());

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

function startQuick() {
  const area = box();
  if (!area) return;
  setMode("reply");
  area.value = area.value.trim() ? area.value : "/";
  area.focus();
  area.setSelectionRange(area.value.length, area.value.length);
  offerQuick(area.value.startsWith("/") ? area.value : "/", true);
}

async function offerQuick(text, append = false) {
  const wanted = plain(text.slice(1));
  const found = await repliesOf(openChat()).catch(() => []);
  if (!append && box()?.value !== text) return;
  const hits = found.filter((reply) => plain(reply.shortcut.replace(/^\//, "")).startsWith(wanted) || (wanted && plain(reply.title).includes(wanted)));
  suggestions.suggest(box(), hits.map((reply) => ({ label: `/${reply.shortcut.replace(/^\//, "")}`, title: reply.title, text: reply.content, value: reply })), (reply) => {
    const area = box();
    area.value = area.value.startsWith("/") ? reply.content : `${area.value.trimEnd()} ${reply.content}`;
    form().elements.quick_reply.value = reply.id;
    area.dispatchEvent(new Event("input", { bubbles: true }));
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }, said("quickWords"));
}

async function offerEmoji(area, name) {
  const emoji = await import("./emoji.js");
  const found = await emoji.search(name);
  if (area.value.slice(0, area.selectionStart).endsWith(`:${name}`)) {
    suggestions.suggest(area, found.map((hit) => ({ label: hit.emoji, title: hit.name, value: hit.emoji })), (sign) => {
      area.setRangeText(sign, area.selectionStart - name.length - 1, area.selectionStart, "end");
      area.dispatchEvent(new Event("input", { bubbles: true }));
    }, said("emojiWords"));
  }
}

let colleagues = null;
async function offerPeople(area, name) {
  colleagues ??= fetchFragment(`/inbox/${openChat()}/people`).then((text) => JSON.parse(text).people);
  const found = (await colleagues.catch(() => [])).filter((person) => plain(person.name).includes(plain(name)));
  suggestions.suggest(area, found.map((person) => ({ label: `@${person.name}`, value: person.name })), (chosen) => {
    area.setRangeText(`@${chosen} `, area.selectionStart - name.length - 1, area.selectionStart, "end");
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }, said("peopleWords"));
}
document.addEventListener("crm:leaving", () => { colleagues = null; });

document.addEventListener("input", (event) => {
  if (event.target.id !== "text") return;
  const before = event.target.value.slice(0, event.target.selectionStart);
  const emoji = before.match(/(?:^|\s):([\p{L}_]{2,24})$/u);
  const person = before.match(/(?:^|\s)@([\p{L} ]{0,24})$/u);
  if (!isNote() && /^\/[^\s/]{0,40}$/.test(event.target.value)) offerQuick(event.target.value);
  else if (emoji) offerEmoji(event.target, emoji[1]);
  else if (isNote() && person) offerPeople(event.target, person[1]);
  else suggestions.close();
  showPreviewChoice();
  if (isNote()) keepNote();
  else sayTyping();
});

// --- the preview of a link -----------------------------------------------------------------------

function showPreviewChoice() {
  const choice = $("#preview-choice");
  if (!choice) return;
  choice.hidden = isNote() || !/https?:\/\/\S/.test(box()?.value ?? "");
  if (choice.hidden) return;
  $("input", choice).checked = !form().elements.no_preview.value;
}
document.addEventListener("change", ({ target }) => {
  if (target.closest?.("#preview-choice")) form().elements.no_preview.value = target.checked ? "" : "1";
});

// --- notes ---------------------------------------------------------------------------------------

const noteName = () => `note:${me}:${openChat()}`;
const keepNote = () => store.set(noteName(), box().value.trim() ? box().value : null);

export function setMode(mode) {
  const current = form();
  if (!current || current.dataset.mode === mode || current.hasAttribute("data-note-only")) return;
  showMode(current, mode);
  const note = mode === "note";
  // A half-written note is never kept where a reload would offer it as an answer.
  store.set(noteName(), note && box().value.trim() ? box().value : null);
  tell("crm:mode", { note });
  showPreviewChoice();
  box().focus();
}

// Before htmx: a note is no message.
document.addEventListener("submit", async (event) => {
  if (event.target.id !== "composer" || !isNote()) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const current = form();
  const text = box().value;
  if (!text.trim() || current.dataset.busy) return;
  current.dataset.busy = "yes";
  const chatId = openChat();
  const body = new FormData(current);
  try {
    const response = await fetch(`/inbox/${chatId}/notes`, { method: "POST", body, headers: { "HX-Request": "true", Accept: "text/html" } });
    const html = await response.text();
    if (!response.ok) return toast($("[data-error] p", parse(html))?.textContent || words.failed);
    store.set(`note:${me}:${chatId}`, null);
    if (chatId !== openChat()) return;
    if (box()?.value === text) box().value = "";
    current.elements.client_key.value = newKey();
    box()?.dispatchEvent(new Event("input", { bubbles: true }));
    keepPinned(() => placeBubble($("article.note", parse(html))));
    toBottom();
  } catch {
    toast(words.unsent);
  } finally {
    delete current.dataset.busy;
  }
}, true);

function begin() {
  const kept = form() && store.get(noteName());
  if (kept && box() && (!box().value || form().hasAttribute("data-note-only"))) {
    setMode("note");
    box().value = kept;
    box().dispatchEvent(new Event("input", { bubbles: true }));
  }
  showPreviewChoice();
}
document.addEventListener("crm:opened", begin);

document.addEventListener("keydown", (event) => {
  if (!event.altKey || event.ctrlKey || event.metaKey || event.getModifierState("AltGraph")) return;
  const mode = { KeyL: "reply", KeyP: "note" }[event.code];
  if (!mode || !form()) return;
  event.preventDefault();
  setMode(mode);
  box()?.focus();
});

// --- Enter, and what the customer sees of our writing --------------------------------------------

document.addEventListener("change", ({ target }) => {
  if (!target.matches?.("[data-enter-choice]")) return;
  const sends = target.checked;
  form().dataset.enter = sends ? "send" : "line";
  const body = new FormData();
  body.append("sends", sends ? "1" : "0");
  body.append("csrf_token", form().elements.csrf_token.value);
  // It goes on although the page is left at once.
  fetch("/inbox/enter", { method: "POST", body, headers: { "HX-Request": "true" }, keepalive: true }).catch(() => {});
});

let toldAt = 0;
let toldChat = null;
function sayTyping() {
  if (!form()?.hasAttribute("data-typing") || !box().value.trim()) return;
  if (toldChat === openChat() && Date.now() - toldAt < 20000) return;
  [toldAt, toldChat] = [Date.now(), openChat()];
  fetchFragment(`/inbox/${openChat()}/typing`, { method: "POST" }).catch(() => {});
}

// --- the dialogs' own behaviour ------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const rows = event.target.closest("[data-list-rows]");
  if (!rows) return;
  if (event.target.closest("[data-add-row]")) {
    const next = $(".list-row[hidden]", rows);
    if (next) next.hidden = false;
    $("[name^=row-]", next ?? rows)?.focus();
    event.target.closest("[data-add-row]").disabled = !$(".list-row[hidden]", rows);
  }
  const sections = event.target.closest("[data-with-sections]");
  if (sections) sections.setAttribute("aria-pressed", String(rows.classList.toggle("with-sections")));
});
document.addEventListener("crm:dialog", ({ detail }) => {
  if ($("[data-preview]", detail.dialog)) import("./preview.js").then((preview) => preview.follow(detail.dialog));
});
document.addEventListener("submit", async (event) => {
  const sent = event.target;
  if (!sent.matches("[data-forward-form]")) return;
  event.preventDefault();
  if (!$$("input[name=to]:checked", sent).length) return $("input[name=to]:not([disabled])", sent)?.focus();
  const text = await sendForm(sent);
  if (text === null) return;
  const { sent: count, refused } = JSON.parse(text);
  closeDialog();
  toast([fill(count === 1 ? said("forwardedOne") : said("forwardedMany"), { n: count }), ...refused].join(" "));
});

begin();
$("#compose")?.setAttribute("data-ready", "");
