// Title and icon of the browser tab.

import { signal, useEffect } from "../vendor/core.js";

/** Set a title such as "etl · failed · 14:32 – Dagbook". @param {...(string | null | undefined | false)} parts */
export function useTitle(...parts) {
  const text = parts.filter(Boolean).join(" · ");
  useEffect(() => {
    document.title = text ? `${text} – Dagbook` : "Dagbook";
  }, [text]);
}

/** Colour and sign of each state; the signs are bolder than the icons of pages, for tabs show them small. */
const ICONS = {
  good: ["#1f7a4d", "M4.5 8.3l2.4 2.4 4.6-5.2"],
  bad: ["#c62828", "M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6"],
  busy: ["#1f5fbf", "M6.2 4.8l5 3.2-5 3.2z"],
  wait: ["#9a6a00", "M6.1 5v6M9.9 5v6"],
  mixed: ["#6c7800", "M8 4.4v4.2M8 11.3v.1"],
  off: ["#6b6f78", "M5.6 5.6h4.8v4.8H5.6z"],
  idle: ["#6b6f78", "M5 8h6"],
};
/** @type {HTMLLinkElement | null} */
const icon = document.querySelector('link[rel="icon"]');
const usual = icon?.href ?? "";

/** Whether the icon shows a state, which users see of hidden pages, too. */
export const showsState = signal(false);

/**
 * Show a state as the tab's icon (colour and sign) while the page is open; null restores the default icon.
 * @param {import("../../types/ui").Tone | null | undefined} tone
 */
export function useStateIcon(tone) {
  useEffect(() => {
    if (!icon || !tone) return undefined;
    const [colour, sign] = ICONS[tone];
    const line = 'fill="none" stroke="#fff" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"';
    const drawing =
      '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">' +
      `<circle cx="8" cy="8" r="8" fill="${colour}"/><path d="${sign}" ${line}/></svg>`;
    icon.href = `data:image/svg+xml,${encodeURIComponent(drawing)}`;
    showsState.value = true;
    return () => {
      showsState.value = false;
      icon.href = usual;
    };
  }, [tone]);
}
