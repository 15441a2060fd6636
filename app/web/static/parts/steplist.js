// The steps of a run in order: state, how long against the longest, tries; runs that a step has called open in place.

import { html, useState } from "../vendor/core.js";
import { duration, short } from "../lib/format.js";
import { useLoad } from "../lib/load.js";
import { useNow } from "../lib/now.js";
import { href } from "../lib/router.js";
import { concernsRun, nodesOf, pageOf, pathOf } from "../lib/runs.js";
import { secondsOf } from "../lib/spans.js";
import { isActive } from "../lib/status.js";
import { Loaded, Status } from "./basic.js";
import { Icon } from "./icon.js";

const SHOWN = 50; // sub-runs of a step, before one asks for more

export function StepList({ address, run, chosen, inside, onChoose }) {
  const now = useNow(1, isActive(run.status));
  const nodes = nodesOf(run);
  const longest = Math.max(0.001, ...nodes.map((node) => secondsOf(node, now) ?? 0));
  const called = nodes.some((node) => node.subRuns?.length);
  const path = called && !address.subRunId ? [...pathOf(address), "sub-dag-runs"] : null;
  const subRuns = useLoad(path, {}, (change) => change.kind === "run" && concernsRun(address, change));
  const known = new Map((subRuns.data?.subRuns ?? []).map((sub) => [sub.dagRunId, sub]));
  const move = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.matches(".step-name")) return;
    event.preventDefault();
    const names = [...event.currentTarget.querySelectorAll(".step-name")];
    names[names.indexOf(event.target) + step]?.focus();
  };
  return html`<ol class="steps" onKeyDown=${move}>
    ${nodes.map((node) => html`<${StepRow} key=${node.step.name} address=${address} node=${node} longest=${longest} now=${now} known=${known}
      chosen=${!inside && node.step.name === chosen} inside=${inside} picked=${chosen} onChoose=${onChoose} />`)}
  </ol>`;
}

function StepRow({ address, node, longest, now, known, chosen, inside, picked, onChoose }) {
  const seconds = secondsOf(node, now);
  const called = [...(node.subRuns ?? []), ...(node.subRunsRepeated ?? [])];
  const [open, setOpen] = useState(called.some(({ dagRunId }) => dagRunId === inside));
  return html`<li>
    <div class=${chosen ? "step chosen" : "step"}>
      ${called.length
        ? html`<button type="button" class="quiet" aria-expanded=${open} aria-label=${`Runs called by ${node.step.name}`} onClick=${() => setOpen(!open)}><${Icon} name=${open ? "shut" : "open"} /></button>`
        : html`<span></span>`}
      <button type="button" class="step-name quiet" aria-current=${chosen ? "true" : null} title=${node.step.name} onClick=${() => onChoose(node.step.name)}>${node.step.name}</button>
      <${Status} of=${node.status} node />
      <span class="step-bar" aria-hidden="true"><span style=${{ width: `${((seconds ?? 0) / longest) * 100}%` }}></span></span>
      <span class="number faint">${seconds === null ? "" : duration(seconds)}${node.retryCount ? ` ↻${node.retryCount}` : ""}</span>
    </div>
    ${open && html`<${Called} address=${address} called=${called} known=${known} inside=${inside} picked=${picked} onChoose=${onChoose} />`}
  </li>`;
}

function Called({ address, called, known, inside, picked, onChoose }) {
  const [most, setMost] = useState(SHOWN);
  return html`<ol class="called">
    ${called.slice(0, most).map(({ dagRunId, params }) => html`<${SubRun} key=${dagRunId} address=${address} id=${dagRunId} params=${params} sub=${known.get(dagRunId)}
      startOpen=${dagRunId === inside} inside=${inside} picked=${picked} onChoose=${onChoose} />`)}
    ${called.length > most && html`<li><button type="button" onClick=${() => setMost(most + 500)}>Show ${Math.min(500, called.length - most)} more of ${called.length}</button></li>`}
  </ol>`;
}

function SubRun({ address, id, params, sub, startOpen, inside, picked, onChoose }) {
  const [open, setOpen] = useState(startOpen);
  const own = { ...address, subRunId: id };
  return html`<li>
    <div class="step">
      <button type="button" class="quiet" aria-expanded=${open} aria-label=${`Steps of run ${id}`} onClick=${() => setOpen(!open)}><${Icon} name=${open ? "shut" : "open"} /></button>
      <a href=${href(pageOf(own))} title=${id}>${short(id)}</a>
      ${sub && html`<${Status} of=${sub.status} />`}
      <span class="faint cut" title=${params}>${params}</span>
    </div>
    ${open && html`<${SubRunSteps} address=${own} chosen=${inside === id ? picked : null} onChoose=${(step) => onChoose(step, id)} />`}
  </li>`;
}

function SubRunSteps({ address, chosen, onChoose }) {
  const loaded = useLoad(pathOf(address), {}, (change) => change.kind === "run" && concernsRun(address, change));
  return html`<${Loaded} from=${loaded} what="steps">${({ dagRunDetails }) => html`<${StepList} address=${address} run=${dagRunDetails} chosen=${chosen} inside=${null} onChoose=${onChoose} />`}<//>`;
}
