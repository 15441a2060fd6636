// Panes side by side and the bars between them, which are dragged or moved by keys; widths are kept in this browser.

import { html, signal } from "../vendor/core.js";
import { store, storedValue } from "../lib/stored.js";

const KEY = "dagbook.panes";
const [LEAST, MOST, STEP, FAR] = [15, 75, 2, 10]; // percent of the width
/** @type {Record<string, number>} */
const USUAL = { list: 32, wide: 46, details: 26 }; // percent
const DETAILS_FROM = 1800; // pixels of the window from which there is room for three panes
/** @type {Record<string, number>} */
const MOVES = { ArrowLeft: -STEP, ArrowRight: STEP, Home: -Infinity, End: Infinity };

/** Widths in percent by pane, and whether the details are shown, as far as the user has chosen. */
const chosen = signal(/** @type {Record<string, number | boolean>} */ (load()));

/** @returns {Record<string, number | boolean>} */
function load() {
  const kept = Object.entries(storedValue(KEY) ?? {});
  return Object.fromEntries(kept.filter(([, value]) => typeof value === "boolean" || Number.isFinite(value)));
}

/** @param {Record<string, number | boolean>} changes */
function keep(changes) {
  chosen.value = { ...chosen.value, ...changes };
  store(KEY, JSON.stringify(chosen.value));
}

/** @param {string} pane */
const widthOf = (pane) => within(Number(chosen.value[pane] ?? USUAL[pane]));
const within = (/** @type {number} */ percent) => Math.min(MOST, Math.max(LEAST, percent));

export const hasDetails = () => Boolean(chosen.value.hasDetails ?? window.innerWidth >= DETAILS_FROM);
export const toggleDetails = () => keep({ hasDetails: !hasDetails() });

/**
 * Two or three panes: `pane` names the width of the first one.
 * @param {{ pane: "list" | "wide", first: Children, second: Children, details: Children }} props
 */
export function Panes({ pane, first, second, details }) {
  const style = { "--first": `${widthOf(pane)}%`, "--details": `${widthOf("details")}%` };
  return html`<div class=${details ? "run-panes three" : "run-panes"} style=${style}>
    ${first}<${Splitter} pane=${pane} label="Width of the steps" way=${1} />
    ${second}${details && html`<${Splitter} pane="details" label="Width of the details" way=${-1} />${details}`}
  </div>`;
}

/**
 * The bar at the right edge of its pane, or at the left one where `way` is -1. A double click restores the usual width.
 * @param {{ pane: string, label: string, way: 1 | -1 }} props
 */
function Splitter({ pane, label, way }) {
  const drag = (/** @type {Targeted<PointerEvent, HTMLElement>} */ event) => {
    const bar = event.currentTarget;
    const box = bar.parentElement?.getBoundingClientRect();
    if (!box || event.button !== 0) return;
    const move = (/** @type {PointerEvent} */ { clientX }) =>
      keep({ [pane]: within(((way > 0 ? clientX - box.left : box.right - clientX) / box.width) * 100) });
    bar.setPointerCapture(event.pointerId);
    bar.addEventListener("pointermove", move);
    bar.addEventListener("lostpointercapture", () => bar.removeEventListener("pointermove", move), { once: true });
  };
  const press = (/** @type {KeyboardEvent} */ event) => {
    const step = MOVES[event.key];
    if (!step) return;
    event.preventDefault();
    keep({ [pane]: within(widthOf(pane) + way * step * (event.shiftKey ? FAR / STEP : 1)) });
  };
  return html`<div class="splitter" role="separator" tabindex="0" aria-orientation="vertical" aria-label=${label}
    aria-valuenow=${Math.round(widthOf(pane))} aria-valuemin=${LEAST} aria-valuemax=${MOST}
    title="Drag, or use the arrow keys" onPointerDown=${drag} onKeyDown=${press}
    onDblClick=${() => keep({ [pane]: USUAL[pane] })}></div>`;
}
