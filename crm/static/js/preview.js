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

  /** An amount or a date as the server will write it: in the template's language, not the reader's. */
  function typed(name) {
    const given = value(name);
    const kind = value(`${name}.kind`);
    if (given && kind === "date_time") return `${format("DateTimeFormat", { dateStyle: "long" }).format(new Date(given))}, ${given.slice(11, 16)}`;
    return (given && kind === "currency" && money(given, value(`${name}.code`))) || given;
  }

  function format(kind, options) {
    try {
      return new Intl[kind](preview.lang || language, options);
    } catch {
      return new Intl[kind]("es", options);
    }
  }

  /** "1.250,50": the last sign before one or two digits is the decimal one, as in services/templates/typed.py. */
  function money(given, currency) {
    const bare = given.replace(/[^0-9.,-]/g, "");
    const [, whole, decimals] = /^(.*?)[.,](\d{1,2})$/.exec(bare) ?? [null, bare, "0"];
    const amount = Number(`${whole.replace(/[.,]/g, "") || 0}.${decimals}`);
    if (!/\d/.test(bare) || Number.isNaN(amount)) return null;
    const digits = Number.isInteger(amount) ? 0 : 2;
    const symbol = format("NumberFormat", { style: "currency", currency }).formatToParts(0).find((part) => part.type === "currency").value;
    const number = format("NumberFormat", { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: "always" }).format(Math.abs(amount));
    return `${amount < 0 ? "-" : ""}${symbol} ${number}`;
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
