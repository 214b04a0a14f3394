// "(3) Inbox": unread in my chats, in the title, the rail and the tab's icon.
import { $, me } from "./page.js";

const icon = $("link[rel=icon]");
const plain = icon?.href;

function showUnread() {
  const unread = Number($("#tabs")?.dataset.unread ?? 0);
  const name = $("#thread[data-chat-open] #thread-title")?.textContent;
  const base = [name, $("#list-title")?.textContent].filter(Boolean).join(" · ");
  const named = $("#mentions:not([hidden])") ? "@ " : "";
  if (base) document.title = `${named}${unread ? `(${unread}) ` : ""}${base} · Charla`;
  const badge = $("[data-unread-total]");
  if (badge) {
    badge.hidden = !unread;
    badge.textContent = unread > 99 ? "99+" : unread;
  }
  const wanted = unread ? plain?.replace("favicon.svg", "favicon-dot.svg") : plain;
  if (icon && icon.href !== wanted) icon.href = wanted;
}
document.addEventListener("crm:counts", showUnread);
document.addEventListener("crm:opened", showUnread);

document.addEventListener("crm:event", ({ detail }) => {
  if (detail.name === "mention") import("./mentions.js").then((mentions) => mentions.look(detail.note_id), () => {});
});

// Another tab, or the clock, has turned my switch. Asked once more when it was turned meanwhile: of two
// requests for one place the second would be left out, and it is the second that is right.
let [asking, turned] = [false, false];
async function renewStatus() {
  turned = true;
  if (asking) return;
  asking = true;
  while (turned && $("#my-status")) {
    turned = false;
    try {
      await window.htmx.ajax("GET", "/agents/status", { target: "#my-status", swap: "outerHTML" });
    } catch { /* the page says elsewhere that nothing comes */ }
  }
  asking = false;
}
document.addEventListener("crm:event", ({ detail }) => {
  if (detail.name === "agent" && String(detail.user_id) === me) renewStatus();
});
showUnread();
