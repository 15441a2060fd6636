// Unified diff, whose lines differ by sign and colour.

import { html } from "../vendor/core.js";

/** @type {Record<string, string>} */
const TONES = { "+": "added", "-": "removed", "@": "place" };
/** @param {string} line @param {number} index */
const toneOf = (line, index) => (index < 2 ? "place" : (TONES[line[0]] ?? "")); // the first two name the texts

/** @param {{ text: string }} props */
export function Diff({ text }) {
  if (!text) return html`<p class="faint">The two texts are equal.</p>`;
  return html`<pre class="diff" tabindex="0">
    ${text.split("\n").map((line, index) => html`<span key=${index} class=${toneOf(line, index)}>${line}${"\n"}
    </span>`)}</pre>`;
}
