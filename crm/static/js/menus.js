// <details data-menu>: one open at a time, closed by Escape, by a click elsewhere, by leaving it.
import { $, $$ } from "./page.js";

const open = () => $$("details[data-menu][open]");

document.addEventListener("click", (event) => {
  for (const menu of open()) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of open()) {
    event.preventDefault();
    menu.open = false;
    $("summary", menu).focus();
  }
});
document.addEventListener("focusout", (event) => {
  const menu = event.target.closest?.("details[data-menu][open]");
  if (menu && event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
});
// Choosing closes the menu at once; the form goes on its way.
document.addEventListener("submit", (event) => {
  const menu = event.target.closest("details[data-menu]");
  if (menu) menu.open = false;
});
// The switch was turned: the disc in the rail follows.
document.addEventListener("htmx:after:swap", () => {
  const status = $("#my-status")?.dataset.status;
  const dot = $("[data-my-status]");
  if (status && dot) dot.className = `dot ${status}`;
});
