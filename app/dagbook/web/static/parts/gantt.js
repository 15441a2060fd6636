// Timeline (a Gantt chart): one bar per step on a common time axis.

import { html } from "../vendor/core.js";
import { duration } from "../lib/format.js";
import { useNow } from "../lib/use-now.js";
import { lookOfNode } from "../lib/runs.js";
import { spanOf } from "../lib/durations.js";

/**
 * The axis spans the run.
 * @param {{ run: Run, nodes: Api.Node[], chosen?: string | null, onChoose: (name: string) => void,
 *   active: boolean }} props
 */
export function Gantt({ run, nodes, chosen, onChoose, active }) {
  const now = useNow(1, active);
  const whole = spanOf(run, now);
  if (!whole) return html`<p class="faint">The run has not started yet.</p>`;
  const length = Math.max(1, whole.to - whole.from);
  const at = (/** @type {number} */ time) => ((time - whole.from) / length) * 100;
  return html`<div class="gantt" role="list" aria-label="When each step ran">
    <div class="gantt-axis faint number"><span>0</span><span>${duration(length / 2000)}</span>
      <span>${duration(length / 1000)}</span></div>
    ${nodes.map((node) => {
      const span = spanOf(node, now);
      const { word, tone } = lookOfNode(node, !active);
      const name = node.step.name;
      return html`<div role="listitem" key=${name} class=${name === chosen ? "gantt-row chosen" : "gantt-row"}>
        <button type="button" class="quiet gantt-name" onClick=${() => onChoose(name)}
          aria-current=${name === chosen ? "true" : null}>${name}</button>
        <div class="gantt-track">
          ${span && html`<span class="gantt-bar ${tone}"
            title=${`${name}: ${word}, ${duration((span.to - span.from) / 1000)}`}
            style=${{ left: `${at(span.from)}%`, width: `max(3px, ${at(span.to) - at(span.from)}%)` }}></span>`}
        </div>
        <span class="number faint">${span ? duration((span.to - span.from) / 1000) : word}</span>
      </div>`;
    })}
  </div>`;
}
