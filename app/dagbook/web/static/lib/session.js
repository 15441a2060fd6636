// The user's token and permissions.

import { computed, signal } from "../vendor/core.js";
import { config } from "./config.js";

const KEY = "dagbook.token";
/** @type {Api.Role[]} */
const RANKS = ["viewer", "operator", "manager", "admin"];

export const token = signal(load());
/** @typedef {"run" | "write" | "admin"} Right */

export const user = signal(/** @type {Api.User | null} */ (null));

/** Whether the UI requires a login. */
export const needsLogin = config.login !== "";
export const hasUsers = config.login === "builtin";

const role = computed(() => user.value?.role ?? null);

function load() {
  try {
    return window.localStorage.getItem(KEY);
  } catch {
    return null; // storage is switched off: a login lasts as long as the tab
  }
}

/**
 * Store a token, or delete it with null.
 * @param {string | null} value
 */
export function storeToken(value) {
  token.value = value;
  if (value === null) user.value = null;
  try {
    if (value === null) window.localStorage.removeItem(KEY);
    else window.localStorage.setItem(KEY, value);
  } catch {
    // see load
  }
}

/**
 * Call `react` after a login or logout in another tab.
 * @param {() => unknown} react
 */
export function onOtherTab(react) {
  window.addEventListener("storage", ({ key, newValue }) => key === KEY && newValue !== token.peek() && react());
}

/** @param {Api.Role} least */
function hasRank(least) {
  return !hasUsers || (role.value !== null && RANKS.indexOf(role.value) >= RANKS.indexOf(least));
}

/** @type {Record<Right, { allowed: () => boolean, who: string, off: string, on: () => boolean }>} */
const RIGHTS = {
  run: {
    allowed: () => config.runs && hasRank("operator"),
    who: "operators",
    off: "permissions_run_dags is false",
    on: () => config.runs,
  },
  write: {
    allowed: () => config.writes && hasRank("manager"),
    who: "managers",
    off: "permissions_write_dags is false",
    on: () => config.writes,
  },
  admin: { allowed: () => hasRank("admin"), who: "admins", off: "", on: () => true },
};

/**
 * Whether the user has a permission.
 * @param {Right} right
 */
export function may(right) {
  return RIGHTS[right].allowed();
}

/**
 * Why the user lacks a permission, as a sentence for a tooltip.
 * @param {Right} right
 */
export function whyNot(right) {
  const { on, off, who } = RIGHTS[right];
  return on() ? `Only ${who} and above may do this.` : `This server does not allow it: ${off}.`;
}
