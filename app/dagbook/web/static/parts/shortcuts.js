// Keyboard shortcuts: their list, which "?" opens, a hook for those of all pages, and the keys of lists: j and k move
// between the rows, o opens one, r runs it again.

import { html, useEffect, useRef, useState } from "../vendor/core.js";
import { path } from "../lib/router.js";
import { Dialog, Icon } from "./basic.js";

/** @typedef {{ title: string, page: RegExp | null, keys: [keys: string[], does: string][] }} ShortcutGroup */

const FIELDS = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable], dialog, [role=menu]";
const IS_MAC = /Mac|iPhone|iPad/.test(navigator.platform);
/** The key that makes a letter a shortcut. */
export const MOD = IS_MAC ? "⌘" : "Ctrl";

const ROWS = "main :is(tbody tr, .approval, .queue li)";
const NO_ROWS = ".grid, .heat"; // drawings in the form of tables, which arrow keys move in
// What Enter uses in a row: what is marked, else its first link, else its first control.
const MAIN = ["[data-open]", "a[href]", ":is(summary, button):not(:disabled)"];

/** All shortcuts by page; `page` matches the path of the pages that have them, null means every page. */
const SHORTCUTS = /** @type {ShortcutGroup[]} */ ([
  { title: "Every page", page: null, keys: [
    [[`${MOD}+K`, "/"], "Search everything, go to a page, start a DAG"],
    [["?"], "Show the keyboard shortcuts"],
    [["Esc"], "Close the dialog"],
    [["←", "→"], "On tabs: show the previous or next tab"],
  ] },
  { title: "Lists", page: /^\/(dags|dag-runs|queues|schedules|approvals|sources|users|access|tokens|audit)?$/, keys: [
    [["j", "k"], "Go to the next or previous row"],
    [["o", "Enter"], "Open the row"],
    [["r"], "Retry the run, or start the DAG"],
    [["/"], "Filter the list"],
  ] },
  { title: "Run", page: /^\/dag-runs\/[^/]+\/./, keys: [
    [["↑", "↓"], "In the list of steps: go to the previous or next step"],
    [["Enter"], "Show the output of the step"],
    [["↑", "↓", "←", "→"], "In the graph: go to the step in that direction"],
    [["Home"], "In the log: go to the first line"],
    [["End"], "In the log: go to the last line"],
    [["Enter"], "In the search of the log: go to the next hit"],
    [["Shift+Enter"], "In the search of the log: go to the previous hit"],
  ] },
  { title: "Compare", page: /^\/compare/, keys: [
    [["↑", "↓"], "In the list of steps: go to the previous or next step"],
    [["Enter"], "Compare the output of the step"],
  ] },
  { title: "DAG", page: /^\/dags\/./, keys: [
    [["↑", "↓", "←", "→"], "In the graph: go to the step in that direction"],
    [[`${MOD}+Space`], "In the editor: suggest keys and values"],
    [[`${MOD}+F`], "In the editor: find and replace"],
    [["F8"], "In the editor: go to the next problem"],
    [[`${MOD}+Z`], "In the editor: undo"],
    [["Tab"], "Leave the editor"],
  ] },
]);

export function Shortcuts() {
  const [open, setOpen] = useState(false);
  useKey("?", () => setOpen(true));
  const isHere = (/** @type {ShortcutGroup} */ group) => Boolean(group.page?.test(path.value));
  const groups = SHORTCUTS.toSorted((one, other) => Number(isHere(other)) - Number(isHere(one)));
  return html`<button type="button" class="quiet" aria-label="Keyboard shortcuts" aria-keyshortcuts="?"
      title="Keyboard shortcuts (?)" onClick=${() => setOpen(true)}><${Icon} name="help" /></button>
    ${open && html`<${Dialog} title="Keyboard shortcuts" onClose=${() => setOpen(false)}>
      <div class="body shortcuts">
        ${groups.map((group) => html`<section key=${group.title} aria-label=${group.title}>
          <h3>${group.title}${isHere(group) && html` <span class="tag">this page</span>`}</h3>
          <dl>${group.keys.map(([names, does]) => html`<div key=${does}>
            <dt>${names.map((name) => html`<kbd key=${name}>${name}</kbd>`)}</dt><dd>${does}</dd></div>`)}</dl>
        </section>`)}
      </div><//>`}`;
}

/** Whether a key press belongs to a field, an editor or a dialog. @param {KeyboardEvent} event */
const isTyping = (event) => event.composedPath().some((target) => target instanceof Element && target.matches(FIELDS));

/**
 * Call `action` when a key is pressed outside fields and dialogs; one with Ctrl (⌘ on a Mac) works in fields, too.
 * @param {string} key
 * @param {() => void} action
 * @param {{ mod?: boolean }} [how]
 */
export function useKey(key, action, { mod = false } = {}) {
  const latest = useRef(action);
  latest.current = action;
  useEffect(() => {
    const press = (/** @type {KeyboardEvent} */ event) => {
      const held = [event.ctrlKey, event.metaKey];
      if (event.key !== key || event.altKey || held[Number(!IS_MAC)] || held[Number(IS_MAC)] !== mod) return;
      if (!mod && isTyping(event)) return;
      event.preventDefault();
      if (!mod || !document.querySelector("dialog[open]")) latest.current();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [key]);
}

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
