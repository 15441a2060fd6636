// The critical path of a run in a line: how much of the time its steps took, and the longest of them.

import { html } from "../vendor/core.js";
import { duration, plural } from "../lib/format.js";

/** @import { Link } from "../lib/critical-path.js" */

const NAMED = 3;
const NOTABLE = 1000; // milliseconds of waiting, and a twentieth of the run

/** @param {Link} link */
const lengthOf = ({ from, to }) => to - from;

/**
 * @param {{ path: import("../lib/critical-path.js").CriticalPath | null, active: boolean,
 *   onChoose: (name: string) => void, children?: Children }} props
 */
export function CriticalPath({ path, active, onChoose, children }) {
  const { links, total, waited } = path ?? { links: [], total: 0, waited: 0 };
  const longest = links.toSorted((one, other) => lengthOf(other) - lengthOf(one)).slice(0, NAMED);
  const text = (/** @type {number} */ millis) => duration(millis / 1000);
  return html`<div class="pane-bar critical-path" role="group" aria-label="Critical path">
    <strong title="The chain of steps that determines how long the run takes: each began when the one before it ended">
      Critical path</strong>
    <span class="number">${links.length === 0 ? "no step has started"
      : `${plural(links.length, "step")}, ${text(total - waited)} of ${text(total)}${active ? " so far" : ""}`}${
      waited > Math.max(NOTABLE, total / 20) ? `, ${text(waited)} of waiting` : ""}</span>
    ${links.length > NAMED && html`<span class="faint">longest:</span>`}
    ${links.filter((link) => longest.includes(link)).map((link) => html`<button type="button" class="quiet"
      key=${link.node.step.name} onClick=${() => onChoose(link.node.step.name)}>
      <span class="cut">${link.node.step.name}</span>${" "}
      <span class="number faint">${text(lengthOf(link))}</span></button>`)}
    <span class="grow"></span>${children}</div>`;
}
