// Up and down with the arrow keys, from a row's link or button to the same one of the next row.

/** Make the handler for a list: arrow keys move the focus among what `selector` finds in it. */
export function walkAmong(selector) {
  return (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.matches(selector)) return;
    event.preventDefault();
    const found = [...event.currentTarget.querySelectorAll(selector)];
    found[found.indexOf(event.target) + step]?.focus();
  };
}
