// One phone: a customer, the line they write to, the chat and the composer.

import { attempt, dayName, h, initials, order, phoneText, t, tint, toast, words } from "./api.js";
import { bubble, summary, ticks } from "./bubble.js";

const TYPING_MS = 25000;

export class Phone {
  constructor({ customer, numberId, app }) {
    this.customer = customer;
    this.numberId = numberId;
    this.app = app;
    this.messages = new Map();
    this.quoting = null;
    this.loading = 0;
    this.late = [];
    const fragment = document.getElementById("phone").content.cloneNode(true);
    this.element = fragment.querySelector(".phone");
    this.log = this.find(".log");
    this.input = this.find("textarea");
    this.bind();
    this.drawOwner();
  }

  get waId() { return this.customer.wa_id; }

  find(selector) { return this.element.querySelector(selector); }

  // -- drawing ---------------------------------------------------------------------------------

  drawOwner() {
    const { name } = this.customer;
    this.element.dataset.waId = this.waId;
    this.element.dataset.numberId = this.numberId;
    this.element.setAttribute("aria-label", t("phone_of", { name }));
    const face = this.find(".owner .avatar");
    face.textContent = initials(name);
    face.classList.add(tint(this.waId));
    this.find(".owner b").textContent = name;
    this.find(".owner .number").textContent = this.customer.hidden ? this.customer.user_id : phoneText(this.waId);
    for (const part of this.element.querySelectorAll("[data-meta-only]")) part.hidden = this.isWpp;
    const lines = this.find("[data-line]");
    lines.replaceChildren(...this.app.numbers.map((number) =>
      h("option", { value: number.id, selected: number.id === this.numberId }, number.verified_name)));
    for (const box of this.element.querySelectorAll("[data-setting]")) {
      const key = box.dataset.setting;
      box.checked = key === "blocked" ? (this.customer.blocked || []).includes(this.numberId) : Boolean(this.customer[key]);
    }
    this.element.classList.toggle("off", !this.customer.online);
    this.drawPresence();
  }

  drawPresence() {
    const line = this.app.numbers.find((number) => number.id === this.numberId);
    const typing = (this.typingUntil || 0) > Date.now();
    const place = this.find(".presence");
    place.textContent = typing ? t("typing") : `${t("business")} · ${line?.display_phone_number || ""}`;
    place.classList.toggle("busy", typing);
  }

  drawWindow() {
    const chip = this.find("[data-window]");
    const open = this.lastInbound && Date.now() / 1000 - this.lastInbound < 86400;
    chip.classList.toggle("warn", Boolean(this.lastInbound) && !open);
    chip.classList.toggle("brand", Boolean(open));
    chip.textContent = t(open ? "window_open" : this.lastInbound ? "window_closed" : "window_never");
  }

  /** Read the chat again; news that came while the answer travelled is applied once more. */
  async load() {
    this.loading += 1;
    try {
      const { customer, chat } = await order("GET", `phones/${this.waId}/${this.numberId}`);
      if (chat.number_id !== this.numberId) return; // the line was changed meanwhile
      this.show(customer, chat);
      for (const message of this.late) this.onMessage(message);
    } finally {
      this.loading -= 1;
      if (!this.loading) this.late = [];
    }
  }

  show(customer, chat) {
    this.customer = customer;
    this.lastInbound = chat.last_inbound;
    this.typingUntil = chat.typing ? Date.now() + TYPING_MS : 0;
    this.messages = new Map(chat.messages.map((message) => [message.wamid, message]));
    this.drawOwner();
    this.drawWindow();
    this.drawLog();
  }

  drawLog() {
    this.log.replaceChildren();
    this.lastDay = "";
    for (const message of this.messages.values()) this.place(message, { quiet: true });
    if (!this.log.children.length) this.log.append(h("p", { class: "empty" }, t("empty_chat")));
    this.log.scrollTop = this.log.scrollHeight;
  }

  /** Put a message where it belongs: a bubble, a reaction on one, or a line for a failed one. */
  place(message, { quiet = false } = {}) {
    if (message.direction === "out" && message.status === "failed") return this.placeFailure(message);
    if (message.direction === "out" && !message.shown) return;
    if (message.type === "reaction") return this.placeReaction(message);
    const old = this.log.querySelector(`[data-wamid="${CSS.escape(message.wamid)}"]`);
    if (old && (message.edited || message.revoked)) {
      old.replaceWith(bubble(message, { quoted: this.messages.get(message.context?.id), act: this }));
      return;
    }
    if (old) {
      old.dataset.status = message.status;
      old.querySelector(":scope > .foot .mark")?.replaceWith(ticks(message));
      return;
    }
    this.log.querySelector(".empty")?.remove();
    const named = dayName(message.at);
    if (named !== this.lastDay) {
      this.lastDay = named;
      this.log.append(h("p", { class: "day" }, named));
    }
    const element = bubble(message, { quoted: this.messages.get(message.context?.id), act: this });
    if (!quiet) element.classList.add("fresh");
    this.append(element, { force: message.direction === "in" });
  }

  get isWpp() {
    return this.app.numbers.find((number) => number.id === this.numberId)?.provider === "wppconnect";
  }

  append(element, { force = false } = {}) {
    const nearEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 120;
    this.log.append(element);
    if (nearEnd || force) {
      this.log.scrollTop = this.log.scrollHeight;
      // A picture has its height only once it is there.
      for (const image of element.querySelectorAll("img")) {
        image.addEventListener("load", () => { this.log.scrollTop = this.log.scrollHeight; }, { once: true });
      }
    }
  }

  placeReaction(message) {
    const target = this.log.querySelector(`[data-wamid="${CSS.escape(message.content?.message_id || "")}"]`);
    if (!target) return;
    const side = message.direction;
    target.querySelector(`.reaction[data-side="${side}"]`)?.remove();
    target.classList.remove("reacted");
    if (message.content.emoji) {
      const row = target.querySelector(".reactions") || target.appendChild(h("div", { class: "reactions" }));
      row.append(h("span", { class: "reaction", "data-side": side }, message.content.emoji));
    }
    target.classList.toggle("reacted", Boolean(target.querySelector(".reaction")));
  }

  placeFailure(message) {
    if (this.log.querySelector(`[data-failed="${CSS.escape(message.wamid)}"]`)) return;
    const error = message.errors?.[0];
    const plain = error && `why_${error.code}` in words ? t(`why_${error.code}`) : error?.title;
    const why = error ? `${plain} (${error.code})` : "";
    this.append(h("p", { class: "event", "data-failed": message.wamid }, t("did_not_arrive", { why })));
  }

  // -- news ------------------------------------------------------------------------------------

  onMessage(message) {
    if (this.loading && !this.late.includes(message)) this.late.push(message);
    this.messages.set(message.wamid, message);
    if (message.direction === "in") {
      this.lastInbound = Math.max(this.lastInbound || 0, message.at);
      this.drawWindow();
    }
    this.place(message);
    if (message.direction === "out" && message.shown) this.typingUntil = 0;
    this.drawPresence();
  }

  onRead(until) {
    for (const message of this.messages.values()) {
      if (message.direction === "in" && message.at <= until && message.status !== "read") {
        message.status = "read";
        this.place(message);
      }
    }
  }

  onTyping(stops) {
    this.typingUntil = stops ? 0 : Date.now() + TYPING_MS;
    this.drawPresence();
    setTimeout(() => this.drawPresence(), TYPING_MS + 200);
  }

  onCustomer(customer) {
    this.customer = customer;
    this.drawOwner();
  }

  // -- what the person does --------------------------------------------------------------------

  say(body) {
    if (this.editing) return this.saveEdit(body.text);
    const full = { number_id: this.numberId, wa_id: this.waId, ...body };
    if (this.quoting) full.quote = this.quoting.wamid;
    this.unquote();
    return order("POST", "say", full);
  }

  saveEdit(text) {
    const { wamid } = this.editing;
    this.unquote();
    return order("POST", "edit", { wamid, text });
  }

  edit(message) {
    this.quote(message);
    this.quoting = null;
    this.editing = message;
    this.find("[data-quoting] .quote").textContent = t("editing");
    this.input.value = message.content.body;
    this.grow();
  }

  takeBack(message) {
    return attempt(() => order("POST", "revoke", { wamid: message.wamid }));
  }

  press(message, choice) {
    return attempt(() => order("POST", "press", { number_id: this.numberId, wa_id: this.waId, wamid: message.wamid, choice: choice.id }));
  }

  react(message, emoji) {
    const given = this.log.querySelector(`[data-wamid="${CSS.escape(message.wamid)}"] .reaction[data-side="in"]`)?.textContent;
    const content = { message_id: message.wamid, emoji: given === emoji ? "" : emoji };
    return attempt(() => order("POST", "say", { number_id: this.numberId, wa_id: this.waId, kind: "reaction", content }));
  }

  quote(message) {
    this.quoting = message;
    this.find("[data-quoting]").hidden = false;
    this.find("[data-quoting] .quote").textContent = summary(message);
    this.input.focus();
  }

  unquote() {
    if (this.editing) this.input.value = "";
    this.quoting = this.editing = null;
    this.find("[data-quoting]").hidden = true;
  }

  toggle(name, force) {
    const area = this.find(`[data-${name}]`);
    area.hidden = force === undefined ? !area.hidden : !force;
    this.find(`[data-do="${name}"]`).setAttribute("aria-expanded", String(!area.hidden));
    const other = name === "tray" ? "options" : "tray";
    if (!area.hidden && !this.find(`[data-${other}]`).hidden) this.toggle(other, false);
    if (!area.hidden && name === "tray") this.log.scrollTop = this.log.scrollHeight;
  }

  async submit() {
    const text = this.input.value;
    if (!text.trim()) return;
    this.input.value = "";
    this.grow();
    const sent = await attempt(() => this.say({ text }));
    // Nobody should type twice what the network lost.
    if (!sent && !this.input.value) this.input.value = text;
  }

  grow() {
    this.input.style.blockSize = "auto";
    this.input.style.blockSize = `${Math.min(this.input.scrollHeight, 120)}px`;
  }

  async sendFile(chosen) {
    if (chosen.size > 100 * 1024 * 1024) return toast(t("saved_error", { why: "> 100 MB" }));
    const url = await new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(chosen);
    });
    const file = { base64: url.slice(url.indexOf(",") + 1), mime_type: chosen.type || "application/octet-stream", filename: chosen.name };
    return this.say({ file });
  }

  bind() {
    this.find(".compose").addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    this.input.addEventListener("input", () => this.grow());
    this.input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); this.submit(); }
      if (event.key === "Escape") { this.unquote(); this.toggle("tray", false); }
    });
    const own = this.find("[data-own-phone]");
    own.addEventListener("submit", (event) => {
      event.preventDefault();
      const box = own.querySelector("input");
      const text = box.value.trim();
      if (!text) return;
      box.value = "";
      attempt(() => order("POST", "write", { number_id: this.numberId, wa_id: this.waId, text }));
    });
    this.find("[data-file]").addEventListener("change", (event) => {
      const [chosen] = event.target.files;
      event.target.value = "";
      this.toggle("tray", false);
      if (chosen) attempt(() => this.sendFile(chosen));
    });
    this.find("[data-line]").addEventListener("change", (event) => this.app.moveLine(this, event.target.value));
    this.element.addEventListener("click", (event) => this.click(event));
    this.element.addEventListener("change", (event) => {
      const key = event.target.dataset?.setting;
      if (key) this.set(key, event.target.checked);
    });
  }

  click(event) {
    const button = event.target.closest("[data-do], [data-sample]");
    if (!button) return;
    if (button.dataset.sample) {
      this.toggle("tray", false);
      attempt(() => this.say({ sample: button.dataset.sample }));
      return;
    }
    const acts = {
      options: () => this.toggle("options"),
      tray: () => this.toggle("tray"),
      unquote: () => this.unquote(),
      call: () => {
        this.toggle("tray", false);
        attempt(() => order("POST", "call", { number_id: this.numberId, wa_id: this.waId }));
      },
      news: () => {
        this.toggle("tray", false);
        attempt(async () => {
          const { customer } = await order("POST", "news", { number_id: this.numberId, wa_id: this.waId, kind: button.dataset.news });
          toast(t("news_told", { what: button.textContent }));
          // Under a new number they have a new phone.
          if (customer.wa_id !== this.waId) await this.app.open(customer, this.numberId);
        });
      },
      away: () => this.app.putAway(this),
      "close-window": () => attempt(async () => {
        await order("POST", "window", { number_id: this.numberId, wa_id: this.waId, hours: 25 });
        await this.load();
      }),
    };
    acts[button.dataset.do]?.();
  }

  set(key, on) {
    let value = on;
    if (key === "blocked") {
      const others = (this.customer.blocked || []).filter((id) => id !== this.numberId);
      value = on ? [...others, this.numberId] : others;
    }
    return attempt(() => order("PATCH", `customers/${this.waId}`, { [key]: value }));
  }
}
