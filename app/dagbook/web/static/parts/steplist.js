// List of a run's steps in order: status, duration bar and attempts; sub-runs of a step expand in place.

import { html, useState } from "../vendor/core.js";
import { duration, instant, plural, short } from "../lib/format.js";
import { tally } from "../lib/graph.js";
import { useApi } from "../lib/use-api.js";
import { useNow } from "../lib/use-now.js";
import { href } from "../lib/router.js";
import { calledBy, concernsRun, failedFirst, firstFailed, nodesOf, pageOf, pathOf } from "../lib/runs.js";
import { secondsOf, spanOf } from "../lib/durations.js";
import { NODE, isActive, lookOf, runStatus } from "../lib/status.js";
import { arrowNavigation } from "../lib/arrow-nav.js";
import { whenLoaded, Status } from "./basic.js";
import { Icon } from "./icon.js";

const walkSteps = arrowNavigation(".step-name");
/** @typedef {(step: string, subRun?: string | null) => void} OnChoose */
/** @typedef {{ from: number, length: number }} Whole the run on the axis of its steps, in milliseconds */

const SHOWN = 50; // sub-runs of a step, until the user asks for more

/**
 * `inside` is the id of the run that the chosen step is in.
 * @param {{ address: RunAddress, run: Run, chosen?: string | null, inside: string, onChoose: OnChoose }} props
 */
export function StepList({ address, run, chosen, inside, onChoose }) {
  const now = useNow(1, isActive(run.status));
  const nodes = nodesOf(run);
  const called = nodes.some((node) => node.subRuns?.length);
  const known = useSubRuns(called ? address : null) ?? new Map();
  return html`<ol class=${called ? "steps" : "steps flat"} onKeyDown=${walkSteps}>
    ${nodes.map((node) => html`<${StepRow} key=${node.step.name} address=${address} node=${node}
      whole=${wholeOf(run, now)} now=${now} known=${known}
      chosen=${inside === run.dagRunId && node.step.name === chosen} inside=${inside} picked=${chosen}
      onChoose=${onChoose} />`)}
  </ol>`;
}

/**
 * The runs that the steps of a run called, by id; null until they are loaded, or without an address.
 * @param {RunAddress | null} address
 * @returns {Map<string, Api.SubDAGRunDetail> | null}
 */
export function useSubRuns(address) {
  const path = address && /** @type {const} */ ([...pathOf({ ...address, subRunId: null }), "sub-dag-runs"]);
  const loaded = useApi(path, { parentSubDAGRunId: address?.subRunId }, (change) => address !== null
    && change.kind === "run" && concernsRun(address, change));
  if (!loaded.data && !loaded.error) return null;
  return new Map((loaded.data?.subRuns ?? []).map((sub) => [sub.dagRunId, sub]));
}

/**
 * The span of the run's attempt; steps that kept the result of an earlier attempt ran before it.
 * @param {Run} run
 * @param {number} now
 */
function wholeOf(run, now) {
  const span = spanOf(run, now);
  return span && { from: span.from, length: Math.max(1, span.to - span.from) };
}

/**
 * @param {{ address: RunAddress, node: Api.Node, whole: Whole | null, now: number,
 *   known: Map<string, Api.SubDAGRunDetail>, chosen: boolean, inside: string, picked?: string | null,
 *   onChoose: OnChoose }} props
 */
function StepRow({ address, node, whole, now, known, chosen, inside, picked, onChoose }) {
  const seconds = secondsOf(node, now);
  const note = noteOf(node);
  const called = calledBy(node);
  const [open, setOpen] = useState(
    called.length > 0 && (node.status === NODE.FAILED || called.some(({ dagRunId }) => dagRunId === inside)),
  );
  return html`<li>
    <div class=${chosen ? "step chosen" : "step"}>
      ${called.length
        ? html`<button type="button" class="quiet" aria-expanded=${open}
          aria-label=${`Sub-runs of ${node.step.name}`} onClick=${() => setOpen(!open)}>
          <${Icon} name=${open ? "shut" : "open"} /></button>`
        : html`<span></span>`}
      <div class="step-title"><button type="button" class="step-name quiet" aria-current=${chosen ? "true" : null}
        onClick=${() => onChoose(node.step.name)}>${node.step.name}</button>${note && html`<small
          title=${note}>${note}</small>`}</div>
      <${Status} of=${node.status} node waiting=${Boolean(node.waiting)} />
      <${Bar} node=${node} whole=${whole} now=${now} />
      <span class="number">${seconds === null ? "" : duration(seconds)}</span>
    </div>
    ${open && html`<${Called} address=${address} called=${called} known=${known} inside=${inside} picked=${picked}
      onChoose=${onChoose} />`}
  </li>`;
}

/**
 * What the status of a step does not say: how often it was retried, or why it did not run.
 * @param {Api.Node} node
 */
function noteOf({ status, retryCount, startedAt, error }) {
  if (retryCount) return plural(retryCount, "retry", "retries");
  return status !== NODE.FAILED && !instant(startedAt) ? (error ?? "").split("\n")[0] : "";
}

/**
 * The bar of a step within the run.
 * @param {{ node: Api.Node, whole: Whole | null, now: number }} props
 */
function Bar({ node, whole, now }) {
  const span = spanOf(node, now);
  const style = span &&
    whole &&
    span.to > whole.from - 1000 && {
      left: `${((span.from - whole.from) / whole.length) * 100}%`,
      width: `${((span.to - span.from) / whole.length) * 100}%`,
    };
  return html`<span class="step-bar" aria-hidden="true">
    ${style && html`<span class=${lookOf(node).tone} style=${style}></span>`}</span>`;
}

/**
 * The number of sub-runs in each status.
 * @param {Api.SubDAGRun[]} called
 * @param {Map<string, Api.SubDAGRunDetail>} known
 */
function sumUp(called, known) {
  const counts = tally(called.map(({ dagRunId }) => ({ status: known.get(dagRunId)?.status })));
  return counts
    .filter(([status]) => status !== undefined)
    .map(([status, count]) => `${count} ${runStatus(status).word}`)
    .join(", ");
}

/**
 * @param {{ address: RunAddress, called: Api.SubDAGRun[], known: Map<string, Api.SubDAGRunDetail>,
 *   inside: string, picked?: string | null, onChoose: OnChoose }} props
 */
function Called({ address, called, known, inside, picked, onChoose }) {
  const [most, setMost] = useState(SHOWN);
  const first = firstFailed(called, known)?.dagRunId;
  return html`<ol class="called">
    ${called.length > 1 && known.size > 0 && html`<li class="faint small">${plural(called.length, "sub-run")}
      : ${sumUp(called, known)}</li>`}
    ${failedFirst(called, known).slice(0, most).map(({ dagRunId, params }) => html`<${SubRun} key=${dagRunId}
      address=${address} id=${dagRunId} params=${params} sub=${known.get(dagRunId)}
      startOpen=${dagRunId === inside || dagRunId === first} inside=${inside} picked=${picked}
      onChoose=${onChoose} />`)}
    ${called.length > most && html`<li>
      <button type="button" onClick=${() => setMost(most + 500)}>
        Show ${Math.min(500, called.length - most)} more</button></li>`}
  </ol>`;
}

/**
 * @param {{ address: RunAddress, id: string, params?: string, sub?: Api.SubDAGRunDetail,
 *   startOpen: boolean, inside: string, picked?: string | null, onChoose: OnChoose }} props
 */
function SubRun({ address, id, params, sub, startOpen, inside, picked, onChoose }) {
  const [turned, setOpen] = useState(/** @type {boolean | null} */ (null)); // by hand
  const open = turned ?? startOpen;
  const own = { ...address, subRunId: id };
  return html`<li>
    <div class="step">
      <button type="button" class="quiet" aria-expanded=${open} aria-label=${`Steps of sub-run ${id}`}
        onClick=${() => setOpen(!open)}><${Icon} name=${open ? "shut" : "open"} /></button>
      <a href=${href(pageOf(own))} title=${id}>${short(id)}</a>
      ${sub && html`<${Status} of=${sub.status} />`}
      <span class="faint cut" title=${params}>${params}</span>
    </div>
    ${open && html`<${SubRunSteps} address=${own} picked=${picked} inside=${inside}
      onChoose=${(/** @type {string} */ step, below = id) => onChoose(step, below ?? id)} />`}
  </li>`;
}

/** @param {{ address: RunAddress, picked?: string | null, inside: string, onChoose: OnChoose }} props */
function SubRunSteps({ address, picked, inside, onChoose }) {
  const loaded = useApi(pathOf(address), {}, (change) => change.kind === "run" && concernsRun(address, change));
  return whenLoaded(loaded, "steps", ({ dagRunDetails }) => html`<${StepList} address=${address} run=${dagRunDetails}
    chosen=${picked} inside=${inside} onChoose=${onChoose} />`);
}
