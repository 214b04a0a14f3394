// What the first load does without. A template names the module; it comes when it is wanted:
//   <div data-module="theme">   with the first press inside, which it then hears as if it had been there
//   <div data-needs="attach">   as soon as such an element is on the page, from the start or by a swap
// A module is loaded once and minds its elements by delegation, like all of ours.
import { $$, toast, words } from "./page.js";

const loaded = new Map(); // name -> the module's promise
const here = new Set();

function load(name) {
  if (!loaded.has(name)) {
    const coming = import(`./${name}.js`);
    loaded.set(name, coming);
    coming.then(() => here.add(name), () => loaded.delete(name));
  }
  return loaded.get(name);
}

document.addEventListener("click", (event) => {
  const name = event.target.closest?.("[data-module]")?.dataset.module;
  if (!name || here.has(name)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  load(name).then(() => event.target.isConnected && event.target.dispatchEvent(new MouseEvent("click", event)), () => words.failed && toast(words.failed));
}, true);

const need = (element) => load(element.dataset.needs).catch(() => {});
const fetchNeeded = (root = document) => $$("[data-needs]", root).forEach(need);
new MutationObserver((changes) => {
  for (const change of changes) {
    for (const node of change.addedNodes) {
      if (node.nodeType !== 1) continue;
      if (node.matches("[data-needs]")) need(node);
      fetchNeeded(node);
    }
  }
}).observe(document.body, { childList: true, subtree: true });
fetchNeeded();
