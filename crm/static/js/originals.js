// "See the original" of a deleted or edited message: fetched when asked for, never part of the thread.
import { $, fetchFragment, parse, toast, words } from "./page.js";

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-module='originals']");
  if (!link) return;
  event.preventDefault();
  const bubble = link.closest("article");
  const shown = $(".original", bubble);
  if (shown) return shown.remove();
  try {
    $(".foot", bubble).before(parse(await fetchFragment(link.href)));
  } catch {
    toast(words.failed);
  }
});
