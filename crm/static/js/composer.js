// Writing: drafts that stay, a bubble at once, one key for each sending so that nothing goes twice.
import { $, $$, fetchFragment, me, newKey, parse, store, tell, wire, words } from "./page.js";
import { openChat } from "./desk.js";
import { drawDays, keepPinned, placeBubble, toBottom } from "./thread.js";
import { spoken } from "./times.js";

const box = () => $("#text");
const isNote = () => $("#composer")?.dataset.mode === "note";
const draftName = (chatId) => `draft:${me}:${chatId}`;

// --- the box -------------------------------------------------------------------------------------

const growsByItself = CSS.supports("field-sizing", "content");
function grow() {
  if (growsByItself || !box()) return;
  const lines = Math.min(12, Math.max(2, box().value.split("\n").length));
  box().rows = lines;
}

document.addEventListener("keydown", (event) => {
  if (event.target.id !== "text" || event.key !== "Enter" || event.altKey) return;
  // Ctrl+Enter always sends; of Enter and Shift+Enter the one that this person chose.
  if (!event.ctrlKey && !event.metaKey && event.shiftKey !== (event.target.form.dataset.enter === "line")) return;
  // 229: some browsers end a composition with an Enter that says it is none.
  if (event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  event.target.form.requestSubmit();
});

let saving = null;
// Another tab may have a draft of this chat: who has not written here leaves it alone.
let touched = false;
document.addEventListener("input", (event) => {
  if (event.target.id !== "text") return;
  touched = true;
  grow();
  complain("");
  clearTimeout(saving);
  saving = setTimeout(saveDraft, 250);
});

function saveDraft() {
  clearTimeout(saving);
  const chatId = openChat();
  // A note is kept under another name, so that it never comes back as an answer.
  if (!touched || !chatId || !box() || isNote()) return;
  keepDraft(chatId, box().value.trim() ? box().value : null);
}
function keepDraft(chatId, text) {
  store.set(draftName(chatId), text);
  tell("crm:draft", { chatId });
}
// What becomes a note is no draft of an answer any more; what becomes an answer is one.
document.addEventListener("crm:mode", ({ detail }) => {
  touched = true;
  if (detail.note) keepDraft(openChat(), null);
  else saveDraft();
});
document.addEventListener("crm:leaving", saveDraft);
addEventListener("pagehide", saveDraft);

function complain(text) {
  const line = $("#text-error");
  if (!line) return;
  line.hidden = !text;
  $("[data-text]", line).textContent = text;
  box().closest(".box").classList.toggle("wrong", Boolean(text));
  box().toggleAttribute("aria-invalid", Boolean(text));
}

// --- sending -------------------------------------------------------------------------------------

/** What has been sent and not answered for: client key -> {chatId, text, at}. It survives a reload. */
const outboxName = `outbox:${me}`;
const readOutbox = () => {
  try {
    return new Map(JSON.parse(store.get(outboxName) ?? "[]"));
  } catch {
    return new Map();
  }
};
const outbox = readOutbox();
const onTheirWay = new Set();
const keepOutbox = () => store.set(outboxName, outbox.size ? JSON.stringify([...outbox]) : null);
const bubbleOf = (key) => $(`#log > [data-client-key="${CSS.escape(key)}"]`);

/** The bubble that stands there until the server's own comes. */
function draw(key, { text, at }) {
  if (bubbleOf(key)) return bubbleOf(key);
  const bubble = $("#optimistic").content.firstElementChild.cloneNode(true);
  bubble.dataset.clientKey = key;
  bubble.dataset.local = "yes";
  bubble.dataset.position = at;
  $(".text", bubble).textContent = text;
  const time = $("time", bubble);
  time.dateTime = at;
  time.dataset.style = "clock";
  $("#log").append(bubble);
  return bubble;
}

function markUnsent(key, why) {
  const bubble = bubbleOf(key);
  onTheirWay.delete(key);
  if (!bubble) return;
  $$(".why, .again", bubble).forEach((part) => part.remove());
  bubble.append($("#unsent").content.cloneNode(true));
  $(".why [data-text]", bubble).textContent = why;
  $(".ticks", bubble)?.remove();
  keepPinned(() => {});
}

document.addEventListener("htmx:config:request", (event) => {
  const { ctx } = event.detail;
  if (ctx.sourceElement.id !== "composer") return;
  if (isNote()) return event.preventDefault(); // compose.js sends it
  const { body } = ctx.request;
  const key = body.get("client_key");
  if (!onTheirWay.has(key)) {
    const text = (body.get("text") ?? "").trim();
    if (!text) {
      event.preventDefault();
      box().focus();
      return;
    }
    if (!outbox.has(key)) {
      // A new sending: the box is free again at once, with a key for what comes next.
      const extra = Object.fromEntries(["reply_to", "quick_reply", "no_preview"].map((name) => [name, body.get(name) ?? ""]));
      outbox.set(key, { chatId: openChat(), text, at: new Date().toISOString(), extra });
      keepOutbox();
      box().value = "";
      touched = true;
      grow();
      complain("");
      saveDraft();
      ctx.sourceElement.elements.client_key.value = newKey();
      tell("crm:sent");
      draw(key, outbox.get(key));
      drawDays();
      toBottom();
    }
  }
  onTheirWay.add(key);
  ctx.clientKey = key;
});

// Read here and not after the swap: the form may be gone by then, with another chat in its place.
document.addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  if (!ctx.clientKey || ctx.response.status === 401) return;
  event.preventDefault();
  answer(ctx.clientKey, ctx.response.status, parse(ctx.text));
});
document.addEventListener("htmx:error", (event) => {
  const { ctx } = event.detail;
  if (ctx?.clientKey) markUnsent(ctx.clientKey, words.later);
});

function answer(key, status, html) {
  const entry = outbox.get(key);
  onTheirWay.delete(key);
  if (status >= 500 || status === 429) return markUnsent(key, words.failed);
  const compose = $("#compose", html);
  if (status === 200) {
    forget(key);
    if (entry?.chatId !== openChat()) return;
    keepPinned(() => placeBubble($("article.bubble", html)));
    renewCompose(compose);
    return;
  }
  const why = compose ? $("#text-error [data-text]", compose)?.textContent || words.windowClosed : $("[data-error] p", html)?.textContent || words.failed;
  if (entry?.chatId !== openChat()) return;
  if (compose) renewCompose(compose);
  if (box() && !isNote() && !box().value) {
    // Nothing else has been begun: back into the box, with the reason beside it.
    bubbleOf(key)?.remove();
    forget(key);
    box().value = entry?.text ?? "";
    touched = true;
    grow();
    saveDraft();
    complain(why);
    box().focus();
  } else markUnsent(key, why);
}

function forget(key) {
  outbox.delete(key);
  keepOutbox();
}

function resend(key) {
  const entry = outbox.get(key);
  if (!entry || onTheirWay.has(key) || !$("#composer")) return;
  bubbleOf(key)?.remove();
  draw(key, entry);
  window.htmx.ajax("POST", `/inbox/${entry.chatId}/messages`, {
    source: "#composer",
    swap: "none",
    values: { ...entry.extra, text: entry.text, client_key: key },
  });
}

document.addEventListener("click", (event) => {
  const key = event.target.closest("[data-client-key]")?.dataset.clientKey;
  if (key && event.target.closest("[data-retry]")) resend(key);
  if (key && event.target.closest("[data-discard]")) {
    bubbleOf(key).remove();
    forget(key);
    box()?.focus();
  }
});
// The same key cannot become two messages: what a cut connection held back may simply go again.
const resendAll = () => {
  for (const [key, entry] of outbox) if (entry.chatId === openChat() && bubbleOf(key)) resend(key);
};
addEventListener("online", resendAll);
document.addEventListener("crm:connection", ({ detail }) => { if (detail.state === "live") resendAll(); });

// --- renewing ------------------------------------------------------------------------------------

/** Whether the form takes an answer or a note: in its looks and in what it says. */
export function showMode(form, mode) {
  form.dataset.mode = mode;
  for (const button of $$("[data-compose=reply], [data-compose=note]", form)) button.setAttribute("aria-pressed", String(button.dataset.compose === mode));
  const area = $("textarea", form);
  const { notePlaceholder, replyPlaceholder, replyLabel } = area.dataset;
  area.placeholder = mode === "note" ? notePlaceholder : replyPlaceholder;
  area.setAttribute("aria-label", mode === "note" ? notePlaceholder : replyLabel);
}

/** What is being written goes along to the composer that comes in its place. A note stays a note, and
 * an answer waits as a draft where only notes are taken. */
export function carryWords(old, fresh) {
  const [from, to] = [old, fresh].map((place) => $("#composer", place));
  if (!to) return;
  const wasNote = from?.dataset.mode === "note";
  const written = from ? $("textarea", from).value : "";
  const note = wasNote && written.trim();
  if (!note && to.dataset.mode === "note") return;
  if (note) showMode(to, "note");
  const area = $("textarea", to);
  area.textContent = area.value = note || !wasNote && from ? written : store.get(draftName(openChat())) ?? "";
}

/** Take over a composer of the server's where the state has changed; what is being written stays. */
export function renewCompose(fresh) {
  const current = $("#compose");
  if (!fresh || !current) return;
  if (fresh.dataset.state === current.dataset.state) {
    const [line, now] = [$(".window", fresh), $(".window", current)];
    if (line && now) now.replaceWith(line);
    return;
  }
  saveDraft();
  const focused = document.activeElement === box();
  carryWords(current, fresh);
  current.replaceWith(fresh);
  wire(fresh);
  if (focused) (box() ?? $("#thread-title"))?.focus({ preventScroll: true });
  grow();
}

document.addEventListener("crm:opened", ({ detail }) => {
  touched = false;
  if (!detail.chatId || !$("#log")) return;
  const chatId = String(detail.chatId);
  for (const [key, entry] of outbox) {
    if (entry.chatId !== chatId) continue;
    if ($(`#log > [data-client-key="${CSS.escape(key)}"]:not([data-local])`)) forget(key);
    else {
      draw(key, entry);
      if (!onTheirWay.has(key)) markUnsent(key, words.later);
    }
  }
  const draft = store.get(draftName(chatId));
  if (box() && draft && !box().value && !isNote()) box().value = draft;
  grow();
  drawDays();
  toBottomIfRead();
});
const toBottomIfRead = () => { if (!$("#unread-line")) toBottom(); };

// --- the 24-hour window --------------------------------------------------------------------------

setInterval(() => {
  const line = $("[data-window-ends]");
  if (!line) return;
  const left = Math.max(0, (Date.parse(line.dataset.windowEnds) - Date.now()) / 1000);
  $("progress", line).value = left;
  $("[data-left]", line).textContent = words.left.replace("{t}", spoken(left));
  line.classList.toggle("soon", left < 7200);
  if (left === 0) askAgain();
}, 15000);

/** The window has just closed: the server says what stands there now. */
async function askAgain() {
  try {
    renewCompose($("#compose", parse(await fetchFragment(`/inbox/${openChat()}`))));
  } catch {
    // The next turn of the clock asks again.
  }
}

// --- leaving -------------------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-logout]")) return;
  for (const name of Object.keys(localStorage)) if (/^(draft|note|outbox):/.test(name)) localStorage.removeItem(name);
});
