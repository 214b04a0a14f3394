// What every module needs: who looks, the words of the page, fetching a fragment, parsing it.
// The modules talk through events on `document`:
//   crm:opened {chatId}       a conversation is on the screen (null: none); crm:leaving before it goes
//   crm:drawn {area}          the log (or one that will become it) has its entries and days
//   crm:rows, crm:counts      list or tabs have come anew
//   crm:chat-state {chatId, agentId, status, unread, ...}   a row has brought a chat's state
//   crm:draft {chatId}        a draft was kept or dropped
//   crm:row, crm:bubble, crm:ticks, crm:event, crm:connection, crm:synced   from live.js, see there

export const me = document.body.dataset.userId || "";
export const language = document.documentElement.lang || "es";
export const words = document.getElementById("words")?.dataset ?? {};

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
export const tell = (name, detail = {}) => document.dispatchEvent(new CustomEvent(name, { detail }));

/** "{n} new" -> "3 new" */
export const fill = (text, values) => (text ?? "").replace(/\{(\w)\}/g, (_, key) => values[key]);

export class HttpError extends Error {
  constructor(status, html) {
    super(`HTTP ${status}`);
    this.status = status;
    this.html = html;
  }
}

let leaving = false;
export const isLeaving = () => leaving;

/** Go to another page, once: a second way there, started by an answer that came late, would abort the first. */
function leaveFor(address) {
  if (leaving) return;
  leaving = true;
  location.assign(address);
}

// Who signs out is on the way already: the socket, which hears of it before the answer is here, would
// turn the page elsewhere, and the answer that empties the browser's storage would be lost.
document.addEventListener("submit", (event) => { leaving ||= !event.defaultPrevented && event.target.matches("[data-logout]"); });

/** The session is over: sign in, and come back here. */
export const toLogin = () => leaveFor(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);

/** A fragment of ours as text. A session that is over leaves for the login page. */
export async function fetchFragment(url, { method = "GET", signal } = {}) {
  const headers = { "HX-Request": "true", "HX-Request-Type": "partial", Accept: "text/html" };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  const response = await fetch(url, { method, headers, signal, credentials: "same-origin" });
  const away = response.headers.get("HX-Redirect");
  if (away) {
    leaveFor(away);
    return new Promise(() => {});
  }
  const text = await response.text();
  if (!response.ok) throw new HttpError(response.status, text);
  return text;
}

const csrfToken = () => JSON.parse(document.body.getAttribute("hx-headers:inherited") || "{}")["X-CSRFToken"] || "";

export function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  // A template's document runs no scripts, so what is for browsers without them would come to life.
  for (const each of $$("noscript", template.content)) each.remove();
  return template.content;
}

/** Put new elements under htmx's care: it does not watch the page itself. */
export const wire = (element) => window.htmx?.process(element);

/** An id that nobody else makes; randomUUID needs HTTPS or localhost, this does not. */
export function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

export function toast(text) {
  const line = document.createElement("div");
  line.className = "toast fresh";
  line.textContent = text;
  $("#toasts")?.append(line);
  setTimeout(() => line.remove(), 5000);
}

/** Storage may be refused or full: what it holds is a comfort, never the truth. */
export const store = {
  get(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      if (value === null || value === "") localStorage.removeItem(key);
      else localStorage.setItem(key, value);
    } catch {
      // Kept in the page alone.
    }
  },
};

export const isTyping = (element = document.activeElement) => Boolean(element?.matches?.("input, textarea, select, [contenteditable]"));
export const isNarrow = () => matchMedia("(max-width: 760px)").matches;
