// Shortcuts. AltGr is Ctrl+Alt on Spanish keyboards: letters by their place, symbols by what they write.
import { $, isTyping, store } from "./page.js";
import { step } from "./list.js";
import { show } from "./desk.js";

const SINGLE = "single-keys";
const dialog = $("#keys");
const choice = $("#single-keys");
const allowed = () => store.get(SINGLE) !== "off";
const showKeys = () => dialog?.open || dialog?.showModal();

/** A single key works only where it writes nothing, and where the person wants it to. */
const single = (act) => (event) => {
  if (!allowed() || isTyping(event.target) || dialog?.open || event.target.closest?.("details[open]")) return;
  event.preventDefault();
  act(event);
};
const always = (act) => (event) => {
  // AltGr+J writes a letter on some keyboards; only the plain Alt is ours.
  if (event.getModifierState("AltGraph") || dialog?.open) return;
  event.preventDefault();
  act(event);
};

window.tinykeys.tinykeys(window, {
  KeyJ: single(() => step(1)),
  KeyK: single(() => step(-1)),
  KeyR: single(() => $("#text")?.focus()),
  "[Shift]+/": single(() => { $("#q")?.focus(); $("#q")?.select(); }),
  "[Shift]+?": single(showKeys),
  "Alt+KeyJ": always(() => step(1, { open: true })),
  "Alt+KeyE": always(() => $("[data-key=close]")?.click()),
  "Alt+KeyM": always(() => $("[data-key=snooze]")?.click()),
  "Alt+KeyT": always(() => $("[data-key=transfer]")?.click()),
  "Alt+KeyK": always(() => step(-1, { open: true })),
}, { ignore: (event) => event.isComposing });

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
  const at = document.activeElement;
  // Of a search hit that is open, too: its message has the focus.
  if ($("#q")?.value && at?.id !== "text") $("#search").reset();
  else if (at?.id === "q" || at?.id === "text") ($("#rows a[aria-current]") ?? $("#rows a") ?? at).focus();
  else if ($("[data-pane=client]")) show($("[data-client-back]").pathname, { focus: "title" });
});

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-show-keys]")) return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) menu.open = false;
  showKeys();
});
if (choice) {
  choice.checked = allowed();
  choice.addEventListener("change", () => store.set(SINGLE, choice.checked ? null : "off"));
}
