// What one does with a message: react, quote, copy, forward. By the pointer a small bar beside the
// bubble; by the keyboard: arrows walk through the thread, R quotes, E reacts, C copies, F forwards, M edits, Delete deletes.
import { $, $$, me, parse, toast } from "./page.js";
import { openChat } from "./desk.js";
import { keepPinned, placeBubble } from "./thread.js";

const log = () => $("#log");
const any = "#log > .bubble:is([data-message-id], [data-note-id])";
const bubbles = () => $$(`${any}:not([data-tile=folded])`);
const bubbleOf = (element) => element?.closest?.(any);
const floats = ".bubble-tools, .bubble-emojis";
// By its id: news of a message replace its bubble, and the bar stays.
let currentId = null;
const current = () => (currentId ? document.getElementById(currentId) : null);

const MINUTE = 60000;
const age = (bubble) => Date.now() - Date.parse(bubble.dataset.position);
const isMine = (bubble) => bubble.dataset.author === me;

/** May this be done with it? The server asks again, and says why not. */
function may(deed, bubble) {
  const { noteId, status, kind } = bubble.dataset;
  const { mayAct, amends, mayRemoveNotes } = $("#thread").dataset;
  if (deed === "copy") return true;
  if (noteId) return deed === "edit" ? isMine(bubble) && age(bubble) < 15 * MINUTE : deed === "remove" && (isMine(bubble) || mayRemoveNotes !== undefined);
  if (mayAct === undefined) return false;
  if (deed !== "edit" && deed !== "remove") return true;
  if (amends === undefined || !bubble.matches(".out") || !["sent", "delivered", "read"].includes(status) || $(".gone", bubble)) return false;
  return deed === "remove" ? age(bubble) < 48 * 60 * MINUTE : isMine(bubble) && kind === "text" && age(bubble) < 15 * MINUTE;
}

/** A bar over the page, at the bubble's upper edge; the thread may be drawn anew below it. */
function float(selector, bubble) {
  const bar = $(selector).content.firstElementChild.cloneNode(true);
  for (const key of $$("[data-bubble]", bar)) key.hidden = !may(key.dataset.bubble, bubble);
  document.body.append(bar);
  const at = bubble.getBoundingClientRect();
  const top = Math.max(log().getBoundingClientRect().top + 4, at.top - (bar.matches(".bubble-emojis") ? 30 : 14));
  const wide = bar.offsetWidth;
  // Beside a short word, not on it; still touching, so that the pointer gets there.
  const beside = at.width < wide + 140 ? (bubble.matches(".in") ? at.right - 6 : at.left - wide + 6) : at.right - wide - 8;
  const left = bar.matches(".bubble-emojis") && bubble.matches(".in") ? at.left : beside;
  bar.style.setProperty("top", `${top}px`);
  bar.style.setProperty("left", `${Math.min(Math.max(8, left), innerWidth - wide - 8)}px`);
  return bar;
}

function show(bubble) {
  if (!bubble || bubble.dataset.local || (currentId === bubble.id && $(floats))) return;
  hide();
  currentId = bubble.id;
  float("#bubble-tools", bubble);
}

function hide() {
  $$(floats).forEach((bar) => bar.remove());
  currentId = null;
}

document.addEventListener("pointerover", (event) => {
  if (event.pointerType !== "mouse" || $(".bubble-emojis") || event.target.closest?.(floats)) return;
  const bubble = bubbleOf(event.target);
  if (bubble) show(bubble);
  else if (currentId && current() !== document.activeElement) hide();
});
document.addEventListener("focusin", (event) => {
  const bubble = bubbleOf(event.target);
  if (bubble) show(bubble);
  else if (currentId && !event.target.closest(floats)) hide();
});
// Fingers: a tap on the bubble brings the bar.
document.addEventListener("click", (event) => {
  const bubble = bubbleOf(event.target);
  if (bubble && matchMedia("(hover: none)").matches && !event.target.closest("a, button")) show(bubble);
  else if (!bubble && !event.target.closest(floats) && !event.target.closest(".emoji-picker")) hide();
});
document.addEventListener("scroll", (event) => event.target === log() && hide(), { capture: true, passive: true });
document.addEventListener("crm:leaving", hide);

// --- deeds ---------------------------------------------------------------------------------------

async function quote(bubble) {
  const { setQuote } = await import("./compose.js");
  hide();
  setQuote(bubble);
}

function copy(bubble) {
  const text = ($(".text", bubble) ?? $(".what", bubble))?.innerText.trim() ?? "";
  const done = () => toast($("#bubble-words").content.querySelector("[data-copied]").textContent);
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(done, () => {});
  // Without HTTPS there is no clipboard for scripts, only the old way.
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  if (document.execCommand("copy")) done();
  area.remove();
}

async function forward(bubble) {
  await import("./compose.js");
  const { openDialog } = await import("./dialog.js");
  openDialog(`/inbox/${openChat()}/messages/${bubble.dataset.messageId}/forward`, bubble);
}

function askEmoji(bubble) {
  if ($(".bubble-emojis")) return hide();
  hide();
  currentId = bubble.id;
  $("button", float("#bubble-emojis", bubble)).focus({ preventScroll: true });
}

async function react(bubble, emoji) {
  const { messageId } = bubble.dataset;
  hide();
  const body = new FormData();
  body.append("emoji", emoji);
  body.append("csrf_token", JSON.parse(document.body.getAttribute("hx-headers:inherited"))["X-CSRFToken"]);
  try {
    const response = await fetch(`/inbox/${openChat()}/messages/${messageId}/react`, { method: "POST", body, headers: { "HX-Request": "true", "HX-Request-Type": "partial", Accept: "text/html" } });
    const answer = parse(await response.text());
    if (!response.ok) return toast($("[data-error] p", answer)?.textContent || "—");
    keepPinned(() => placeBubble($("article", answer)));
    document.getElementById(`message-${messageId}`)?.focus({ preventScroll: true });
  } catch {
    toast("—");
  }
}

async function amend(bubble, deed) {
  hide();
  (await import("./amend.js")).ask(bubble, deed);
}

const DEEDS = {
  react: askEmoji,
  quote,
  copy,
  forward,
  edit: (bubble) => amend(bubble, "edit"),
  remove: (bubble) => amend(bubble, "delete"),
};

document.addEventListener("click", (event) => {
  const bubble = current();
  if (!bubble || !event.target.closest(floats)) return;
  const deed = event.target.closest("[data-bubble]")?.dataset.bubble;
  if (deed) DEEDS[deed](bubble);
  const emoji = event.target.closest("[data-react]");
  if (emoji) react(bubble, emoji.dataset.react);
  const more = event.target.closest("[data-react-more]");
  if (more) import("./emoji.js").then((picker) => picker.togglePicker(more, (sign) => react(bubble, sign)));
});

// --- keyboard ------------------------------------------------------------------------------------

function walk(by) {
  const all = bubbles();
  const at = all.indexOf(bubbleOf(document.activeElement));
  const next = at < 0 ? all.at(-1) : all[Math.min(Math.max(at + by, 0), all.length - 1)];
  if (!next) return;
  next.tabIndex = -1;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  const bubble = bubbleOf(document.activeElement);
  const emojis = document.activeElement.closest(".bubble-emojis");
  if (event.ctrlKey || event.metaKey || event.altKey || !(bubble || emojis || document.activeElement === log())) return;
  if (emojis && ["ArrowLeft", "ArrowRight"].includes(event.key)) {
    const keys = $$("button", emojis);
    const at = keys.indexOf(document.activeElement) + (event.key === "ArrowRight" ? 1 : -1);
    keys[(at + keys.length) % keys.length].focus();
  } else if (event.key === "Escape" && (bubble || emojis)) {
    const back = emojis ? current() : log();
    hide();
    if (bubble && $("#q")?.value) return;
    if (back) back.tabIndex = emojis ? -1 : 0;
    back?.focus({ preventScroll: true });
  } else if (emojis) return;
  else if (event.key === "ArrowUp" || event.key === "ArrowDown") walk(event.key === "ArrowUp" ? -1 : 1);
  else if (bubble && document.activeElement === bubble) {
    const deed = { KeyR: "quote", KeyE: "react", KeyC: "copy", KeyF: "forward", KeyM: "edit", Delete: "remove" }[event.code];
    if (!deed || !may(deed, bubble)) return;
    DEEDS[deed](bubble);
  } else return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);
