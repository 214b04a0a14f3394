// A rule's conditions as a builder: only those that are set are shown; others are added from a list,
// and taken out again. Without this module all of them are there.
import { $, $$ } from "./page.js";

const box = $("[data-conditions]");
const picker = $("[data-add-condition]", box);
const part = (name) => $(`[data-condition="${name}"]`, box);
const inputs = (element) => $$("input, select, textarea", element);
const isSet = (element) => inputs(element).some((input) => input.value && input.name !== "variable_operator") || $(".error", element);

function show(element, on) {
  element.hidden = !on;
  const option = $(`option[value="${element.dataset.condition}"]`, picker);
  if (option) option.hidden = option.disabled = on;
}

for (const element of $$("[data-condition]", box)) show(element, Boolean(isSet(element)));
picker.closest(".field").hidden = false;
picker.addEventListener("change", () => {
  const chosen = part(picker.value);
  picker.value = "";
  if (!chosen) return;
  show(chosen, true);
  inputs(chosen)[0]?.focus();
});
box.addEventListener("click", (event) => {
  const button = event.target.closest("[data-remove-condition]");
  if (!button) return;
  const element = button.closest("[data-condition]");
  for (const input of inputs(element)) {
    if (input.name !== "variable_operator") input.value = "";
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }
  show(element, false);
  picker.focus();
});
