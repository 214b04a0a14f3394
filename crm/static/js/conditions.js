// A rule's conditions as a builder: only those that are set are shown; others are added from a list,
// and taken out again. Without this module all of them are there.
import { $, $$ } from "./page.js";

const inputs = (element) => $$("input, select, textarea", element);
const isSet = (element) => inputs(element).some((input) => input.value && input.name !== "variable_operator") || $(".error", element);

function show(element, on) {
  element.hidden = !on;
  const option = $(`[data-add-condition] option[value="${element.dataset.condition}"]`);
  if (option) option.hidden = option.disabled = on;
}

/** The form as the server has drawn it: at the start, and again when it comes back with errors. */
function begin() {
  for (const element of $$("[data-condition]")) show(element, Boolean(isSet(element)));
  const picker = $("[data-add-condition]");
  if (picker) picker.closest(".field").hidden = false;
}

document.addEventListener("change", (event) => {
  const picker = event.target.closest("[data-add-condition]");
  const chosen = picker && $(`[data-condition="${picker.value}"]`);
  if (!chosen) return;
  picker.value = "";
  show(chosen, true);
  inputs(chosen)[0]?.focus();
});
document.addEventListener("click", (event) => {
  const element = event.target.closest("[data-remove-condition]")?.closest("[data-condition]");
  if (!element) return;
  for (const input of inputs(element)) {
    if (input.name !== "variable_operator") input.value = "";
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }
  show(element, false);
  $("[data-add-condition]").focus();
});
document.addEventListener("crm:form-drawn", begin);
begin();
