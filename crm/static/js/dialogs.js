// Dialogs of the inbox: closing, putting aside, passing on, assigning, handing over, "why?".
// A button names its page (data-dialog); the same address without JavaScript is a page of its own.
import { $, $$, fetchFragment, fill, HttpError, parse, toast, words } from "./page.js";
import { show } from "./desk.js";

let from = null; // what had the focus before

/** The sheet of the dialogs, once; a dialog without it would jump. */
const dressed = new Promise((resolve) => {
  if ($("link[href$='dialogs.css']")) return resolve();
  const sheet = document.createElement("link");
  sheet.rel = "stylesheet";
  sheet.href = new URL("../css/dialogs.css", import.meta.url);
  sheet.onload = sheet.onerror = resolve;
  document.head.append(sheet);
});

export async function open(address, opener = document.activeElement) {
  try {
    const [html] = await Promise.all([fetchFragment(address), dressed]);
    const dialog = $("dialog", parse(html));
    if (!dialog) return null;
    from = $("dialog[data-act]") ? from : opener;
    for (const old of $$("dialog[data-act]")) old.remove();
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (from?.isConnected) from.focus({ preventScroll: true });
      else $("#thread-title")?.focus({ preventScroll: true });
    });
    dialog.showModal();
    return dialog;
  } catch (error) {
    const said = error instanceof HttpError && $("[data-error] p", parse(error.html))?.textContent;
    toast(said || words.failed || "");
    return null;
  }
}

/** Send the form; a refusal comes back as the dialog with its errors and what was typed. */
async function send(form) {
  const dialog = form.closest("dialog");
  const button = $("button.primary", form);
  if (button.disabled) return;
  button.disabled = true;
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: new FormData(form),
      headers: { "HX-Request": "true", "HX-Request-Type": "partial" },
      redirect: "manual",
    });
    if (answer.ok) {
      const said = answer.headers.get("X-Said");
      const line = answer.status === 200 ? $("[data-said-toast]", parse(await answer.text())) : null;
      dialog.close();
      if (line) say(line);
      if (form.dataset.then === "logout") return leave();
      if (said) toast(decodeURIComponent(said));
      document.dispatchEvent(new CustomEvent("crm:acted", { detail: { action: form.action } }));
      if (location.pathname.startsWith("/inbox/")) show(location.pathname + location.search, { push: false, focus: "title" });
    } else if (answer.status === 422) {
      const fresh = $("dialog", parse(await answer.text()));
      dialog.replaceChildren(...fresh.childNodes);
      ($("[aria-invalid], .wrong input, .wrong select", dialog) ?? $("[role=alert]", dialog) ?? $("input", dialog))?.focus();
    } else if (answer.status === 401 || answer.type === "opaqueredirect") location.reload();
    else {
      toast($("[data-error] p", parse(await answer.text()))?.textContent || words.failed);
      dialog.close();
    }
  } catch {
    toast(words.failed);
  } finally {
    button.disabled = false;
  }
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) {
    event.preventDefault();
    opener.closest("details[data-menu]")?.removeAttribute("open");
    const list = "withList" in opener.dataset ? `?${$("#rows")?.dataset.query ?? ""}` : "";
    open(opener.dataset.dialog + list, opener);
  } else if (event.target.closest("[data-cancel]")) {
    event.preventDefault();
    event.target.closest("dialog")?.close();
  } else if (event.target.matches("dialog[data-act]")) event.target.close();
});
// Going on a break or home: whoever has open chats is asked where they go. Without any, or without
// an answer from the server, the switch is turned as it was pressed.
async function askFirst(button, address, go) {
  button.closest("details[data-menu]")?.removeAttribute("open");
  try {
    const html = await fetchFragment(address);
    if (!html.trim()) return go();
    await open(address, button);
  } catch {
    go();
  }
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-ask]");
  if (!button || button.dataset.asked) return;
  event.preventDefault();
  const { form } = button;
  askFirst(button, `/agents/hand-over?status=${encodeURIComponent(button.value)}`, () => {
    button.dataset.asked = "yes";
    form.requestSubmit(button);
  });
});
document.addEventListener("submit", (event) => {
  const leaving = event.target.closest("form[data-logout][data-asks]");
  if (leaving && !leaving.dataset.asked) {
    event.preventDefault();
    event.stopImmediatePropagation();
    askFirst(leaving, "/agents/hand-over?status=offline&then=logout", () => leave(leaving));
  }
}, true);
function leave(form = $("form[data-logout]")) {
  form.dataset.asked = "yes";
  form.requestSubmit();
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("dialog[data-act] form[method=post]");
  if (!form) return;
  event.preventDefault();
  send(form);
});
// What was done, with its Undo: it stays while somebody reads it or has the focus in it.
function say(line) {
  for (const old of $$("[data-said-toast]")) old.remove();
  $("#toasts").append(line);
  const leave = () => (line.matches(":hover, :focus-within") ? setTimeout(leave, 4000) : line.remove());
  setTimeout(leave, $("form", line) ? 20000 : 10000);
}
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-said-toast] form");
  if (!form) return;
  event.preventDefault();
  const button = $("button", form);
  if (button.disabled) return;
  button.disabled = true;
  try {
    const headers = { "HX-Request": "true", "HX-Request-Type": "partial" };
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers, redirect: "manual" });
    const content = parse(await answer.text());
    const fresh = $("[data-said-toast]", content);
    if (!fresh) throw new Error($("[data-error] p", content)?.textContent || words.failed);
    say(fresh);
    document.dispatchEvent(new CustomEvent("crm:acted", { detail: { action: form.action } }));
    if (location.pathname.startsWith("/inbox/")) show(location.pathname + location.search, { push: false });
  } catch (error) {
    form.closest("[data-said-toast]").remove();
    toast(error instanceof TypeError ? words.failed : error.message);
  }
});
// Shift marks everything between two ticks; the head's tick marks all.
let last = null;
document.addEventListener("click", (event) => {
  const tick = event.target.closest?.("[data-bulk] input[type=checkbox], [data-bulk-all]");
  if (!tick) return;
  const form = tick.closest("form");
  const all = $$("[data-bulk] input[type=checkbox]", form);
  const head = $("[data-bulk-all]", form);
  if (tick === head) for (const each of all) each.checked = head.checked;
  else if (event.shiftKey && all.includes(last)) {
    const [one, other] = [all.indexOf(last), all.indexOf(tick)].sort((a, b) => a - b);
    for (const each of all.slice(one, other + 1)) each.checked = tick.checked;
  }
  if (tick !== head) last = tick;
  const marked = all.filter((each) => each.checked).length;
  head.checked = marked === all.length;
  head.indeterminate = marked > 0 && !head.checked;
  const count = $("[data-bulk-count]", form);
  count.textContent = fill(count.dataset.words, { n: marked, m: all.length });
});
