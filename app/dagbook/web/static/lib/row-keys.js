// Keys on all lists: j and k move between the rows, o opens one, r runs it again.

import { useKey } from "./shortcuts.js";

const ROWS = "main :is(tbody tr, .approval, .queue li)";
const NO_ROWS = ".grid, .heat"; // drawings in the form of tables, which arrow keys move in
// What Enter uses in a row: what is marked, else its first link, else its first control.
const MAIN = ["[data-open]", "a[href]", ":is(summary, button):not(:disabled)"];

/** @param {Element} row */
const mainOf = (row) =>
  /** @type {HTMLElement | undefined} */ (MAIN.map((one) => row.querySelector(one)).find((found) => found !== null));

/** The rows that can be seen, and which of them has the focus, -1 for none. */
function rowsNow() {
  const rows = [...document.querySelectorAll(ROWS)].filter((row) =>
    row.checkVisibility() && !row.closest(NO_ROWS) && mainOf(row));
  return { rows, at: rows.findIndex((row) => row.contains(document.activeElement)) };
}

/** @param {number} step */
function move(step) {
  const { rows, at } = rowsNow();
  const row = rows[at < 0 ? 0 : Math.min(Math.max(at + step, 0), rows.length - 1)];
  if (row) mainOf(row)?.focus();
}

/** The row that has the focus. @param {(row: Element) => void} use */
function withRow(use) {
  const { rows, at } = rowsNow();
  if (at >= 0) use(rows[at]);
}

/** A row that can run again hears the event "again". */
export function useRowKeys() {
  useKey("j", () => move(1));
  useKey("k", () => move(-1));
  useKey("o", () => withRow((row) => mainOf(row)?.click()));
  useKey("r", () => withRow((row) => row.dispatchEvent(new Event("again"))));
}
