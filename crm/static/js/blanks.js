// A template's blanks: the header's file is uploaded at once, an amount or a date gets its own field.
import { $ } from "./page.js";
import { upload } from "./uploading.js";

document.addEventListener("change", async ({ target }) => {
  const kind = target.closest?.("[data-typed] [data-kind]");
  if (kind) turn(kind.closest("[data-typed]"));
  const field = target.closest?.("[data-header-file]");
  if (!field || target.type !== "file" || !target.files.length) return;
  const [file, state, send] = [target.files[0], $("[data-state]", field), $("footer .primary", field.closest("form"))];
  const [id, name] = ["file", "file_name"].map((part) => $(`[name="header.${part}"]`, field));
  id.value = "";
  send.disabled = true;
  state.classList.remove("wrong");
  state.textContent = target.dataset.busy;
  const onProgress = (part) => { state.textContent = `${target.dataset.busy} ${Math.round(part * 100)} %`; };
  try {
    const done = await upload(field.dataset.url, file, { name: file.name, onProgress }).done;
    [id.value, name.value] = [done.id, done.name];
    state.textContent = [done.name, done.note].filter(Boolean).join(" · ");
    showShot(field, done, file);
  } catch (error) {
    state.textContent = error.html || target.dataset.failed;
    state.classList.add("wrong");
    target.value = "";
  } finally {
    send.disabled = false;
  }
});

/** The picture itself stands in the customer's view. */
function showShot(field, { kind, name }, file) {
  const place = $("[data-part=media]", field.closest("dialog"));
  if (!place) return;
  $("img", place)?.remove();
  place.classList.toggle("shot", kind === "image");
  if (kind === "image") {
    const picture = document.createElement("img");
    picture.alt = "";
    picture.src = URL.createObjectURL(file);
    picture.onload = () => URL.revokeObjectURL(picture.src);
    place.prepend(picture);
  } else $("span", place).textContent = name;
}

function turn(row) {
  const [kind, input] = [$("[data-kind]", row).value, $("input", row)];
  if (row.dataset.typed === kind) return;
  row.dataset.typed = kind;
  input.value = "";
  dress(row);
  input.focus();
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

function dress(row) {
  const [kind, input] = [row.dataset.typed, $("input", row)];
  const { value } = input;
  input.type = kind === "date_time" ? "datetime-local" : "text";
  input.inputMode = kind === "currency" ? "decimal" : "text";
  input.value = value;
}

function dressAll() {
  for (const row of document.querySelectorAll("dialog [data-typed]")) dress(row);
}
document.addEventListener("crm:dialog", dressAll);
dressAll();
