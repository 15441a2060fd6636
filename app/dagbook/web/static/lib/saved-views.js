// Named views of a list, stored in this browser. A view is a query string.

import { signal } from "../vendor/core.js";

/** @typedef {{ name: string, search: string }} SavedView */

const MOST = 50;

/**
 * The views of a list: {list, save, remove}; `list` is a signal of [{name, search}] by name.
 * @param {string} key
 */
export function savedViews(key) {
  const list = signal(load(key));
  const store = (/** @type {SavedView[]} */ views) => {
    list.value = views.sort((one, other) => one.name.localeCompare(other.name)).slice(0, MOST);
    try {
      window.localStorage.setItem(key, JSON.stringify(list.value));
    } catch {
      // storage is disabled or full: the views are lost with the tab
    }
  };
  return {
    list,
    /** @param {string} name @param {string} search */
    save: (name, search) => store([...list.value.filter((view) => view.name !== name), { name, search }]),
    /** @param {string} name */
    remove: (name) => store(list.value.filter((view) => view.name !== name)),
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
    return []; // nothing, or in the format of another version
  }
}
