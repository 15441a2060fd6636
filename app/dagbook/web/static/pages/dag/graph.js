// The steps of a DAG's definition as a graph.

import { html, useMemo, useState } from "../../vendor/core.js";
import { stepsOfDag } from "../../lib/graph.js";
import { Dialog, Empty } from "../../parts/basic.js";
import { DagGraph } from "../../parts/graph.js";

/** @param {{ details: Api.DAGFileDetails }} props */
export function GraphTab({ details }) {
  const { dag } = details;
  const steps = useMemo(() => (dag ? stepsOfDag(dag) : []), [dag]);
  const [chosen, setChosen] = useState(null);
  const step = [...(dag?.steps ?? []), ...Object.values(dag?.handlerOn ?? {})].find(({ name }) => name === chosen);
  if (!steps.length) return html`<${Empty} title="No steps"><p>The definition has no steps, or has problems.</p><//>`;
  return html`<${DagGraph} steps=${steps} chosen=${chosen} onChoose=${setChosen} />
    ${step && html`<${Dialog} title=${step.name} onClose=${() => setChosen(null)}>
      <div class="body">${step.description && html`<p>${step.description}</p>`}
      <pre class="events" tabindex="0">
        ${[step.cmdWithArgs, step.script].filter(Boolean).join("\n") || "Calls another DAG"}</pre></div>
        <//>`}`;
}
