// A style sheet that comes with a module; the promise is kept when it has been applied.
const coming = new Map();

export function withSheet(name) {
  if (!coming.has(name)) {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = new URL(`../css/${name}.css`, import.meta.url).href;
    coming.set(name, new Promise((done) => {
      link.onload = link.onerror = done;
    }));
    document.head.append(link);
  }
  return coming.get(name);
}
