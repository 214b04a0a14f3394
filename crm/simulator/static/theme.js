// Before the first paint, so that the page does not flash in the other theme.
const kept = localStorage.getItem("simulator-theme");
if (kept) document.documentElement.dataset.theme = kept;
