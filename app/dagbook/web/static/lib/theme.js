// Colour theme: light, dark, or that of the system.

import { effect, signal } from "../vendor/core.js";
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

effect(() => {
  if (theme.value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});
window.addEventListener("storage", ({ key }) => key === KEY && (theme.value = load())); // chosen in another tab

/** Choose a theme and store it. @param {Theme} name */
export function choose(name) {
  theme.value = name;
  store(KEY, name);
}
