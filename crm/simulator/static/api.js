// Speaking with the simulator: orders, words, small helpers for the DOM.

export const words = JSON.parse(document.body.dataset.words);
export const language = document.documentElement.lang;

/** A word of the dictionary, its {places} filled in. */
export function t(key, places = {}) {
  const text = words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => places[name] ?? whole);
}

/** One order; resolves to the JSON answer, rejects with an Error whose message is for people. */
export async function order(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(`/control/${path}`, options);
  const type = answer.headers.get("Content-Type") || "";
  const content = type.includes("json") ? await answer.json() : await answer.text();
  if (!answer.ok) throw new Error(content.error || String(content).trim() || answer.status);
  return content;
}

/** Make an element: h("p", {class: "x"}, "text", child). Text stays text; nothing is parsed. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function icon(name, extra = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", `icon ${extra}`.trim());
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `/static/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

export function toast(text) {
  const element = h("p", { class: "toast" }, text);
  document.getElementById("toasts").append(element);
  setTimeout(() => element.remove(), 6000);
}

/** Run an order from a click; what goes wrong is said in a toast. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    toast(t("saved_error", { why: error.message }));
    return undefined;
  }
}

export function initials(name) {
  const parts = name.replace(/[^\p{L}\p{N} +]/gu, "").trim().split(/\s+/);
  const first = parts[0] || "?";
  const last = parts.length > 1 ? parts[parts.length - 1][0] : first[1] || "";
  return (first[0] + last).toUpperCase();
}

export function tint(waId) {
  let sum = 0;
  for (const char of waId) sum += char.charCodeAt(0);
  return `t${(sum % 4) + 1}`;
}

export function phoneText(waId) {
  if (waId.startsWith("57") && waId.length === 12) {
    return `+57 ${waId.slice(2, 5)} ${waId.slice(5, 8)} ${waId.slice(8)}`;
  }
  return `+${waId}`;
}

const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long" });

export function time(seconds) {
  const when = new Date(seconds * 1000);
  return h("time", { datetime: when.toISOString() }, clock.format(when));
}

export function dayName(seconds) {
  const when = new Date(seconds * 1000);
  const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  const ago = Math.round((midnight(new Date()) - midnight(when)) / 86400000);
  if (ago === 0) return t("today");
  if (ago === 1) return t("yesterday");
  return day.format(when);
}
