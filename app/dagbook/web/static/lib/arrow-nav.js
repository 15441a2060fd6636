// Up and down with the arrow keys, from a row's link or button to the same one of the next row.

/** @type {Record<string, number>} */
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

/**
 * Make the handler for a list: arrow keys move the focus among what `selector` finds in it.
 * @param {string} selector
 */
export function arrowNavigation(selector) {
  return (/** @type {Targeted<KeyboardEvent, HTMLElement>} */ event) => {
    const step = STEPS[event.key];
    if (!step || !event.target.matches(selector)) return;
    event.preventDefault();
    const found = [.../** @type {NodeListOf<HTMLElement>} */ (event.currentTarget.querySelectorAll(selector))];
    found[found.indexOf(event.target) + step]?.focus();
  };
}
