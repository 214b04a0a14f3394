// Sending bytes to the server: an upload that tells how far it is, and the message made of it.
import { $, HttpError, newKey, parse, tell } from "./page.js";
import { keepPinned, placeBubble, toBottom } from "./thread.js";

const token = () => JSON.parse(document.body.getAttribute("hx-headers:inherited") || "{}")["X-CSRFToken"] || "";

/** What an error page of ours says, in words. */
const said = (html) => $("[data-error] p", parse(html))?.textContent?.trim() || "";

/** Upload a file as a body. `{done: Promise<description>, abort}`; `onProgress` gets 0 to 1. */
export function upload(url, blob, { name = "", voice = false, onProgress = () => {} } = {}) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    const query = new URLSearchParams(voice ? { voice: "1" } : { name });
    request.open("POST", `${url}?${query}`);
    request.setRequestHeader("X-CSRFToken", token());
    request.setRequestHeader("HX-Request", "true");
    request.setRequestHeader("HX-Request-Type", "partial");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onload = () => {
      const away = request.getResponseHeader("HX-Redirect");
      if (away) location.href = away;
      else if (request.status === 201) resolve(JSON.parse(request.responseText));
      else reject(new HttpError(request.status, said(request.responseText)));
    };
    request.onerror = () => reject(new HttpError(0, ""));
    request.onabort = () => reject(new DOMException("", "AbortError"));
    request.send(blob);
  });
  return { done, abort: () => request.abort() };
}

/** Make an uploaded file a message. The same key cannot become two. */
export async function sendFile(url, fileId, { caption = "", key = newKey() } = {}) {
  const quoted = $("#composer")?.elements.reply_to?.value ?? "";
  const response = await fetch(`${url}/${fileId}/send`, {
    method: "POST",
    headers: { "X-CSRFToken": token(), "HX-Request": "true", "HX-Request-Type": "partial" },
    body: new URLSearchParams({ caption, client_key: key, reply_to: quoted }),
  });
  const html = await response.text();
  if (!response.ok) throw new HttpError(response.status, said(html));
  // Somebody may look at another chat by now.
  if (document.getElementById("thread")?.dataset.chatOpen !== url.match(/\d+/)[0]) return;
  keepPinned(() => placeBubble($("article.bubble", parse(html))));
  toBottom();
  // The quote went with it; what stands in the box stays.
  tell("crm:sent");
}

export const discard = (url, fileId) => fetch(`${url}/${fileId}/discard`, { method: "POST", headers: { "X-CSRFToken": token() } }).catch(() => {});
