// Voice notes: press, speak, listen, send. Escape throws it away.
import { $, newKey, parse } from "./page.js";
import { withSheet } from "./sheets.js";
import { sendFile, upload } from "./uploading.js";

const FORMS = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];
const LONGEST = 15 * 60;
const BARS = 60;
const shape = () => $("#record-shape");

let take = null;

async function begin(button) {
  if (take) return;
  take = { url: button.dataset.url, key: newKey(), parts: [], levels: [] };
  const mine = take;
  await withSheet("media");
  mine.box = button.closest(".box");
  mine.bar = parse(shape().innerHTML).firstElementChild;
  mine.box.append(mine.bar);
  mine.box.classList.add("records");
  if (!navigator.mediaDevices || !window.MediaRecorder) return complain(shape().dataset.insecure);
  try {
    mine.stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true } });
  } catch (error) {
    return complain(error.name === "NotFoundError" ? shape().dataset.none : shape().dataset.denied);
  }
  // Cancelled while the browser still asked.
  if (take !== mine) return mine.stream.getTracks().forEach((track) => track.stop());
  const form = FORMS.find((type) => MediaRecorder.isTypeSupported(type));
  mine.recorder = new MediaRecorder(mine.stream, { ...(form && { mimeType: form }), audioBitsPerSecond: 32000 });
  mine.recorder.addEventListener("dataavailable", ({ data }) => data.size && mine.parts.push(data));
  mine.stopped = new Promise((done) => mine.recorder.addEventListener("stop", done, { once: true }));
  mine.recorder.start(1000);
  mine.began = performance.now();
  listen(mine);
  mine.bar.dataset.state = "recording";
  $("[data-stop]", mine.bar).focus();
}

function listen(mine) {
  mine.context = new AudioContext();
  const analyser = mine.context.createAnalyser();
  analyser.fftSize = 512;
  mine.context.createMediaStreamSource(mine.stream).connect(analyser);
  const samples = new Uint8Array(analyser.fftSize);
  mine.timer = setInterval(() => {
    analyser.getByteTimeDomainData(samples);
    mine.levels.push(Math.min(1, Math.max(...samples.map((sample) => Math.abs(sample - 128))) / 90));
    const seconds = (performance.now() - mine.began) / 1000;
    $("[data-clock]", mine.bar).textContent = `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
    const shown = mine.levels.slice(-BARS);
    const first = BARS - shown.length;
    $(".level path", mine.bar).setAttribute("d", shown.map((level, at) => `M${(first + at) * 4 + 2} ${14 - Math.max(1, level * 13)}v${Math.max(2, level * 26)}`).join(""));
    if (seconds >= LONGEST) stop();
  }, 100);
}

/** Stop speaking; the recording as one file. */
async function stop() {
  const mine = take;
  if (!mine?.recorder) return null;
  if (mine.recorder.state !== "inactive") mine.recorder.stop();
  await mine.stopped;
  clearInterval(mine.timer);
  mine.stream.getTracks().forEach((track) => track.stop());
  mine.context?.close().catch(() => {});
  mine.context = null;
  mine.blob ??= new Blob(mine.parts, { type: mine.recorder.mimeType });
  if (take !== mine) return null;
  return mine.blob;
}

async function review() {
  const blob = await stop();
  if (!blob) return;
  const player = $("audio", take.bar);
  take.address = URL.createObjectURL(blob);
  player.src = take.address;
  // A recorder's webm does not know how long it is: a leap to its end makes the browser count.
  player.addEventListener("loadedmetadata", () => {
    if (player.duration !== Infinity) return;
    player.addEventListener("timeupdate", () => { player.currentTime = 0; }, { once: true });
    player.currentTime = 1e7;
  }, { once: true });
  take.bar.dataset.state = "review";
  $(".live", take.bar).hidden = true;
  $(".review", take.bar).hidden = false;
  $("[data-stop]", take.bar).hidden = true;
  $("[data-send]", take.bar).focus();
}

async function send() {
  const mine = take;
  const button = $("[data-send]", mine.bar);
  button.disabled = true;
  complain("");
  try {
    const blob = await stop();
    if (!blob) return;
    mine.told ??= await upload(mine.url, blob, { voice: true }).done;
    await sendFile(mine.url, mine.told.id, { key: mine.key });
    end();
  } catch (error) {
    if (take !== mine) return;
    complain(error.html || shape().dataset.failed);
    button.disabled = false;
    if (mine.bar.dataset.state === "recording") review();
  }
}

function complain(text) {
  if (!take?.bar) return;
  const line = $(".error", take.bar);
  line.textContent = text;
  line.hidden = !text;
  if (text && !take.recorder) take.bar.dataset.state = "refused";
}

function end() {
  const mine = take;
  if (!mine) return;
  take = null;
  clearInterval(mine.timer);
  if (mine.recorder?.state === "recording") mine.recorder.stop();
  mine.stream?.getTracks().forEach((track) => track.stop());
  mine.context?.close().catch(() => {});
  if (mine.address) URL.revokeObjectURL(mine.address);
  mine.bar?.remove();
  mine.box?.classList.remove("records");
  $("#text")?.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-record]");
  if (button) begin(button);
  if (!take || !event.target.closest(".recording")) return;
  if (event.target.closest("[data-drop]")) end();
  else if (event.target.closest("[data-stop]")) review();
  else if (event.target.closest("[data-send]")) send();
});
document.addEventListener("keydown", (event) => {
  if (!take || event.key !== "Escape") return;
  event.preventDefault();
  event.stopImmediatePropagation();
  end();
}, true);
document.addEventListener("crm:leaving", end);
