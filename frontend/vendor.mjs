// Copies the pinned parts into crm/static/vendor, writes their licences and a lock of hashes, and builds
// crm/static/img/icons.svg from the lucide icons that icons.json names (id -> lucide name).
// `node vendor.mjs --check` writes nothing and fails when the tree differs from what it would write.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "node_modules");
const target = join(here, "..", "crm", "static");
const checking = process.argv.includes("--check");

const FILES = [
  ["htmx.org", "dist/htmx.min.js", "htmx.min.js"],
  ["tinykeys", "dist/tinykeys.umd.js", "tinykeys.js"],
];
const LICENCES = ["htmx.org", "tinykeys", "lucide-static", "emojibase-data"];
const EMOJI_LANGUAGES = ["es", "en"];

const version = (name) => JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8")).version;

/** Source maps stay out: the comment that points at them would make each page ask for a missing file. */
const withoutSourceMap = (text) => text.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n");

function sprite() {
  const icons = JSON.parse(readFileSync(join(here, "icons.json"), "utf8"));
  const symbols = Object.entries(icons).map(([id, name]) => {
    const svg = readFileSync(join(modules, "lucide-static", "icons", `${name}.svg`), "utf8");
    const body = svg.replace(/<!--.*?-->/gs, "").replace(/<svg[^>]*>/s, "").replace("</svg>", "");
    const packed = body.replace(/\s*\n\s*/g, " ").replace(/> </g, "><").replace(/ \/>/g, "/>").trim();
    return `<symbol id="${id}" viewBox="0 0 24 24">${packed}</symbol>`;
  });
  // The two ticks of a message are ours: lucide's check-check is too wide for a 16 px foot.
  symbols.push(
    '<symbol id="tick" viewBox="0 0 16 12"><path d="M3 6.5 6 9.5 12 2.5"/></symbol>',
    '<symbol id="ticks" viewBox="0 0 16 12"><path d="M1 6.5 4 9.5 10 2.5M7.2 9l.8.6L15 2.5"/></symbol>',
  );
  const note = `lucide ${version("lucide-static")} (ISC, see ../vendor/LICENCES.txt); built by frontend/vendor.mjs`;
  return `<svg xmlns="http://www.w3.org/2000/svg"><!-- ${note} -->\n${symbols.join("\n")}\n</svg>\n`;
}

/** Emojis by group, each as [sign, name, "word word"]; without the parts that are no emoji alone. */
function emojis(language) {
  const all = JSON.parse(readFileSync(join(modules, "emojibase-data", language, "compact.json"), "utf8"));
  const groups = new Map();
  for (const { unicode, label, tags, group, order } of all.sort((a, b) => a.order - b.order)) {
    if (group === undefined || group === 2 || order === undefined) continue;
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push([unicode, label, (tags ?? []).join(" ")]);
  }
  return `${JSON.stringify([...groups.values()])}\n`;
}

const outputs = new Map();
for (const language of EMOJI_LANGUAGES) outputs.set(`vendor/emoji-${language}.json`, emojis(language));
for (const [name, from, to] of FILES) {
  outputs.set(`vendor/${to}`, withoutSourceMap(readFileSync(join(modules, name, from), "utf8")));
}
outputs.set(
  "vendor/LICENCES.txt",
  LICENCES.map((name) => `${name} ${version(name)}\n${"=".repeat(60)}\n${readFileSync(join(modules, name, "LICENSE"), "utf8").trim()}\n`).join("\n\n"),
);
outputs.set("img/icons.svg", sprite());

const lock = { note: "Written by frontend/vendor.mjs; sha256 of each shipped file." };
lock.packages = Object.fromEntries(LICENCES.map((name) => [name, version(name)]));
lock.files = Object.fromEntries(
  [...outputs].map(([path, text]) => [path, createHash("sha256").update(text).digest("hex")]),
);
outputs.set("vendor/lock.json", `${JSON.stringify(lock, null, 2)}\n`);

let differing = 0;
for (const [path, text] of outputs) {
  const file = join(target, path);
  if (checking) {
    let current = null;
    try {
      current = readFileSync(file, "utf8");
    } catch {
      // A missing file differs like any other.
    }
    if (current !== text) {
      console.error(`differs: crm/static/${path}`);
      differing += 1;
    }
  } else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}
if (differing) process.exit(1);
console.log(checking ? "crm/static is what frontend/ gives" : `wrote ${outputs.size} files`);
