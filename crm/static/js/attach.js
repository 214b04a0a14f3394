// Attaching: by the dialog, the camera, a drop or a paste. Files go up while they are looked at.
import { $, $$, language, newKey, toast } from "./page.js";
import { count } from "./counting.js";
import { withSheet } from "./sheets.js";
import { discard, sendFile, upload } from "./uploading.js";

const MB = 1024 * 1024;
const MOST = 30;
const shape = () => $("#attach-shape");
const words = () => shape().dataset;
const part = (selector) => $(selector, shape().content).cloneNode(true);
const place = () => $("#composer .attach");
const isNote = () => $("#composer")?.dataset.mode === "note";

let dialog = null;
let url = ""; // the chat that the files are for, whatever is opened meanwhile
let items = [];
let current = null;
let sending = false;

const kindOf = ({ type }) => (/^image\/(jpeg|png|webp|bmp|gif)$/.test(type) ? "image" : /^video\/(mp4|quicktime|3gpp|webm)$/.test(type) ? "video" : /^audio\//.test(type) ? "audio" : "document");
const sizeOf = (bytes) => (bytes < MB ? `${bytes && Math.max(1, Math.round(bytes / 1024))} KB` : `${new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(bytes / MB)} MB`);

/** What is known before a single byte has gone up. */
function judge(file) {
  if (!file.size) return { error: words().empty };
  if (file.size > 100 * MB) return { error: words().tooBig };
  const kind = kindOf(file);
  if (["video", "audio"].includes(kind) && file.size > 16 * MB) return { note: words().asDocument };
  if (kind === "image" && file.size > 5 * MB) return { note: words().smaller };
  return {};
}

function start(file) {
  const item = { file, key: newKey(), kind: kindOf(file), caption: "", share: 0, address: URL.createObjectURL(file), ...judge(file) };
  if (!item.error) begin(item);
  return item;
}

function begin(item) {
  item.share = 0;
  item.error = item.again = null;
  item.upload = upload(url, item.file, {
    name: item.file.name,
    onProgress: (share) => {
      item.share = share;
      drawItem(item);
    },
  });
  item.ready = item.upload.done.then(
    (told) => Object.assign(item, { told, share: 1, note: told.note, kind: told.kind }),
    (error) => {
      if (error.name === "AbortError") return;
      item.error = error.html || words().failed;
      // The line or the server, not the file: the next press on Send tries again.
      item.again = !error.status || error.status >= 500;
    },
  ).finally(() => {
    drawItem(item);
    if (item === current) drawCurrent();
    drawSend();
  });
}

async function add(files) {
  const given = [...files];
  if (!given.length || !place()) return;
  // It would go to the customer, who never sees a note.
  if (isNote()) return toast(words().note);
  await withSheet("media");
  if (!dialog?.open) open();
  const room = MOST - items.length;
  if (given.length > room) toast(words().many);
  const fresh = given.slice(0, room).map(start);
  items.push(...fresh);
  for (const item of fresh) $(".strip", dialog).append(face(item));
  choose(fresh[0]);
}

function open() {
  if (!dialog) {
    document.body.append(part("#attach"));
    dialog = $("#attach");
    bind();
  }
  url = place().dataset.url;
  items = [];
  current = null;
  sending = false;
  $(".strip", dialog).replaceChildren();
  dialog.showModal();
}

function face(item) {
  const row = part("li");
  item.face = row;
  const button = $(".pick", row);
  button.title = item.file.name;
  button.setAttribute("aria-label", item.file.name);
  if (item.file.type.startsWith("image/") && item.kind !== "document" && !item.error) {
    const image = new Image();
    image.alt = "";
    image.src = item.address;
    const [icon] = $(".face", row).children;
    image.onerror = () => image.replaceWith(icon);
    icon.replaceWith(image);
  }
  button.addEventListener("click", () => choose(item));
  const use = $(".face use", row);
  if (use && ["video", "audio"].includes(item.kind)) use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${item.kind}`));
  drawItem(item);
  return row;
}

function drawItem(item) {
  if (!item.face) return;
  const bar = $("progress", item.face);
  bar.value = item.share;
  bar.hidden = item.share >= 1 || Boolean(item.error);
  item.face.classList.toggle("wrong", Boolean(item.error));
  $(".pick", item.face).toggleAttribute("aria-current", item === current);
}

function choose(item) {
  keepCaption();
  current = item;
  items.forEach(drawItem);
  drawCurrent();
  drawSend();
  if (matchMedia("(pointer: fine)").matches && !$(".caption-row", dialog).hidden) $("textarea", dialog).focus();
}

function keepCaption() {
  if (current) current.caption = $("textarea", dialog).value;
}

function drawCurrent() {
  if (!current) return;
  const { file, kind, address, told, error, note } = current;
  $(".name", dialog).textContent = told?.name ?? file.name;
  const stage = $(".stage", dialog);
  const shown = `${address}${kind}${Boolean(error)}${kind === "document" ? [told?.name, told?.thumbnail] : ""}`;
  if (stage.dataset.shown !== shown) {
    stage.dataset.shown = shown;
    stage.replaceChildren(preview(current));
  }
  const line = $(".note", dialog);
  line.hidden = !(error || note);
  line.textContent = error || note || "";
  line.classList.toggle("wrong", Boolean(error));
  $(".caption-row", dialog).hidden = kind === "audio" || Boolean(error);
  $("textarea", dialog).value = current.caption;
  count($("textarea", dialog));
}

function preview({ file, kind, address, told, error }) {
  // A moving picture goes as a film, and only the picture itself is here to be looked at.
  if (!error && (kind === "image" || file.type === "image/gif")) {
    const image = new Image();
    image.src = address;
    image.alt = file.name;
    image.onerror = () => image.replaceWith(sheet(file, told));
    return image;
  }
  if (!error && (kind === "video" || kind === "audio")) {
    const player = document.createElement(kind);
    player.src = address;
    player.controls = true;
    return player;
  }
  return sheet(file, error ? null : told);
}

// A file by its name; with the picture of its first page once the server has drawn it.
function sheet(file, told) {
  const big = part(".big-file");
  if (told?.thumbnail) {
    const image = new Image();
    const icon = $(".icon", big);
    image.src = told.thumbnail;
    image.alt = "";
    image.onerror = () => image.replaceWith(icon);
    icon.replaceWith(image);
  }
  $("b", big).textContent = told?.name ?? file.name;
  $("span", big).textContent = sizeOf(file.size);
  return big;
}

function drawSend() {
  if (!dialog) return;
  const good = items.filter((item) => !item.error || item.again);
  const button = $("[data-send]", dialog);
  button.disabled = sending || !good.length;
  const waits = sending && good.some((item) => !item.told);
  $("span", button).textContent = waits ? words().uploading : sending ? words().sending : good.length > 1 ? `${words().send} (${good.length})` : words().send;
}

function remove(item) {
  item.upload?.abort();
  if (item.told) discard(url, item.told.id);
  URL.revokeObjectURL(item.address);
  const at = items.indexOf(item);
  items.splice(at, 1);
  item.face.remove();
  if (item === current) current = null;
  if (!items.length) dialog.close();
  else if (!current) choose(items[Math.min(at, items.length - 1)]);
}

async function send() {
  keepCaption();
  sending = true;
  drawSend();
  // One after the other, in the order in which they stand.
  for (const item of items) if (item.again) begin(item);
  for (const item of [...items]) {
    await item.ready;
    if (item.error || !item.told) continue;
    try {
      await sendFile(url, item.told.id, { caption: item.caption, key: item.key });
    } catch (error) {
      // The same key goes again with the next press: nothing is sent twice.
      sending = false;
      choose(item);
      current.note = error.html || words().failed;
      drawCurrent();
      return drawSend();
    }
    item.sent = true;
    URL.revokeObjectURL(item.address);
    item.face.remove();
    items.splice(items.indexOf(item), 1);
  }
  sending = false;
  if (items.length) choose(items[0]);
  else {
    current = null;
    dialog.close();
  }
}

function bind() {
  dialog.addEventListener("click", (event) => {
    if (event.target.closest("[data-send]")) send();
    if (event.target.closest("[data-remove]") && current && !sending) remove(current);
    if (event.target.closest("[data-more]")) ask("");
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || !event.target.matches("textarea")) return;
    event.preventDefault();
    if (!$("[data-send]", dialog).disabled) send();
  });
  $("form", dialog).addEventListener("submit", () => {});
  dialog.addEventListener("close", () => {
    for (const item of items) {
      item.upload?.abort();
      if (item.told && !item.sent) discard(url, item.told.id);
      URL.revokeObjectURL(item.address);
    }
    items = [];
    current = null;
    $(".stage", dialog).replaceChildren();
    delete $(".stage", dialog).dataset.shown;
    $("#text")?.focus({ preventScroll: true });
  });
}

addEventListener("beforeunload", (event) => {
  if (dialog?.open && items.length) event.preventDefault();
});

// --- the ways in ---------------------------------------------------------------------------------

const chooser = document.createElement("input");
chooser.type = "file";
chooser.hidden = true;
chooser.id = "attach-chooser";
chooser.addEventListener("change", () => {
  add(chooser.files);
  chooser.value = "";
});
document.body.append(chooser);

function ask(accept, capture = false) {
  chooser.accept = accept;
  chooser.multiple = !capture;
  if (capture) chooser.setAttribute("capture", "environment");
  else chooser.removeAttribute("capture");
  chooser.click();
}

document.addEventListener("click", (event) => {
  const item = event.target.closest("[data-attach]");
  if (!item) return;
  item.closest("details").open = false;
  ask(item.dataset.attach, "capture" in item.dataset);
});

document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length || !place()) return;
  // A spreadsheet puts a picture of its cells beside their text: the text is meant.
  if (event.clipboardData.types.includes("text/plain") && event.target.matches?.("textarea, input")) return;
  event.preventDefault();
  add(files);
});

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
let curtain = null;
let leaving = null;
document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = place() ? "copy" : "none";
  clearTimeout(leaving);
  leaving = setTimeout(lift, 200);
  if (curtain || !place() || dialog?.open) return;
  withSheet("media");
  curtain = part(".drop-here");
  curtain.classList.toggle("no", isNote());
  $("b", curtain).textContent = isNote() ? words().note : words().drop;
  $("span", curtain).textContent = isNote() ? "" : $("#thread-title").textContent;
  $("#thread").append(curtain);
});
function lift() {
  curtain?.remove();
  curtain = null;
}
document.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  // Never let the browser leave the page for the file.
  event.preventDefault();
  lift();
  const { files } = event.dataTransfer;
  if (files.length) add(files);
  else toast(words().nothing);
});
