// One message as a phone shows it.

import { attempt, h, icon, initials, order, t, time, tint } from "./api.js";

const MARKS = /(\*[^\s*](?:[^*\n]*[^\s*])?\*|_[^\s_](?:[^_\n]*[^\s_])?_|~[^\s~](?:[^~\n]*[^\s~])?~|```[\s\S]+?```|`[^`\n]+`|https?:\/\/[^\s<>"]+[^\s<>".,;:!?)])/g;

/** WhatsApp's own marks and links, as nodes. */
export function formatted(text) {
  return String(text ?? "").split(MARKS).filter((part) => part !== "").map((part) => {
    if (/^https?:\/\//.test(part)) return h("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part);
    if (part.startsWith("```") && part.length > 6) return h("code", {}, part.slice(3, -3));
    if (/^`[^`]+`$/.test(part)) return h("code", {}, part.slice(1, -1));
    if (/^\*.+\*$/.test(part)) return h("strong", {}, part.slice(1, -1));
    if (/^_.+_$/.test(part)) return h("em", {}, part.slice(1, -1));
    if (/^~.+~$/.test(part)) return h("s", {}, part.slice(1, -1));
    return part;
  });
}

/** A line that stands for a message: in quotes and for readers. */
export function summary(message) {
  const content = message.content || {};
  switch (message.type) {
    case "text": return content.body;
    case "template": return message.rendered || content.name;
    case "interactive": return content.button_reply?.title || content.list_reply?.title || content.body?.text || t("message");
    case "button": return content.text;
    case "image": return content.caption || t("photo");
    case "audio": return content.voice ? t("voice") : t("audio");
    case "contacts": return t("contact");
    default: return content.caption || content.filename || t(message.type in LABELS ? LABELS[message.type] : "message");
  }
}

const LABELS = { video: "video", sticker: "sticker", document: "document", location: "location", unsupported: "unsupported" };

export function bubble(message, { quoted, act }) {
  const mine = message.direction === "in";
  const element = h("article", {
    class: `bubble${mine ? " out" : ""}${message.type === "sticker" ? " bare" : ""}`,
    "data-wamid": message.wamid,
    "data-status": message.status,
    "data-type": message.type,
  });
  if (message.context?.id) {
    element.append(h("div", { class: "quote" }, quoted ? summary(quoted) : t("message")));
  }
  element.append(...body(message), foot(message));
  for (const block of [buttons(message, act), tools(message, act)]) if (block) element.append(block);
  return element;
}

function foot(message) {
  const line = h("div", { class: "foot" }, message.edited && !message.revoked ? `${t("edited")} · ` : "", time(message.at));
  if (message.direction === "in") line.append(ticks(message));
  return line;
}

export function ticks(message) {
  const label = t(`status_${message.status}`);
  const mark = message.status === "sending" ? icon("clock", "tick") : icon("ticks", "ticks");
  return h("span", { class: `mark ${message.status}`, title: label }, mark, h("span", { class: "visually-hidden" }, label));
}

function body(message) {
  const content = message.content || {};
  if (message.revoked) return [h("p", { class: "mute" }, t("taken_back"))];
  const draw = BODIES[message.type];
  return draw ? draw(content, message) : [h("p", { class: "mute" }, `${t("unknown_message")}: ${message.type}`)];
}

const BODIES = {
  text: (content) => [h("p", { class: "text" }, formatted(content.body))],
  button: (content) => [h("p", { class: "text" }, content.text)],
  template: (content, message) => [h("p", { class: "text" }, formatted(message.rendered || content.name))],
  image: (content) => [picture(content, "photo"), ...caption(content)],
  sticker: (content) => [picture(content, "sticker")],
  video: (content) => [
    content.id ? h("video", { controls: true, preload: "metadata", src: `/media/${content.id}` }) : linked(content),
    ...caption(content),
  ],
  audio: (content, message) => [content.id ? player(content, message) : linked(content)],
  document: (content) => [file(content), ...caption(content)],
  location: (content) => [place(content)],
  contacts: (content) => content.map?.((card) => person(card)) ?? [],
  interactive: (content) => interactive(content),
  order: (content) => [h("div", { class: "card" }, icon("cart"), h("span", {},
    h("b", {}, t("order_of", { count: content.product_items.length })), h("small", {}, content.text || "")))],
  unsupported: () => [h("p", { class: "mute" }, t("poll_note"))],
};

function caption(content) {
  return content.caption ? [h("p", { class: "text" }, formatted(content.caption))] : [];
}

function linked(content) {
  return h("a", { class: "card", href: content.link, target: "_blank", rel: "noopener noreferrer" },
    icon("link"), h("span", {}, h("b", {}, t("link_missing")), h("small", {}, content.link)));
}

function picture(content, label) {
  if (!content.id) return linked(content);
  return h("img", { class: "picture", src: `/media/${content.id}`, alt: content.caption || t(label), loading: "lazy" });
}

function file(content) {
  if (!content.id) return linked(content);
  return h("a", { class: "card", href: `/media/${content.id}`, target: "_blank", rel: "noopener" },
    icon("file"), h("span", {}, h("b", {}, content.filename || t("document"))));
}

function place(content) {
  return h("div", { class: "card" }, icon("pin"), h("span", {},
    h("b", {}, content.name || t("location")),
    h("small", {}, content.address || `${content.latitude}, ${content.longitude}`)));
}

function person(card) {
  const name = card.name?.formatted_name || t("contact");
  const number = card.phones?.[0]?.phone || "";
  return h("div", { class: "card" }, h("span", { class: `avatar s ${tint(number || name)}`, "aria-hidden": "true" }, initials(name)),
    h("span", {}, h("b", {}, name), h("small", {}, number)));
}

function player(content, message) {
  const audio = h("audio", { src: `/media/${content.id}`, preload: "metadata" });
  const button = h("button", { class: "round primary", type: "button", "aria-label": t("play") }, icon("play"));
  const bar = h("progress", { max: "1", value: "0", "aria-hidden": "true" });
  const left = h("span", { class: "num mute" }, "0:00");
  const show = () => {
    const whole = Number.isFinite(audio.duration) ? audio.duration : 0;
    const seconds = Math.round(audio.currentTime || whole);
    bar.value = whole ? audio.currentTime / whole : 0;
    left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    button.setAttribute("aria-label", t(audio.paused ? "play" : "pause"));
    button.replaceChildren(icon(audio.paused ? "play" : "pause"));
  };
  for (const event of ["loadedmetadata", "timeupdate", "play", "pause", "ended"]) audio.addEventListener(event, show);
  button.addEventListener("click", () => (audio.paused ? audio.play() : audio.pause()));
  if (message.direction === "out" && content.voice) {
    audio.addEventListener("play", () => attempt(() => order("POST", "played", { wamid: message.wamid })), { once: true });
  }
  return h("div", { class: "voice" }, button, bar, left, audio);
}

function interactive(content) {
  if (content.nfm_reply) return [h("div", { class: "card" }, icon("check"), h("span", {}, h("b", {}, t("form"))))];
  if (content.call_permission_reply) return [h("div", { class: "card" }, icon("call"), h("span", {}, h("b", {}, t("permission"))))];
  const reply = content.button_reply || content.list_reply;
  if (reply) {
    return [h("p", { class: "text" }, reply.title), reply.description ? h("p", { class: "mute small" }, reply.description) : null].filter(Boolean);
  }
  const parts = [];
  const head = content.header || {};
  if (head.text) parts.push(h("p", { class: "strong" }, head.text));
  if (head.image) parts.push(picture(head.image, "photo"));
  if (head.document) parts.push(file(head.document));
  if (content.body?.text) parts.push(h("p", { class: "text" }, formatted(content.body.text)));
  if (content.footer?.text) parts.push(h("p", { class: "mute small" }, content.footer.text));
  const link = content.action?.parameters;
  if (content.type === "cta_url" && link) {
    parts.push(h("a", { class: "choice", href: link.url, target: "_blank", rel: "noopener noreferrer" }, icon("link"), link.display_text));
  }
  return parts;
}

function buttons(message, act) {
  if (!message.choices?.length) return null;
  const rows = message.choices.map((choice) => {
    const button = h("button", { class: "choice", type: "button" }, choice.title,
      choice.description ? h("small", {}, choice.description) : null);
    button.addEventListener("click", () => act.press(message, choice));
    return button;
  });
  if (message.content?.type !== "list") return h("div", { class: "choices-below" }, rows);
  return h("details", { class: "choices-below" },
    h("summary", { class: "choice" }, icon("list"), message.content.action?.button || t("options_list")), rows);
}

const EMOJI = ["👍", "❤️", "😂", "😮", "😢", "🙏"];

function tools(message, act) {
  const more = h("button", { class: "more", type: "button", "aria-label": t("more"), title: t("more"), "aria-expanded": "false" }, icon("more"));
  const reply = h("button", { class: "btn ghost", type: "button" }, icon("reply"), t("reply"));
  reply.addEventListener("click", () => { close(); act.quote(message); });
  const faces = message.type === "reaction" || message.direction === "in" ? [] : EMOJI.map((emoji) => {
    const face = h("button", { class: "face", type: "button", "aria-label": t("react", { emoji }) }, emoji);
    face.addEventListener("click", () => { close(); act.react(message, emoji); });
    return face;
  });
  const changes = message.direction === "in" && !message.revoked ? change(message, act, () => close()) : [];
  const row = h("div", { class: "actions", hidden: true }, reply, faces, changes);
  const close = () => { row.hidden = true; more.setAttribute("aria-expanded", "false"); };
  more.addEventListener("click", () => {
    row.hidden = !row.hidden;
    more.setAttribute("aria-expanded", String(!row.hidden));
  });
  return h("div", { class: "handle" }, more, row);
}


/** One's own message can be edited (a text, not on a WPPConnect line) and deleted. */
function change(message, act, close) {
  const edit = h("button", { class: "btn ghost", type: "button" }, icon("edit"), t("edit"));
  edit.addEventListener("click", () => { close(); act.edit(message); });
  const gone = h("button", { class: "btn ghost", type: "button" }, icon("trash"), t("take_back"));
  gone.addEventListener("click", () => { close(); act.takeBack(message); });
  return message.type === "text" && !act.isWpp ? [edit, gone] : [gone];
}
