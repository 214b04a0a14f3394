// The order of a list: drawn with the mouse, or moved with the two buttons of each line.
import { $, $$ } from "./page.js";

let drawn = null;

function move(line, by) {
  const lines = $$("li", line.parentElement);
  const other = lines[lines.indexOf(line) + by];
  if (!other) return;
  if (by < 0) other.before(line);
  else other.after(line);
  $(`[data-move="${by}"]`, line).focus();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-order] [data-move]");
  if (button) move(button.closest("li"), Number(button.dataset.move));
});
document.addEventListener("dragstart", (event) => {
  drawn = event.target.closest?.("[data-order] > li") ?? null;
  drawn?.classList.add("drawn");
});
document.addEventListener("dragover", (event) => {
  const line = drawn && event.target.closest?.("[data-order] > li");
  if (!line || line === drawn || line.parentElement !== drawn.parentElement) return;
  event.preventDefault();
  const box = line.getBoundingClientRect();
  if (event.clientY < box.top + box.height / 2) line.before(drawn);
  else line.after(drawn);
});
document.addEventListener("drop", (event) => drawn && event.preventDefault());
document.addEventListener("dragend", () => {
  drawn?.classList.remove("drawn");
  drawn = null;
});
