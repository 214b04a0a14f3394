// The page: which phones are open, the stream of news, the picker.

import { attempt, h, initials, order, phoneText, t, tint } from "./api.js";
import { drawLines } from "./lines.js";
import { Panel } from "./panel.js";
import { Phone } from "./phone.js";

const byId = (id) => document.getElementById(id);
const pageId = crypto.randomUUID();
const narrow = matchMedia("(max-width: 760px)");

class App {
  phones = [];
  current = 0;

  async start() {
    Object.assign(this, await order("GET", "state"));
    this.panel = new Panel({ numbers: this.numbers });
    this.panel.drawFaults(this.faults);
    this.panel.drawWaiting(this.waiting_webhooks);
    drawLines(this.numbers);
    this.bind();
    this.listen();
    const wanted = new URLSearchParams(location.search).get("phones") || "";
    for (const pair of wanted.split(",").filter(Boolean)) {
      const [waId, numberId] = pair.split(".");
      const customer = this.customers.find((row) => row.wa_id === waId);
      if (customer) await this.open(customer, numberId);
    }
    if (!this.phones.length) this.pick();
  }

  // -- phones ----------------------------------------------------------------------------------

  async open(customer, numberId) {
    const line = this.numbers.some((number) => number.id === numberId) ? numberId : this.numbers[0].id;
    let phone = this.phones.find((other) => other.waId === customer.wa_id && other.numberId === line);
    if (!phone) {
      phone = new Phone({ customer, numberId: line, app: this });
      this.phones.push(phone);
      byId("phones").append(phone.element);
      await attempt(() => phone.load());
    }
    this.closePicker();
    this.turnTo(this.phones.indexOf(phone));
    phone.element.scrollIntoView({ block: "nearest", inline: "nearest" });
    phone.log.scrollTop = phone.log.scrollHeight;
    if (!narrow.matches) phone.input.focus();
  }

  putAway(phone) {
    phone.element.remove();
    this.phones = this.phones.filter((other) => other !== phone);
    this.turnTo(Math.max(0, this.current - 1));
    if (!this.phones.length) this.pick();
  }

  async moveLine(phone, numberId) {
    phone.numberId = numberId;
    await attempt(() => phone.load());
    this.remember();
  }

  /** On a small screen one phone is in sight; tabs lead to the others. */
  turnTo(index) {
    this.current = Math.min(index, this.phones.length - 1);
    this.phones.forEach((phone, position) => phone.element.classList.toggle("current", position === this.current));
    const tabs = byId("tabs");
    tabs.hidden = this.phones.length < 2;
    tabs.replaceChildren(...this.phones.map((phone, position) => {
      const button = h("button", { type: "button", "aria-current": position === this.current ? "true" : null },
        h("span", { class: `avatar s ${tint(phone.waId)}`, "aria-hidden": "true" }, initials(phone.customer.name)), phone.customer.name);
      button.addEventListener("click", () => this.turnTo(position));
      return button;
    }));
    const shown = this.phones[this.current];
    if (shown) shown.log.scrollTop = shown.log.scrollHeight;
    this.remember();
  }

  remember() {
    const address = new URL(location);
    address.searchParams.delete("phones");
    const open = this.phones.map((phone) => `${phone.waId}.${phone.numberId}`).join(",");
    const rest = address.searchParams.toString();
    const query = [rest, open ? `phones=${open}` : ""].filter(Boolean).join("&");
    history.replaceState(null, "", query ? `?${query}` : location.pathname);
    const other = byId("language");
    other.search = `?lang=${other.lang}${open ? `&phones=${open}` : ""}`;
    this.watch();
  }

  /** Tell which chats are in front of somebody's eyes: those are read. */
  watch() {
    if (!this.connected) return;
    const seen = document.visibilityState === "hidden" ? []
      : narrow.matches ? this.phones.slice(this.current, this.current + 1) : this.phones;
    const chats = seen.map((phone) => ({ number_id: phone.numberId, wa_id: phone.waId }));
    attempt(() => order("POST", "watch", { page: pageId, chats }));
  }

  // -- news ------------------------------------------------------------------------------------

  listen() {
    const source = new EventSource(`/events?page=${pageId}`);
    const on = (kind, act) => source.addEventListener(kind, (event) => act(JSON.parse(event.data)));
    const each = (row, act) => this.phones
      .filter((phone) => phone.waId === row.wa_id && phone.numberId === row.number_id).forEach(act);
    source.addEventListener("open", () => {
      this.connected = true;
      byId("lost").hidden = true;
      // What happened before the stream was open is in no event: read again, the first time too.
      attempt(() => this.resync());
    });
    source.addEventListener("error", () => {
      this.connected = false;
      setTimeout(() => { byId("lost").hidden = this.connected; }, 3000);
      // The browser comes back by itself, unless an answer told it not to.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.listen(), 1000);
    });
    on("message", ({ message }) => each(message, (phone) => phone.onMessage(message)));
    on("status", ({ message }) => each(message, (phone) => phone.onMessage(message)));
    on("read", (row) => each(row, (phone) => phone.onRead(row.until)));
    on("typing", (row) => each(row, (phone) => phone.onTyping(row.stops)));
    on("customer", ({ customer }) => this.onCustomer(customer));
    on("faults", ({ faults }) => this.panel.drawFaults(faults));
    on("call", (call) => this.panel.onCall(call));
    on("resync", () => this.resync());
  }

  onCustomer(customer) {
    const others = this.customers.filter((row) => row.wa_id !== customer.wa_id);
    this.customers = [...others, customer];
    this.phones.filter((phone) => phone.waId === customer.wa_id).forEach((phone) => phone.onCustomer(customer));
    if (!byId("picker").hidden) this.drawPicker();
  }

  async resync() {
    Object.assign(this, await order("GET", "state"));
    this.panel.drawFaults(this.faults);
    this.panel.drawLines(this.numbers);
    drawLines(this.numbers);
    for (const phone of [...this.phones]) {
      if (this.customers.some((row) => row.wa_id === phone.waId)) await attempt(() => phone.load());
      else this.putAway(phone);
    }
    this.watch();
  }

  // -- the picker ------------------------------------------------------------------------------

  pick() {
    byId("picker").hidden = false;
    byId("close-picker").hidden = this.phones.length === 0;
    document.body.classList.add("picking");
    this.drawPicker();
    byId("picker").scrollIntoView({ block: "nearest", inline: "nearest" });
    if (this.phones.length) byId("picker").querySelector(".people button")?.focus();
  }

  closePicker() {
    byId("picker").hidden = true;
    document.body.classList.remove("picking");
  }

  drawPicker() {
    const chosen = this.chosenLine();
    byId("lines").replaceChildren(...this.numbers.map((number, index) => h("label", { class: "choice-card" },
      h("input", { type: "radio", name: "line", value: number.id, checked: chosen ? chosen === number.id : index === 0 }),
      h("b", {}, number.verified_name), h("span", {}, number.display_phone_number))));
    const rows = [...this.customers].sort((a, b) => a.name.localeCompare(b.name));
    byId("people").replaceChildren(...rows.map((customer) => {
      const open = this.phones.some((phone) => phone.waId === customer.wa_id);
      const button = h("button", { type: "button" },
        h("span", { class: `avatar ${tint(customer.wa_id)}`, "aria-hidden": "true" }, initials(customer.name)),
        h("span", { class: "who" }, h("b", {}, customer.name), h("span", {}, phoneText(customer.wa_id))),
        open ? h("span", { class: "chip brand" }, t("open_now")) : null);
      button.addEventListener("click", () => this.open(customer, this.chosenLine()));
      return h("li", {}, button);
    }));
  }

  chosenLine() {
    return byId("lines").querySelector("input:checked")?.value;
  }

  async create(form) {
    const fields = new FormData(form);
    const wrong = byId("customer-error");
    wrong.hidden = true;
    try {
      const name = fields.get("name").trim();
      if (!name) { form.elements.name.focus(); return; }
      const digits = fields.get("phone").replace(/\D/g, "");
      if (digits.length < 7 || digits.length > 15) throw new Error(t("phone_wrong"));
      const customer = await order("POST", "customers", { name, wa_id: digits });
      this.onCustomer(customer);
      form.reset();
      await this.open(customer, this.chosenLine());
    } catch (error) {
      wrong.textContent = error.message;
      wrong.hidden = false;
      form.elements.phone.focus();
    }
  }

  bind() {
    byId("open-picker").addEventListener("click", () => this.pick());
    byId("close-picker").addEventListener("click", () => this.closePicker());
    byId("new-customer").addEventListener("submit", (event) => { event.preventDefault(); this.create(event.target); });
    document.addEventListener("visibilitychange", () => this.watch());
    narrow.addEventListener("change", () => this.turnTo(this.current));
    byId("theme").addEventListener("click", () => {
      const dark = getComputedStyle(document.documentElement).colorScheme === "dark"
        || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
      document.documentElement.dataset.theme = dark ? "light" : "dark";
      localStorage.setItem("simulator-theme", document.documentElement.dataset.theme);
    });
    // Windows close by themselves; the chip must not lie for hours.
    setInterval(() => this.phones.forEach((phone) => phone.drawWindow()), 60000);
  }
}

new App().start();
