// Where a page was left in the browser's history: Back, Forward and a reload return there once its data are loaded.

const SETTLED = 200; // milliseconds without scrolling
const PATIENCE = 15_000; // milliseconds in which a page becomes what it was: long enough, and shorter in between
const BY_HAND = ["wheel", "touchstart", "pointerdown", "keydown"];

/** @type {{ top: number, stop: AbortController } | null} */
let returning = null;

/** Note the place in the history entry, where a reload finds it; that to which the page returns, if it still loads. */
export const keepPlace = () => window.history.replaceState({ top: returning?.top ?? Math.round(window.scrollY) }, "");

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
  keepPlace();
  returning?.stop.abort();
}

/**
 * Keep a page at a place while it loads, from when it is long enough until the user scrolls. The page before it may be
 * long enough too, so the place is not reached for good when it is reached.
 * @param {number} top
 */
export function returnTo(top) {
  returning?.stop.abort();
  const stop = new AbortController();
  returning = { top, stop };
  const observer = new ResizeObserver(() => window.scrollTo(0, top));
  stop.signal.addEventListener("abort", () => {
    observer.disconnect();
    returning = null;
  });
  for (const kind of BY_HAND) window.addEventListener(kind, () => stop.abort(), { signal: stop.signal, passive: true });
  setTimeout(() => stop.abort(), PATIENCE);
  observer.observe(document.body);
}
