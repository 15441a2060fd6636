// Keyboard shortcuts: their keys, for the list that "?" opens, and a hook for those that work on every page.

import { useEffect, useRef } from "../vendor/core.js";

/** @typedef {{ title: string, page: RegExp | null, keys: [keys: string[], does: string][] }} ShortcutGroup */

const FIELDS =
  "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable], dialog, [role=menu]";
const IS_MAC = /Mac|iPhone|iPad/.test(globalThis.navigator?.platform ?? "");
/** The key that makes a letter a shortcut. */
export const MOD = IS_MAC ? "⌘" : "Ctrl";

/** All shortcuts by page; `page` matches the path of the pages that have them, null means every page. */
export const SHORTCUTS = /** @type {ShortcutGroup[]} */ ([
  {
    title: "Every page",
    page: null,
    keys: [
      [[`${MOD}+K`, "/"], "Search everything, go to a page, start a DAG"],
      [["?"], "Show the keyboard shortcuts"],
      [["Esc"], "Close the dialog"],
      [["←", "→"], "On tabs: show the previous or next tab"],
    ],
  },
  {
    title: "Lists",
    page: /^\/(dags|dag-runs|queues|schedules|approvals|sources|users|access|tokens|audit)?$/,
    keys: [
      [["j", "k"], "Go to the next or previous row"],
      [["o", "Enter"], "Open the row"],
      [["r"], "Retry the run, or start the DAG"],
      [["/"], "Filter the list"],
    ],
  },
  {
    title: "Run",
    page: /^\/dag-runs\/[^/]+\/./,
    keys: [
      [["↑", "↓"], "In the list of steps: go to the previous or next step"],
      [["Enter"], "Show the output of the step"],
      [["↑", "↓", "←", "→"], "In the graph: go to the step in that direction"],
      [["Home"], "In the log: go to the first line"],
      [["End"], "In the log: go to the last line"],
      [["Enter"], "In the search of the log: go to the next hit"],
      [["Shift+Enter"], "In the search of the log: go to the previous hit"],
    ],
  },
  {
    title: "Compare",
    page: /^\/compare/,
    keys: [
      [["↑", "↓"], "In the list of steps: go to the previous or next step"],
      [["Enter"], "Compare the output of the step"],
    ],
  },
  {
    title: "DAG",
    page: /^\/dags\/./,
    keys: [
      [["↑", "↓", "←", "→"], "In the graph: go to the step in that direction"],
      [[`${MOD}+Space`], "In the editor: suggest keys and values"],
      [[`${MOD}+F`], "In the editor: find and replace"],
      [["F8"], "In the editor: go to the next problem"],
      [[`${MOD}+Z`], "In the editor: undo"],
      [["Tab"], "Leave the editor"],
    ],
  },
]);

/** The groups of shortcuts, those of the page at `path` first. @param {string} path */
export function shortcutsFor(path) {
  const here = SHORTCUTS.filter(({ page }) => page?.test(path));
  return [...here, ...SHORTCUTS.filter((group) => !here.includes(group))];
}

/** Whether a key press belongs to a field, an editor or a dialog. @param {KeyboardEvent} event */
const isTyping = (event) =>
  event.composedPath().some((target) => target instanceof Element && target.matches(FIELDS));

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
