// Pictures (and films) of the open chat, large: a native <dialog>, arrows, Escape, download.
import { $, $$, parse } from "./page.js";
import { withSheet } from "./sheets.js";

let dialog = null;
let shown = null; // an address: the bubble it came from may be replaced meanwhile

// The thread's pictures in their order, or those of the panel's own gallery.
let group = "#log";
const shots = () => $$(`${group} a[data-shot]`);

function build() {
  dialog = $("#lightbox");
  if (dialog) return;
  document.body.append(parse($("#lightbox-shape").innerHTML));
  dialog = $("#lightbox");
  dialog.addEventListener("click", (event) => {
    const step = event.target.closest("[data-step]")?.dataset.step;
    if (step) move(Number(step));
    // Beside the picture: enough.
    else if (event.target.closest("[data-close]") || event.target.matches(".stage, #lightbox")) dialog.close();
    else if (event.target.matches(".stage img")) event.target.classList.toggle("whole");
  });
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && !event.target.matches("video")) move(step);
  });
  dialog.addEventListener("close", () => {
    $(".stage", dialog).replaceChildren();
    back($(`${group} a[data-shot][href="${CSS.escape(shown)}"]`));
  });
}

/** To the picture that was looked at last, also where its album had not shown it. */
async function back(shot) {
  const folded = shot?.closest("[data-tile=folded]");
  if (folded) {
    (await import("./albums.js")).unfold(folded);
    folded.scrollIntoView({ block: "nearest" });
  }
  shot?.focus({ preventScroll: true });
}

function move(step) {
  const all = shots();
  const next = all[all.findIndex((shot) => shot.getAttribute("href") === shown) + step];
  if (next) show(next);
}

function show(shot) {
  shown = shot.getAttribute("href");
  const all = shots();
  const at = all.indexOf(shot);
  const stage = $(".stage", dialog);
  if (shot.dataset.shot === "video") {
    const film = document.createElement("video");
    Object.assign(film, { src: shown, controls: true, autoplay: true, playsInline: true });
    stage.replaceChildren(film);
  } else {
    const image = new Image();
    image.alt = shot.getAttribute("aria-label");
    // The small one stands in until the large one has come.
    image.src = $("img", shot)?.src ?? shown;
    const large = new Image();
    large.onload = () => { image.src = shown; };
    large.src = shown;
    stage.replaceChildren(image);
  }
  const article = shot.closest("article") ?? document.getElementById(shot.dataset.of);
  $("[data-who]", dialog).textContent = !article ? shot.dataset.name : article.classList.contains("in") ? $("#thread-title").textContent : $(".by span", article)?.textContent ?? "";
  $("[data-when]", dialog).textContent = (article && $(".foot time", article)?.title) ?? "";
  const caption = (article && $(".text", article)?.textContent) ?? "";
  $("[data-caption]", dialog).textContent = caption;
  $("[data-caption]", dialog).hidden = !caption;
  const download = $("[data-download]", dialog);
  download.href = `${shown}?download`;
  download.download = shot.dataset.name;
  $("[data-step='-1']", dialog).disabled = at <= 0;
  $("[data-step='1']", dialog).disabled = at === all.length - 1;
}

document.addEventListener("click", async (event) => {
  const shot = event.target.closest("a[data-shot=image], :is([data-gallery], [data-tile]) a[data-shot]");
  if (!shot || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  await withSheet("media");
  group = shot.closest("[data-gallery]") ? "[data-gallery]" : "#log";
  build();
  show(shot);
  dialog.showModal();
});
