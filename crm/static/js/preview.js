// How the customer will see what a dialog says, while it is written.
import { $, $$, language } from "./page.js";
import { rich } from "./rich.js";

const VARIABLE = /\{\{\s*([A-Za-z0-9_]+)\s*\}\}/g;

export function follow(dialog) {
  const form = $("form", dialog);
  const preview = $("[data-preview]", dialog);
  const pattern = {};
  for (const name of ["body", "header"]) {
    const part = $(`[data-part=${name}]`, preview);
    if (part) pattern[name] = part.textContent;
  }
  const value = (name) => form.elements[name]?.value.trim() ?? "";
  const isTemplate = !form.elements.body;

  /** An amount or a date as the customer will about see it; the server writes it for good. */
  function typed(name) {
    const given = value(name);
    const kind = value(`${name}.kind`);
    if (given && kind === "date_time") return new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" }).format(new Date(given));
    const amount = kind === "currency" && Number(given.replace(/[^0-9.,-]/g, "").replace(/[.,](?=.*[.,])|[.,](?=\d{3}$)/g, "").replace(",", "."));
    if (!given || kind !== "currency" || Number.isNaN(amount)) return given;
    return new Intl.NumberFormat(language, { style: "currency", currency: value(`${name}.code`), minimumFractionDigits: Number.isInteger(amount) ? 0 : 2 }).format(amount);
  }

  function filled(text, part) {
    return text.replace(VARIABLE, (whole, name) => {
      const given = part === "header" ? value("header") : typed(`body.${name}`);
      return given ? `\u0001${given}\u0002` : whole;
    });
  }

  function put(name, text, tag, className, before) {
    let part = $(`[data-part=${name}]`, preview);
    if (!text) return part?.remove();
    if (!part) {
      part = document.createElement(tag);
      part.dataset.part = name;
      part.className = className;
      part.dir = "auto";
      const bubble = $(".wa-bubble", preview);
      if (before) bubble.insertBefore(part, $(before, bubble));
      else bubble.prepend(part);
    }
    part.replaceChildren(rich(text));
  }

  function buttons() {
    if (isTemplate) return;
    const names = $$("[name^=button-]", form).map((field) => field.value.trim()).filter(Boolean);
    if (value("title")) names.push(value("title"));
    if (value("button")) names.push(value("button"));
    $("[data-part=buttons]", preview)?.remove();
    if (!names.length) return;
    const list = document.createElement("ul");
    list.className = "wa-buttons";
    list.dataset.part = "buttons";
    for (const name of names) {
      const item = document.createElement("li");
      item.textContent = name;
      list.append(item);
    }
    preview.append(list);
  }

  function draw() {
    const body = $("[data-part=body]", preview);
    body.replaceChildren(rich(isTemplate ? filled(pattern.body, "body") : value("body")));
    if (isTemplate && pattern.header) $("[data-part=header]", preview).replaceChildren(rich(filled(pattern.header, "header")));
    if (!isTemplate) {
      put("header", value("header"), "b", "wa-header");
      put("footer", value("footer"), "div", "wa-footer", ".wa-time");
    }
    buttons();
  }
  form.addEventListener("input", draw);
  form.addEventListener("change", draw);
  draw();
}
