// Signing in and error pages: theme, language, a look at the password, one submit at a time.
import "./theme.js";

for (const button of document.querySelectorAll("[data-reveal]")) {
  const input = document.getElementById(button.dataset.reveal);
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    button.setAttribute("aria-pressed", String(!shown));
  });
}
document.querySelector("form[data-busy]")?.addEventListener("submit", (event) => {
  const button = event.target.querySelector("button.primary");
  // Disabled after the browser has read the form, or nothing would be sent.
  setTimeout(() => { button.disabled = true; });
  // Back from the next page: the browser may show this very page again.
  addEventListener("pageshow", () => { button.disabled = false; }, { once: true });
});
// What was sent and refused is still in the form that one came from.
document.querySelector("[data-back]")?.addEventListener("click", (event) => {
  if (history.length < 2) return;
  event.preventDefault();
  history.back();
});
document.querySelector("[data-reload]")?.addEventListener("click", (event) => {
  event.preventDefault();
  location.reload();
});
