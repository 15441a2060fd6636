// Where a page was left in the browser's history: Back, Forward and a reload return there once its data are loaded.

const SETTLED = 200; // milliseconds without scrolling
const PATIENCE = 15_000; // milliseconds in which a page has to become long enough
const BY_HAND = ["wheel", "touchstart", "pointerdown", "keydown"];

/** @type {AbortController | null} */
let returning = null;

/** Note the place in the history entry, where a reload finds it. */
export const keepPlace = () => window.history.replaceState({ top: Math.round(window.scrollY) }, "");

/** The place that the history entry has. */
export const keptPlace = () => Number(window.history.state?.top ?? 0);

/** Start to note the place. Browsers would return to it before the data are there. */
export function start() {
  window.history.scrollRestoration = "manual";
  let timer = 0;
  const settle = () => {
    clearTimeout(timer);
    timer = setTimeout(keepPlace, SETTLED);
  };
  window.addEventListener("scroll", settle, { passive: true });
  window.addEventListener("pagehide", keepPlace);
  if (keptPlace()) returnTo(keptPlace());
}

/** Another page comes: it has a place of its own. */
export function leave() {
  returning?.abort();
  keepPlace();
}

/**
 * Scroll to a place as soon as the page is long enough, unless the user scrolls before.
 * @param {number} top
 */
export function returnTo(top) {
  returning?.abort();
  const own = new AbortController();
  returning = own;
  const observer = new ResizeObserver(() => {
    window.scrollTo(0, top);
    if (window.scrollY >= top - 1) own.abort();
  });
  own.signal.addEventListener("abort", () => observer.disconnect());
  for (const kind of BY_HAND) window.addEventListener(kind, () => own.abort(), { signal: own.signal, passive: true });
  setTimeout(() => own.abort(), PATIENCE);
  observer.observe(document.body);
}
