// Arrow key navigation between the links or buttons of rows.

/** @type {Record<string, number>} */
const STEPS = { ArrowDown: 1, ArrowUp: -1 };
/** @type {Record<string, number>} */
export const SIDEWAYS = { ArrowRight: 1, ArrowLeft: -1, End: Infinity, Home: -Infinity };

/**
 * Make the key handler of a list: arrow keys move the focus among the elements that match `selector`.
 * @param {string} selector
 * @param {Record<string, number>} [steps] by key; an infinite one goes to the end
 */
export function arrowNavigation(selector, steps = STEPS) {
  return (/** @type {Targeted<KeyboardEvent, HTMLElement>} */ event) => {
    const step = steps[event.key];
    if (!step || !event.target.matches(selector)) return;
    event.preventDefault();
    const found = [.../** @type {NodeListOf<HTMLElement>} */ (event.currentTarget.querySelectorAll(selector))];
    const wanted = found.indexOf(event.target) + step;
    (Number.isFinite(step) ? found[wanted] : found.at(step < 0 ? 0 : -1))?.focus();
  };
}

/**
 * The cell that a key leads to in rows of `columns` cells each, or null for other keys.
 * @param {string} key
 * @param {number} at
 * @param {number} count
 * @param {number} columns
 */
export function cellAfter(key, at, count, columns) {
  const step = { ...STEPS, ...SIDEWAYS }[key];
  if (!step || !count) return null;
  const to = at + (key in STEPS ? step * columns : step);
  if (key in STEPS && (to < 0 || to >= count)) return at;
  return Math.max(0, Math.min(count - 1, to));
}
