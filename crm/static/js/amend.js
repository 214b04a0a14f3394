// Editing and deleting what stands in the thread, in the composer's dialog.
import { $, parse } from "./page.js";
import { openChat } from "./desk.js";
import { closeDialog, openDialog, sendForm } from "./dialog.js";
import { keepPinned, placeBubble } from "./thread.js";

const pathOf = ({ dataset }) => (dataset.noteId ? `notes/${dataset.noteId}` : `messages/${dataset.messageId}`);

export const ask = (bubble, deed) => openDialog(`/inbox/${openChat()}/${pathOf(bubble)}/${deed}`, bubble);

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-amend-form]")) return;
  event.preventDefault();
  const html = await sendForm(form);
  if (html === null) return;
  closeDialog();
  keepPinned(() => placeBubble($("[id^=message-], [id^=note-]", parse(html))));
});
