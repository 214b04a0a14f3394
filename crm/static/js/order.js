// The order of a list: drawn with the mouse, or moved with the two buttons of each line. What has not
// been saved is said, and asked about before the page is left.
import { $, $$, fill } from "./page.js";

let drawn = null;
let leaving = false;

const state = () => JSON.stringify([...new FormData($("[data-order]").closest("form"))].filter(([name]) => name === "rule" || name === "on"));
// A replay answers with the order that was tried: it is not saved either.
let saved = $("#replay") ? "" : state();

function tell() {
  const line = $("[data-unsaved]");
  if (line) line.hidden = state() === saved;
}

function say(line) {
  const lines = $$("li", line.parentElement);
  const said = $("[data-moved]");
  if (said) said.textContent = fill(line.parentElement.dataset.place, { r: line.dataset.name, n: lines.indexOf(line) + 1, m: lines.length });
  tell();
}

function move(line, by) {
  const lines = $$("li", line.parentElement);
  const other = lines[lines.indexOf(line) + by];
  if (!other) return;
  if (by < 0) other.before(line);
  else other.after(line);
  $(`[data-move="${by}"]`, line).focus();
  say(line);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-order] [data-move]");
  if (button) move(button.closest("li"), Number(button.dataset.move));
});
document.addEventListener("change", (event) => event.target.closest("[data-order]") && tell());
document.addEventListener("dragstart", (event) => {
  drawn = event.target.closest?.("[data-order] > li") ?? null;
  if (!drawn) return;
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", drawn.dataset.name);
  drawn.classList.add("drawn");
});
document.addEventListener("dragover", (event) => {
  if (!drawn || !event.target.closest?.("[data-order]")) return;
  event.preventDefault();
  const line = event.target.closest("[data-order] > li");
  if (!line || line === drawn) return;
  const box = line.getBoundingClientRect();
  if (event.clientY < box.top + box.height / 2) line.before(drawn);
  else line.after(drawn);
});
document.addEventListener("drop", (event) => drawn && event.preventDefault());
document.addEventListener("dragend", () => {
  if (!drawn) return;
  drawn.classList.remove("drawn");
  say(drawn);
  drawn = null;
});
document.addEventListener("submit", (event) => (leaving ||= event.target.contains($("[data-order]"))));
addEventListener("beforeunload", (event) => {
  if (!leaving && state() !== saved) event.preventDefault();
});
tell();
$("[data-order]").dataset.ready = "";
$("#replay")?.focus();
