// What a page looks like, measured inside it. An expression: an object of functions for page.evaluate.
({
  // Text and the ground under it, as the browser computed them; a pair below 4.5 : 1 (3 : 1 for
  // large text) is reported with its words.
  contrast: () => {
  // A colour on its way from one theme to the other is neither.
  document.getAnimations().forEach((animation) => {
    // What turns for ever (a spinner) has no end to go to.
    if (Number.isFinite(animation.effect.getComputedTiming().endTime)) animation.finish();
  });
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  canvas.canvas.width = canvas.canvas.height = 1;
  const rgba = (colour, under) => {
    canvas.clearRect(0, 0, 1, 1);
    if (under) { canvas.fillStyle = `rgb(${under.join(',')})`; canvas.fillRect(0, 0, 1, 1); }
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const ground = (element) => {
    const chain = [];
    for (let at = element; at; at = at.parentElement) chain.unshift(at);
    let colour = [255, 255, 255];
    for (const at of chain) colour = rgba(getComputedStyle(at).backgroundColor, colour).slice(0, 3);
    return colour;
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => {
      const value = part / 255;
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, two) => {
    const [low, high] = [light(one), light(two)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const words = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!words || !/[\p{L}\p{N}]/u.test(words) || !element.checkVisibility({ checkVisibilityCSS: true })) continue;
    if (element.closest('.visually-hidden, [aria-hidden=true] .count, template, :disabled')) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const under = ground(element);
    const got = ratio(rgba(style.color, under).slice(0, 3), under);
    if (got < (large ? 3 : 4.5)) poor.push(`${got.toFixed(2)} "${words.slice(0, 40)}" ${element.className}`);
  }
  return [...new Set(poor)];
},

  nameless: () => [...document.querySelectorAll('a[href], button, input:not([type=hidden]), textarea, select, summary, [role=img], dialog')]
  .filter((element) => element.checkVisibility())
  .filter((element) => {
    const labelled = (element.getAttribute('aria-labelledby') ?? '').split(' ').map((id) => document.getElementById(id)?.textContent ?? '').join('');
    const label = element.labels?.length ? [...element.labels].map((one) => one.textContent).join('') : '';
    return !(element.getAttribute('aria-label') || labelled || label || element.textContent).trim();
  })
  .map((element) => element.outerHTML.slice(0, 120)),

  // WCAG 2.5.8; a link inside a line of text is excepted there, and so it is here.
  small: (least) => [...document.querySelectorAll('a[href], button, input:not([type=hidden]), textarea, select, summary')]
  .filter((element) => element.checkVisibility() && !element.closest('.text, .visually-hidden, .skip'))
  .map((element) => [element, (element.closest('label') ?? element).getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.width < least || box.height < least))
  .map(([element, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${element.outerHTML.slice(0, 100)}`),

  doubleIds: () => {
  const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
  return ids.filter((id, at) => ids.indexOf(id) !== at);
},

  overflow: () => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth,
})
