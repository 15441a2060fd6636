// Arrow key navigation between the links or buttons of rows.

/** @type {Record<string, number>} */
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

/**
 * Make the key handler of a list: arrow keys move the focus among the elements that match `selector`.
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
