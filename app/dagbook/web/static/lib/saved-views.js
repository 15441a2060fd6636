// Named views of a list, stored in this browser. A view is a query string.

import { signal } from "../vendor/core.js";
import { store, storedValue } from "./stored.js";

/** @typedef {{ name: string, search: string }} SavedView */

const MOST = 50;

/**
 * The views of a list: {list, save, remove}; `list` is a signal of [{name, search}] by name.
 * @param {string} key
 */
export function savedViews(key) {
  const list = signal(load(key));
  const set = (/** @type {SavedView[]} */ views) => {
    list.value = views.sort((one, other) => one.name.localeCompare(other.name)).slice(0, MOST);
    store(key, JSON.stringify(list.value));
  };
  return {
    list,
    /** @param {string} name @param {string} search */
    save: (name, search) => set([...list.value.filter((view) => view.name !== name), { name, search }]),
    /** @param {string} name */
    remove: (name) => set(list.value.filter((view) => view.name !== name)),
  };
}

/**
 * @param {string} key
 * @returns {SavedView[]}
 */
function load(key) {
  const kept = storedValue(key);
  if (!Array.isArray(kept)) return [];
  return kept.filter((view) => typeof view?.name === "string" && typeof view.search === "string").slice(0, MOST);
}
