// Voice notes, sounds and films: one sound at a time, whatever bubbles come and go around it.
import { $, $$, store, toast, words } from "./page.js";

const SPEEDS = [1, 1.5, 2];
const sound = new Audio();
sound.preload = "none";
let playing = null; // the address of what is loaded, not an element: ticks replace bubbles

const heard = new Set(JSON.parse(store.get("heard") || "[]"));
const hosts = () => $$(`.voice[data-sound="${CSS.escape(playing ?? "")}"]`);
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
const lengthOf = (host) => (Number.isFinite(sound.duration) && playing === host.dataset.sound ? sound.duration : Number(host.dataset.seconds)) || 0;

/** Safari plays no Ogg before 18.4, nobody plays AMR: for these the server has a copy. */
const addressFor = ({ dataset: { sound: url, mime } }) => (sound.canPlayType(mime) ? url : `${url}/playable`);

function draw(host) {
  const mine = playing === host.dataset.sound;
  const length = lengthOf(host);
  const at = mine ? sound.currentTime : 0;
  const runs = mine && !sound.paused;
  const wave = $(".wave", host);
  wave.style.setProperty("--played", `${length ? Math.min(100, (100 * at) / length) : 0}%`);
  wave.setAttribute("aria-valuenow", Math.round(at));
  wave.setAttribute("aria-valuetext", `${clock(at)} / ${clock(length)}`);
  $("[data-time]", host).textContent = clock(mine && (runs || at) ? at : length);
  const button = $("[data-play]", host);
  const use = $("use", button);
  const icon = runs ? "#pause" : "#play";
  if (!use.getAttribute("href").endsWith(icon)) {
    use.setAttribute("href", use.getAttribute("href").replace(/#.*/, icon));
    const [now, other] = [button.getAttribute("aria-label"), button.dataset.other ?? button.dataset.pauseLabel];
    button.setAttribute("aria-label", other);
    button.dataset.other = now;
  }
  $("[data-speed]", host).textContent = `${String(sound.playbackRate).replace(".", ",")}×`;
  host.classList.toggle("heard", heard.has(host.dataset.sound));
  host.toggleAttribute("aria-busy", runs && sound.readyState < 2);
}
const drawAll = () => hosts().forEach(draw);
for (const name of ["timeupdate", "play", "pause", "seeked", "waiting", "playing", "loadedmetadata"]) sound.addEventListener(name, drawAll);

async function play(host, from = null) {
  if (playing !== host.dataset.sound) {
    const before = hosts();
    sound.pause();
    playing = host.dataset.sound;
    const rate = sound.playbackRate;
    sound.src = addressFor(host);
    sound.playbackRate = rate;
    before.forEach(draw);
  }
  if (from !== null) sound.currentTime = from;
  $$("video.playing").forEach((film) => film.pause());
  try {
    await sound.play();
  } catch (error) {
    if (error.name === "AbortError") return;
    // The browser had promised to play it, and could not: the copy it can.
    if (!sound.src.endsWith("/playable")) {
      sound.src = `${playing}/playable`;
      sound.play().catch(() => toast(words.failed));
    } else toast(words.failed);
  }
}

sound.addEventListener("ended", () => {
  heard.add(playing);
  store.set("heard", JSON.stringify([...heard].slice(-300)));
  const ended = hosts();
  sound.currentTime = 0;
  drawAll();
  // Voice notes that came in a row are heard in a row, as on the phone.
  const next = ended[0]?.closest("article")?.nextElementSibling;
  const more = next?.matches("article.in") ? $(".voice", next) : null;
  if (more && !heard.has(more.dataset.sound)) play(more);
});

function seek(host, share) {
  const at = Math.max(0, Math.min(1, share)) * lengthOf(host);
  if (playing === host.dataset.sound) {
    sound.currentTime = at;
    drawAll();
  } else play(host, at);
}
const shareAt = (wave, x) => (x - wave.getBoundingClientRect().left) / wave.getBoundingClientRect().width;

document.addEventListener("pointerdown", (event) => {
  const wave = event.target.closest("[data-seek]");
  if (!wave || event.button) return;
  const host = wave.closest(".voice");
  wave.setPointerCapture(event.pointerId);
  const move = ({ clientX }) => playing === host.dataset.sound && seek(host, shareAt(wave, clientX));
  const end = () => {
    wave.removeEventListener("pointermove", move);
    wave.removeEventListener("pointerup", end);
  };
  wave.addEventListener("pointermove", move);
  wave.addEventListener("pointerup", end);
});

document.addEventListener("keydown", (event) => {
  const wave = event.target.closest?.("[data-seek]");
  if (!wave) return;
  const host = wave.closest(".voice");
  const at = playing === host.dataset.sound ? sound.currentTime : 0;
  const length = lengthOf(host) || 1;
  const to = { ArrowLeft: at - 5, ArrowRight: at + 5, Home: 0, End: length }[event.key];
  if (event.key === " " || event.key === "Enter") toggle(host);
  else if (to === undefined) return;
  else seek(host, to / length);
  event.preventDefault();
});

function toggle(host) {
  if (playing === host.dataset.sound && !sound.paused) sound.pause();
  else play(host);
}

function speed() {
  const at = SPEEDS.indexOf(sound.playbackRate);
  sound.defaultPlaybackRate = sound.playbackRate = SPEEDS[(at + 1) % SPEEDS.length];
  store.set("speed", sound.playbackRate);
  $$(".voice").forEach(draw);
}

const films = new Map(); // article id -> the film that plays in it

/** Ticks have replaced the bubble: the film goes on in the new one. */
function carryOn(article) {
  const place = films.get(article.id);
  const link = $("a[data-shot=video]", article);
  if (!place || !link || place.isConnected) return;
  const { paused } = $("video", place);
  link.replaceWith(place);
  if (!paused) $("video", place).play().catch(() => {});
}

function film(link) {
  const picture = $("img", link);
  const video = document.createElement("video");
  video.src = link.href;
  video.controls = true;
  video.playsInline = true;
  video.className = "playing";
  if (picture) {
    video.poster = picture.src;
    video.width = picture.width;
    video.height = picture.height;
  } else video.width = 300;
  sound.pause();
  const place = document.createElement("div");
  place.className = "shot film";
  place.append(video);
  video.addEventListener("error", () => {
    place.replaceWith(link);
    location.assign(`${link.getAttribute("href")}?download`);
  });
  films.set(link.closest("article").id, place);
  link.replaceWith(place);
  video.focus();
  video.play().catch(() => {});
}

document.addEventListener("click", (event) => {
  const host = event.target.closest(".voice");
  const link = event.target.closest("#log :not([data-tile]) > a[data-shot=video]");
  if (link && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    film(link);
  } else if (host && event.target.closest("[data-play]")) toggle(host);
  else if (host && event.target.closest("[data-speed]")) speed();
  else if (host && event.target.closest("[data-seek]") && event.detail) seek(host, shareAt(event.target.closest("[data-seek]"), event.clientX));
});

// Another chat is opened, or the page goes: nobody wants to look for what is talking.
document.addEventListener("crm:leaving", () => {
  sound.pause();
  films.clear();
});
new MutationObserver((changes) => {
  for (const { addedNodes } of changes) {
    for (const node of addedNodes) {
      if (node.nodeType !== 1) continue;
      $$(".voice", node).forEach(draw);
      if (node.matches("article")) carryOn(node);
    }
  }
}).observe(document.body, { childList: true, subtree: true });

sound.defaultPlaybackRate = sound.playbackRate = SPEEDS.includes(Number(store.get("speed"))) ? Number(store.get("speed")) : 1;
$$(".voice").forEach(draw);
