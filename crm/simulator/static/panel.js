// The tools beside the phones: faults in plain words, and the traffic.

import { attempt, h, icon, order, t } from "./api.js";

const SECONDS = { slow: 5, webhook_shuffled: 5 };
const KEPT = 150;

export class Panel {
  constructor({ numbers }) {
    this.element = document.getElementById("panel");
    this.calls = document.getElementById("calls");
    this.faults = [];
    this.openers = {
      faults: document.getElementById("open-faults"),
      inspector: document.getElementById("open-inspector"),
    };
    for (const [name, button] of Object.entries(this.openers)) {
      button.addEventListener("click", () => this.show(this.shown === name ? null : name));
      document.getElementById(`tab-${name}`).addEventListener("click", () => this.show(name));
    }
    document.getElementById("close-panel").addEventListener("click", () => this.close());
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
      if (event.target.role !== "tab" || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
      this.show(this.shown === "faults" ? "inspector" : "faults");
      document.getElementById(`tab-${this.shown}`).focus();
    });
    this.bindFaults(numbers);
    document.getElementById("check").addEventListener("click", () => this.check());
    document.getElementById("waiting").addEventListener("click", () => this.show("inspector"));
  }

  show(name) {
    this.shown = name;
    this.element.hidden = !name;
    document.body.classList.toggle("with-panel", Boolean(name));
    for (const [key, button] of Object.entries(this.openers)) {
      button.setAttribute("aria-expanded", String(key === name));
      const tab = document.getElementById(`tab-${key}`);
      tab.setAttribute("aria-selected", String(key === name));
      tab.tabIndex = key === name ? 0 : -1;
      document.getElementById(key).hidden = key !== name;
    }
    if (name === "inspector") this.loadCalls();
  }

  close() {
    const name = this.shown;
    this.show(null);
    if (name) this.openers[name].focus();
  }

  // -- faults ----------------------------------------------------------------------------------

  bindFaults(numbers) {
    this.line = document.getElementById("fault-line");
    this.often = document.getElementById("fault-often");
    this.drawLines(numbers);
    for (const box of this.boxes()) {
      box.addEventListener("change", () => attempt(() => this.turn(box)).then(() => this.drawFaults(this.faults)));
    }
    document.getElementById("clear-faults").addEventListener("click", () => attempt(() => order("DELETE", "faults")));
  }

  boxes() { return this.element.querySelectorAll("[data-fault]"); }

  drawLines(numbers) {
    const chosen = this.line.value;
    this.line.replaceChildren(this.line.options[0], ...numbers.map((number) => h("option", { value: number.id }, number.verified_name)));
    this.line.value = chosen;
  }

  turn(box) {
    const kind = box.dataset.fault;
    if (!box.checked) return order("DELETE", `faults?kind=${kind}`);
    const fault = { kind, seconds: SECONDS[kind] ?? 30 };
    if (this.line.value) fault.number_id = this.line.value;
    if (this.often.value === "once") fault.count = 1;
    if (this.often.value === "sometimes") fault.probability = 1 / 3;
    return order("POST", "faults", fault);
  }

  drawFaults(faults) {
    this.faults = faults;
    for (const box of this.boxes()) {
      const mine = faults.filter((fault) => fault.kind === box.dataset.fault);
      box.checked = mine.length > 0;
      const used = mine.reduce((sum, fault) => sum + fault.used, 0);
      const note = this.element.querySelector(`[data-used="${box.dataset.fault}"]`);
      note.hidden = !used;
      note.textContent = t("used", { count: used });
    }
    const count = faults.length;
    const sum = document.getElementById("fault-sum");
    sum.textContent = count ? t(count === 1 ? "faults_on_one" : "faults_on_many", { count }) : t("faults_none");
    sum.classList.toggle("warn", count > 0);
    document.getElementById("clear-faults").hidden = !count;
    const badge = document.getElementById("fault-count");
    badge.hidden = !count;
    badge.textContent = count;
  }

  // -- traffic ---------------------------------------------------------------------------------

  async loadCalls() {
    // What is told while the list is on its way may be missing in it.
    this.late = [];
    const { calls } = await order("GET", "calls");
    const known = new Set(calls.map((call) => call.id));
    const all = [...this.late.filter((call) => !known.has(call.id)), ...calls];
    this.late = [];
    this.calls.replaceChildren(...all.map((call) => this.row(call)));
    document.getElementById("no-calls").hidden = all.length > 0;
  }

  onCall(call) {
    this.drawWaiting(call.waiting);
    this.late = [call, ...(this.late ?? [])].slice(0, KEPT);
    if (this.shown !== "inspector") return;
    this.calls.prepend(this.row(call));
    document.getElementById("no-calls").hidden = true;
    while (this.calls.children.length > KEPT) this.calls.lastChild.remove();
  }

  drawWaiting(count) {
    const chip = document.getElementById("waiting");
    if (!count) chip.hidden = true;
    // A handful is on its way at any moment; only what stays is news. One look at a time: each
    // attempt brings an event, and waiting for silence would mean to wait for ever.
    if (!count || this.looking) return;
    this.looking = setTimeout(async () => {
      const { waiting } = await order("GET", "outbox").catch(() => ({ waiting: [] }));
      this.looking = null;
      chip.hidden = waiting.length === 0;
      chip.textContent = t(waiting.length === 1 ? "waiting_one" : "waiting_many", { count: waiting.length });
      if (waiting.length) this.drawWaiting(waiting.length);
    }, 1500);
  }

  row(call) {
    const fromCrm = call.kind === "call";
    const request = parse(call.request);
    const good = call.status >= 200 && call.status < 300;
    const head = h("summary", {},
      h("span", { class: `arrow ${fromCrm ? "from" : "to"}`, title: t(fromCrm ? "from_crm" : "to_crm") }, icon(fromCrm ? "send" : "reply")),
      h("span", { class: "line" },
        h("b", {}, fromCrm ? title(call, request) : described(request)),
        h("small", {}, [t(fromCrm ? "from_crm" : "to_crm"), call.tries > 1 ? t("try_number", { count: call.tries }) : null,
          call.fault ? t("fault_used", { name: t(`fault_${call.fault}`) }) : null].filter(Boolean).join(" · "))),
      h("span", { class: `chip ${good ? "" : "bad"}` }, call.status ? String(call.status) : t("no_answer")),
      h("span", { class: "num mute" }, `${Math.round(call.milliseconds)} ms`));
    const details = h("details", {}, head);
    details.addEventListener("toggle", () => {
      if (!details.open || details.childElementCount > 1) return;
      details.append(
        h("h4", {}, t("asked")), call.signature ? h("p", { class: "mono mute" }, `X-Hub-Signature-256: ${call.signature}`) : "",
        h("pre", { tabindex: "0" }, pretty(call.request) || call.path || ""),
        h("h4", {}, t("answered")), h("pre", { tabindex: "0" }, pretty(call.answer) || t(call.status ? "empty_answer" : "no_answer")));
    });
    return h("li", {}, details);
  }

  async check() {
    const place = document.getElementById("check-result");
    const state = await order("GET", "state");
    const found = await order("POST", "verify", {});
    place.hidden = false;
    place.classList.toggle("bad", !found.ok);
    place.textContent = found.ok ? t("check_good")
      : found.status ? t("check_refused", { status: found.status }) : t("check_dead", { url: state.webhook_url });
  }
}

function parse(text) {
  try { return JSON.parse(text); } catch { return null; }
}

function pretty(text) {
  const value = parse(text);
  return value ? JSON.stringify(value, null, 2) : text;
}

function title(call, request) {
  if (request?.status === "read") return request.typing_indicator ? "typing" : "read";
  if (request?.messaging_product && request.to) return `${request.type || "text"} → ${request.to}`;
  return `${call.method} ${call.path.replace(/^\/v[\d.]+/, "")}`;
}

function described(body) {
  if (body?.event) return [body.event, body.event === "onack" ? body.ack : body.type ?? body.status].filter((part) => part !== undefined).join(" ");
  const change = body?.entry?.[0]?.changes?.[0];
  const value = change?.value || {};
  const parts = [
    ...(value.messages || []).map((message) => message.type),
    ...(value.statuses || []).map((status) => status.status),
  ];
  if (parts.length > 3) return `${parts.slice(0, 3).join(", ")} +${parts.length - 3}`;
  return parts.join(", ") || change?.field || "?";
}

