// Views of a list that somebody gave a name to, kept in this browser. A view is a query of the address bar.

import { signal } from "../vendor/core.js";

/** @typedef {{ name: string, search: string }} SavedView */

const MOST = 50;

/**
 * The views of a list: {list, save, remove}; `list` is a signal of [{name, search}] by name.
 * @param {string} key
 */
export function savedViews(key) {
  const list = signal(load(key));
  const keep = (/** @type {SavedView[]} */ views) => {
    list.value = views.sort((one, other) => one.name.localeCompare(other.name)).slice(0, MOST);
    try {
      window.localStorage.setItem(key, JSON.stringify(list.value));
    } catch {
      // storage is switched off or full: they last as long as the tab
    }
  };
  return {
    list,
    /** @param {string} name @param {string} search */
    save: (name, search) => keep([...list.value.filter((view) => view.name !== name), { name, search }]),
    /** @param {string} name */
    remove: (name) => keep(list.value.filter((view) => view.name !== name)),
  };
}

/**
 * @param {string} key
 * @returns {SavedView[]}
 */
function load(key) {
  try {
    /** @type {SavedView[]} */
    const kept = JSON.parse(window.localStorage.getItem(key) ?? "[]");
    return kept.filter(({ name, search }) => typeof name === "string" && typeof search === "string").slice(0, MOST);
  } catch {
    return []; // nothing, or not what this version writes
  }
}
