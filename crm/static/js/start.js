// "New chat": the dialog's steps, and the search for the customer in its first one.
import { $, fetchFragment, parse, toast } from "./page.js";
import { show } from "./desk.js";
import { closeDialog, openDialog, saidBy, sendForm, showIn } from "./dialog.js";

let typing = null;
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-start-chat]");
  if (opener) openDialog("/inbox/new", opener);
});

document.addEventListener("input", ({ target }) => {
  if (!target.matches?.("[data-find-clients]")) return;
  clearTimeout(typing);
  typing = setTimeout(async () => {
    try {
      const found = parse(await fetchFragment(`/inbox/new/clients?q=${encodeURIComponent(target.value.trim())}`));
      $("#found-clients")?.replaceChildren(found);
    } catch (error) {
      toast(saidBy(error));
    }
  }, 250);
});

document.addEventListener("submit", async (event) => {
  const sent = event.target;
  const path = new URL(sent.action, location.href).pathname;
  if (!sent.matches("[data-compose-form]") || !path.startsWith("/inbox/new")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const text = await sendForm(sent);
  if (text === null) return;
  if (!text.trimStart().startsWith("{")) return showIn(text);
  closeDialog();
  show(JSON.parse(text).chat, { focus: "box" });
}, true);
