// The template's form: the customer's view follows every key, variables get their number, an example
// file goes to Meta at once. The server judges; this only shows.
import { $, $$ } from "./page.js";
import { rich } from "./rich.js";

const VARIABLE = /\{\{\s*([A-Za-z0-9_]+)\s*\}\}/g;
const form = () => $("#editor");
const value = (name) => form()?.elements[name]?.value ?? "";
const isNamed = () => form()?.elements.parameter_format?.value === "NAMED";

function names(text) {
  const found = [...new Set([...text.matchAll(VARIABLE)].map((match) => match[1]))];
  return isNamed() ? found : found.sort((a, b) => a - b);
}

/** The text with its examples in place, each one marked. */
function filled(text, examples) {
  const order = names(text);
  return text.replace(VARIABLE, (whole, name) => {
    const example = examples[order.indexOf(name)];
    return example ? `\u0001${example}\u0002` : whole;
  });
}

function part(name, tag, className) {
  const bubble = $(".wa-bubble");
  const found = $(`[data-part=${name}]`, bubble);
  if (found) return found;
  const fresh = document.createElement(tag);
  fresh.className = className;
  fresh.dataset.part = name;
  fresh.dir = "auto";
  return fresh;
}

function drawHeader() {
  const [bubble, kind] = [$(".wa-bubble"), value("header_type")];
  $$("[data-part=header], [data-part=media]", bubble).forEach((old) => old.remove());
  if (!kind) return;
  const header = part(kind === "TEXT" ? "header" : "media", kind === "TEXT" ? "b" : "div", kind === "TEXT" ? "wa-header" : "wa-media");
  if (kind === "TEXT") header.append(rich(filled(value("header_content"), [value("header_example")])));
  else header.append(...$("#preview-icons").content.querySelector(`[data-kind=${kind}]`).cloneNode(true).childNodes);
  if (kind !== "TEXT" || value("header_content")) bubble.prepend(header);
}

function drawButtons(rows) {
  const preview = $("[data-preview]");
  $("[data-part=buttons]", preview)?.remove();
  if (!rows.length) return;
  const list = document.createElement("ul");
  list.className = "wa-buttons";
  list.dataset.part = "buttons";
  for (const { kind, text } of rows) {
    const item = document.createElement("li");
    const icon = $("#preview-icons").content.querySelector(`[data-kind=${kind}]`);
    if (icon) item.append(...icon.cloneNode(true).childNodes);
    const words = document.createElement("span");
    words.textContent = text || "…";
    item.append(words);
    list.append(item);
  }
  preview.append(list);
}

/** A one-time code's text is Meta's, in the template's language. */
function drawCode(body) {
  $$("[data-part=header], [data-part=media]", $(".wa-bubble")).forEach((old) => old.remove());
  const all = JSON.parse($("[data-code-words]").dataset.codeWords);
  const [text, warning, end, copy] = all[value("language").slice(0, 2)] ?? all.en;
  const words = text.replace("{{1}}", "\u0001482913\u0002");
  body.replaceChildren(rich(form().elements.code_security.checked ? `${words} ${warning}` : words));
  drawFooter(value("code_minutes") ? end.replace("%s", value("code_minutes")) : "", body);
  const isTap = value("code_button") === "ONE_TAP";
  drawButtons([{ kind: "COPY_CODE", text: (isTap && value("code_autofill")) || value("code_text") || copy }]);
}

function drawFooter(text, body) {
  const footer = part("footer", "div", "wa-footer");
  footer.textContent = text;
  if (!text) footer.remove();
  else if (!footer.isConnected) body.after(footer);
}

function draw() {
  const body = $("[data-part=body]");
  if (!form() || !body) return;
  if (value("category") === "AUTHENTICATION") return drawCode(body);
  drawHeader();
  body.replaceChildren(rich(filled(value("body_content"), value("body_examples").split("\n").map((line) => line.trim()).filter(Boolean))));
  drawFooter(value("footer_content"), body);
  drawButtons(
    $$("[data-rows=buttons] [data-key]").map((row) => ({
      kind: $("select", row).value,
      text: $("input[id$=-text]", row).value,
    })),
  );
}

document.addEventListener("input", (event) => event.target.closest("#editor") && draw());
document.addEventListener("change", (event) => event.target.closest("#editor") && draw());
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-add], [data-remove]")) queueMicrotask(draw);
  if (!event.target.closest("[data-add-variable]")) return;
  const box = form().elements.body_content;
  const taken = names(box.value);
  let number = taken.length + 1;
  while (taken.includes(String(number))) number += 1;
  const text = isNamed() ? `{{dato${number}}}` : `{{${number}}}`;
  box.focus();
  box.setRangeText(text, box.selectionStart, box.selectionEnd, "end");
  box.dispatchEvent(new Event("input", { bubbles: true }));
});
document.addEventListener("htmx:after:swap", draw);

document.addEventListener("change", async ({ target }) => {
  if (!target.matches("[data-example-file]") || !target.files.length) return;
  const said = $("[data-example-state]");
  said.textContent = target.dataset.busy;
  const body = new FormData();
  body.append("file", target.files[0]);
  body.append("number", value("whatsapp_number_id"));
  body.append("csrf_token", value("csrf_token"));
  const response = await fetch(target.dataset.url, { method: "POST", body, headers: { Accept: "application/json" } }).catch(() => null);
  const answer = await response?.text().catch(() => "");
  if (response?.ok) {
    form().elements.header_example.value = JSON.parse(answer).handle;
    said.textContent = target.dataset.done;
    draw();
  } else {
    const page = new DOMParser().parseFromString(answer ?? "", "text/html");
    said.textContent = $("[data-error] p", page)?.textContent || "—";
    target.value = "";
  }
});

draw();
