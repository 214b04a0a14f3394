// The phones of lines that are linked by QR code: scan, unlink, bring the server down.

import { attempt, h, order, t } from "./api.js";

const STATES = { CONNECTED: "connected", QRCODE: "qrcode", INITIALIZING: "initializing", CLOSED: "closed" };

/** Draw the lines again; called whenever something about them may have changed. */
export function drawLines(numbers) {
  const place = document.getElementById("lines-by-code");
  const lines = numbers.filter((number) => number.provider === "wppconnect");
  place.hidden = lines.length === 0;
  place.querySelector("[data-lines]").replaceChildren(...lines.map(line));
}

function line(number) {
  const state = STATES[number.state] ?? "closed";
  const act = (what, shown, extra = "") => {
    const button = h("button", { class: `btn ${extra}`.trim(), type: "button", "data-do": what, hidden: !shown }, t(`line_${what}`));
    button.addEventListener("click", () => attempt(() => order("POST", `wppconnect/${number.id}/${what}`, {})));
    return button;
  };
  return h("li", { "data-line-id": number.id, class: "coded" },
    h("span", {}, h("b", {}, number.verified_name), h("small", {}, `${number.display_phone_number} · `, t(`line_${state}`))),
    h("span", { class: "acts" }, act("scan", state === "qrcode", "primary"), act("unlink", state === "connected"), act("lose", state === "connected")));
}
