// How many have each status, as buttons that show only those.

import { html } from "../vendor/core.js";
import { countLooks } from "../lib/runs.js";
import { Icon } from "./basic.js";

/**
 * `chosen` is the word of a status, or null for all.
 * @param {{ label: string, looks: import("../lib/status.js").Look[], chosen: string | null,
 *   onChoose: (word: string | null) => void }} props
 */
export function Counts({ label, looks, chosen, onChoose }) {
  return html`<div class="counts-bar" role="group" aria-label=${label}>
    <button type="button" class="quiet" aria-pressed=${chosen === null} onClick=${() => onChoose(null)}>
      ${looks.length.toLocaleString("en")} in all</button>
    ${countLooks(looks).map(({ look: { word, icon, tone }, count }) => html`<button type="button" key=${word}
      class="quiet ${tone}" aria-pressed=${chosen === word} onClick=${() => onChoose(chosen === word ? null : word)}>
      <${Icon} name=${icon} />${count.toLocaleString("en")} ${word}</button>`)}
  </div>`;
}
