// Icons as SVG strokes in a box of 16: fonts of other machines may lack the characters.

import { html } from "../vendor/core.js";

/** @type {Record<string, string>} */
const PATHS = {
  dashboard: "M2 9a6 6 0 0 1 12 0M8 9l3-3M2 12h12",
  runs: "M5 3l8 5-8 5z",
  dags: "M4 2v12M4 8h3l4-4M7 8l4 4M11 4h2M11 12h2",
  approvals: "M3 3h10v10H3zM5.5 8l2 2L11 6",
  queues: "M3 4h10M3 8h7M3 12h4",
  schedules: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM8 5v3l2 2",
  workers: "M3 3h10v6H3zM6 13h4M8 9v4",
  search: "M7 2a5 5 0 1 1 0 10A5 5 0 0 1 7 2zM11 11l3 3",
  sources: "M2 13V3h4l2 2h6v8zM2 7h12",
  system: "M3 13V8M7 13V3M11 13V6M2 14h12",
  users: "M8 2a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM2 14c0-3 3-4 6-4s6 1 6 4",
  access: "M8 1l6 2v5c0 4-3 6-6 7-3-1-6-3-6-7V3z",
  audit: "M4 2h8v12H4zM6 5h4M6 8h4M6 11h2",
  tokens: "M10 2a4 4 0 1 1-3 6.7L2 13v1h3v-2h2l1-1",
  mark: "M3 3h4.5v4.5H3zM8.5 8.5H13V13H8.5z",
  close: "M4 4l8 8M12 4l-8 8",
  copy: "M5 5h8v9H5zM3 11V2h8",
  check: "M3 8.5l3.5 3.5L13 4.5",
  cross: "M4 4l8 8M12 4l-8 8",
  circle: "M8 3a5 5 0 1 1 0 10A5 5 0 0 1 8 3z",
  half: "M8 3a5 5 0 1 1 0 10A5 5 0 0 1 8 3zM8 3v10",
  square: "M4 4h8v8H4z",
  wait: "M4 2h8M4 14h8M5 2c0 4 6 8 6 12M11 2c0 4-6 8-6 12",
  mixed: "M4 4h8v8H4zM4 12l8-8",
  skip: "M3 12c1-6 8-6 9-1M12 11l1-4M12 11l-4-1",
  dash: "M4 8h8",
  arc: "M8 3a5 5 0 1 1-5 5",
  unknown: "M6 6a2 2 0 1 1 2 2v2M8 12v.5",
  sun: "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6z" +
    "M8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.5 1.5M11.5 11.5L13 13M3 13l1.5-1.5M11.5 4.5L13 3",
  moon: "M12 10A5.5 5.5 0 0 1 6 3a5.5 5.5 0 1 0 6 7z",
  help: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM6.3 6.4a1.7 1.7 0 1 1 2.6 1.4c-.6.4-.9.7-.9 1.3M8 11.3v.1",
  more: "M3 8h.1M8 8h.1M13 8h.1",
  down: "M8 3v8M4 8l4 4 4-4M3 14h10",
  wrap: "M2 4h12M2 8h9a2 2 0 0 1 0 4H8M10 10l-2 2 2 2",
  open: "M6 3l5 5-5 5",
  shut: "M3 6l5 5 5-5",
  stop: "M4 4h8v8H4z",
  retry: "M13 8a5 5 0 1 1-1.5-3.5M13 2v3h-3",
};

/**
 * An icon, hidden from screen readers, because there is always a word next to it or a label on its button.
 * @param {{ name: string }} props
 */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
    <path d=${PATHS[name] ?? PATHS.unknown} fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round"
      stroke-linejoin="round" />
  </svg>`;
}
