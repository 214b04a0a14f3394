// How the customer will see what a dialog says, while it is written.
import { $, $$ } from "./page.js";
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

  function filled(text, part) {
    return text.replace(VARIABLE, (whole, name) => {
      const given = part === "header" ? value("header") : value(`body.${name}`);
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
  draw();
}
