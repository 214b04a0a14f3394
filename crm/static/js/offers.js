// Chats that are offered to this person: a card in the corner with the seconds that are left.
import { $, $$, fetchFragment, HttpError, me, parse, toast, words } from "./page.js";
import { show } from "./desk.js";

let asking = false;
let again = false;
let timer = null;

const sheet = document.createElement("link");
sheet.rel = "stylesheet";
sheet.href = new URL("../css/dialogs.css", import.meta.url);
if (!$("link[href$='dialogs.css']")) document.head.append(sheet);

/** Fetch what is offered now; calls while one runs become one more. */
async function look() {
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  try {
    const fresh = $("#offers", parse(await fetchFragment("/inbox/offers")));
    const known = new Set($$("#offers [data-offer]").map((card) => card.dataset.offer));
    const focused = document.activeElement?.closest?.("[data-offer]")?.dataset.offer;
    $("#offers")?.replaceWith(fresh);
    if (!$("#offers")) document.body.append(fresh);
    for (const card of $$("[data-offer]", fresh)) {
      card.ends = Date.now() + Number(card.dataset.seconds) * 1000;
      if (!known.has(card.dataset.offer)) $("#announcer")?.replaceChildren($("h2", card).textContent);
      if (card.dataset.offer === focused) $("[data-answer=accept]", card)?.focus();
    }
    clearInterval(timer);
    if ($("[data-offer]", fresh)) timer = setInterval(count, 500);
    count();
  } catch {
    // The row in the list still says it; the next event looks again.
  } finally {
    asking = false;
    if (again) {
      again = false;
      look();
    }
  }
}

function count() {
  for (const card of $$("#offers [data-offer]")) {
    const left = Math.max(0, Math.ceil((card.ends - Date.now()) / 1000));
    $("[data-left]", card).textContent = `${left} s`;
    $("progress", card).value = left;
    card.classList.toggle("soon", left <= 15);
    if (left === 0) card.remove();
  }
  if (!$("#offers [data-offer]")) {
    clearInterval(timer);
    if ($("#offers")) $("#offers").hidden = true;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-answer]");
  const card = button?.closest("[data-offer]");
  if (!card) return;
  const id = card.dataset.offer;
  const yes = button.dataset.answer === "accept";
  for (const each of $$("button", card)) each.disabled = true;
  try {
    await fetchFragment(`/inbox/${id}/${button.dataset.answer}`, { method: "POST" });
    card.remove();
    count();
    if (yes) show(`/inbox/${id}`, { focus: "box" });
  } catch (error) {
    const said = error instanceof HttpError && $("[data-error] p", parse(error.html))?.textContent;
    toast(said || words.failed);
    look();
  }
});

// A row that brings or ends an offer to me.
document.addEventListener("crm:chat-state", ({ detail }) => {
  if (detail.offeredId === me || $(`#offers [data-offer="${detail.chatId}"]`)) look();
});
document.addEventListener("crm:event", ({ detail }) => {
  if (detail.name === "gone" && $(`#offers [data-offer="${detail.chat_id}"]`)) look();
});
document.addEventListener("crm:synced", ({ detail }) => detail.list && look());
look();
