// A long text says how much room is left once it gets short, and how much is too much. Nothing is cut
// off: who pastes too much sees it, and the server refuses it with the text still there.
import { language } from "./page.js";

const number = new Intl.NumberFormat(language, { useGrouping: "always" });

/** `data-most` is the limit, in characters as a browser counts them: most emojis are two. */
export function count(text) {
  const most = Number(text.dataset.most);
  let line = text.nextElementSibling?.matches(".counted") ? text.nextElementSibling : null;
  const near = text.value.length > most * 0.8;
  if (near && !line) {
    line = document.createElement("span");
    line.className = "counted num";
    text.after(line);
  }
  if (!line) return;
  line.textContent = near ? `${number.format(text.value.length)} / ${number.format(most)}` : "";
  line.classList.toggle("over", text.value.length > most);
}

document.addEventListener("input", ({ target }) => target.matches?.("textarea[data-most]") && count(target));
