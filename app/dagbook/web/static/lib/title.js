// Title and icon of the browser tab.

import { useEffect } from "../vendor/core.js";

/**
 * Set a title such as "etl · failed · 14:32 – Dagbook".
 * @param {...(string | null | undefined | false)} parts
 */
export function useTitle(...parts) {
  const text = parts.filter(Boolean).join(" · ");
  useEffect(() => {
    document.title = text ? `${text} – Dagbook` : "Dagbook";
  }, [text]);
}

const COLOURS = {
  good: "#1f7a4d",
  bad: "#c62828",
  busy: "#1f5fbf",
  wait: "#c98a00",
  mixed: "#8a9600",
  off: "#6b6f78",
  idle: "#6b6f78",
};
/** @type {HTMLLinkElement | null} */
const icon = document.querySelector('link[rel="icon"]');
const usual = icon?.href ?? "";

/**
 * Show a state as the tab's icon while the page is open; null restores the default icon.
 * @param {import("./status.js").Tone | null | undefined} tone
 */
export function useStateIcon(tone) {
  useEffect(() => {
    if (!icon || !tone) return undefined;
    const circle = `<circle cx="8" cy="8" r="7" fill="${COLOURS[tone]}"/>`;
    const drawing = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">${circle}</svg>`;
    icon.href = `data:image/svg+xml,${encodeURIComponent(drawing)}`;
    return () => {
      icon.href = usual;
    };
  }, [tone]);
}
