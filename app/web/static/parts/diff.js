// A unified diff with its lines told apart by sign and colour.

import { html } from "../vendor/core.js";

const TONES = { "+": "added", "-": "removed", "@": "place" };

export function Diff({ text }) {
  if (!text) return html`<p class="faint">The two texts are equal.</p>`;
  return html`<pre class="diff" tabindex="0">${text.split("\n").map((line, index) => html`<span key=${index} class=${TONES[line[0]] ?? ""}>${line}${"\n"}</span>`)}</pre>`;
}
