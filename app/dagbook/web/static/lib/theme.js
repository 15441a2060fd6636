// Colour theme: light, dark, or that of the system.

import { signal } from "../vendor/core.js";
import { store, stored } from "./stored.js";

const KEY = "dagbook.theme";
/** @typedef {"system" | "light" | "dark"} Theme */

/** @type {Theme[]} */
export const THEMES = ["system", "light", "dark"];
export const theme = signal(load());

/** @returns {Theme} */
function load() {
  const kept = stored(KEY);
  return THEMES.find((name) => name === kept) ?? "system";
}

window.addEventListener("storage", ({ key }) => {
  if (key !== KEY) return; // chosen in another tab
  theme.value = load();
  applyTheme();
});

/** Apply the chosen theme to the document. */
export function applyTheme() {
  if (theme.value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
}

/**
 * Choose a theme and store it.
 * @param {Theme} name
 */
export function choose(name) {
  theme.value = name;
  applyTheme();
  store(KEY, name);
}
