// One dialog for all that the composer opens: a fragment of the server's in a native <dialog>.
// It keeps what was typed when something is wrong, and gives the focus back when it closes.
import { $, $$, fetchFragment, HttpError, parse, toast, wire, words } from "./page.js";

let back = null;

function frame() {
  let dialog = $("#compose-dialog");
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.id = "compose-dialog";
    dialog.setAttribute("aria-labelledby", "compose-title");
    dialog.addEventListener("close", () => {
      dialog.replaceChildren();
      back?.isConnected && back.focus({ preventScroll: true });
    });
    document.body.append(dialog);
    if (!$("link[data-compose-sheet]")) {
      const sheet = document.createElement("link");
      sheet.rel = "stylesheet";
      sheet.href = new URL("../css/compose.css", import.meta.url).href;
      sheet.dataset.composeSheet = "";
      document.head.append(sheet);
    }
  }
  return dialog;
}

function fill(html) {
  const dialog = frame();
  dialog.replaceChildren(parse(html));
  wire(dialog);
  if (!dialog.open) dialog.showModal();
  const wrong = $("[data-dialog-error]:not([hidden])", dialog);
  const first = $("input:not([type=hidden]):not([disabled]), textarea", dialog);
  if (!wrong) first?.focus();
  document.dispatchEvent(new CustomEvent("crm:dialog", { detail: { dialog } }));
  return dialog;
}

/** Open the dialog that `url` answers; the focus goes back to `opener` in the end. */
export async function openDialog(url, opener = document.activeElement) {
  if (!$("#compose-dialog")?.open) back = opener;
  try {
    return fill(await fetchFragment(url));
  } catch (error) {
    toast(saidBy(error));
    return null;
  }
}

export const closeDialog = () => $("#compose-dialog")?.close();

export const saidBy = (error) => $("[data-error] p", parse(error.html ?? ""))?.textContent || words.failed;

/** Another step in the open dialog. */
export const showIn = (html) => fill(html);

/** Send a form of the dialog. The answer's text, or null: then the dialog says what is wrong. */
export async function sendForm(form) {
  const button = $("footer .primary", form);
  button.disabled = true;
  try {
    const response = await fetch(form.action, {
      method: "POST",
      body: new FormData(form),
      headers: { "HX-Request": "true", "HX-Request-Type": "partial", Accept: "text/html" },
      credentials: "same-origin",
    });
    const text = await response.text();
    if (response.headers.get("HX-Redirect")) location.href = response.headers.get("HX-Redirect");
    if (response.ok) return text;
    if (response.status === 422 && $("[data-compose-form]", parse(text))) fill(text);
    else throw new HttpError(response.status, text);
  } catch (error) {
    const line = $("[data-dialog-error]", form);
    $("span", line).textContent = error instanceof HttpError ? saidBy(error) : words.unsent;
    line.hidden = false;
  } finally {
    button.disabled = false;
  }
  return null;
}

document.addEventListener("click", (event) => {
  const dialog = $("#compose-dialog");
  if (event.target === dialog || event.target.closest("[data-close-dialog]")) closeDialog();
  const other = event.target.closest("[data-open-dialog]");
  if (other) openDialog(other.dataset.openDialog);
  const recent = event.target.closest("[data-fill-form]");
  if (recent) {
    for (const [name, value] of Object.entries(JSON.parse(recent.dataset.fillForm))) {
      const field = recent.closest("form").elements[name];
      if (field) field.value = value;
    }
    $("footer .primary", recent.closest("form")).focus();
  }
});

// What was wrong is being put right.
document.addEventListener("input", ({ target }) => {
  const line = target.form && $("[data-dialog-error]", target.form);
  if (line) line.hidden = true;
});

// A list in a dialog narrows as one types.
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
document.addEventListener("input", ({ target }) => {
  if (!target.matches?.("[data-filter-list]")) return;
  const dialog = target.closest("dialog");
  const wanted = plain(target.value).split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const item of $$("[data-choices] > li", dialog)) {
    const text = plain(item.textContent);
    item.hidden = !wanted.every((word) => text.includes(word));
    if (!item.hidden) shown += 1;
  }
  const none = $("[data-none]", dialog);
  if (none) none.hidden = shown > 0;
});
document.addEventListener("keydown", (event) => {
  if (!event.target.matches?.("[data-filter-list]") || !["ArrowDown", "Enter"].includes(event.key)) return;
  event.preventDefault();
  $("[data-choices] > li:not([hidden]) :is(button, input)", event.target.closest("dialog"))?.focus();
});
