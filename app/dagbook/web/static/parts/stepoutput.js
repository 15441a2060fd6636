// Output of the selected step of a run: its status and actions, and its log.

import { html, useState } from "../vendor/core.js";
import { durationText } from "../lib/durations.js";
import { instant, plural, short } from "../lib/format.js";
import { stepsOf } from "../lib/graph.js";
import { href, query, setQuery } from "../lib/router.js";
import { calledBy, concernsRun, failedFirst, nodesOf, pageOf, pathOf, reasonOf } from "../lib/runs.js";
import { NODE, isActive, isNodeActive } from "../lib/status.js";
import { ApprovalCard } from "./approval.js";
import { Empty, Loading, Status, Truncated } from "./basic.js";
import { LogView } from "./logview.js";
import { StepActions } from "./runactions.js";
import { useSubRuns } from "./steplist.js";

/**
 * The output of a step; `root` is the address of the page, which hears of changes.
 * @param {{ address: RunAddress, root: RunAddress, step: string, run: Run, reload: Reload }} props
 */
export function StepOutput({ address, root, step, run, reload }) {
  const node = nodesOf(run).find((one) => one.step.name === step);
  if (!node) return html`<section class="run-right" aria-label="Step">
    <${Empty} title="No such step">This run has no step <code>${step}</code>. Choose one from the list.<//></section>`;
  const isCall = calledBy(node).length > 0;
  const stream = query.value.get("stream") ?? firstStream(node);
  const path = [...pathOf(address), "steps", step, "log"];
  return html`<section class="run-right" aria-label=${`Step ${step}`}>
    <div class="row step-head">
      <h2 class="wide-text">${step}</h2>
      <${Status} of=${node.status} node waiting=${Boolean(node.waiting)} />
      ${node.retryCount > 0 && html`<span class="faint">${plural(node.retryCount, "retry", "retries")}</span>`}
      <span class="grow"></span>
      <button type="button" onClick=${() => setQuery({ output: "all" })}>Show all output</button>
      <${StepActions} address=${address} run=${run} node=${node} reload=${reload} steps=${stepsOf(run.nodes)} />
    </div>
    ${node.step.description && html`<p class="faint step-about">${node.step.description}</p>`}
    ${node.waiting && html`<${ApprovalCard} address=${address} step=${step} waiting=${node.waiting}
      reload=${reload} />`}
    ${node.error && !isShown(run, node) && html`<${StepError} text=${node.error}
      tone=${node.status === NODE.FAILED ? "bad" : "off"} />`}
    ${!instant(node.startedAt) ? html`<${NotRun} node=${node} run=${run} />` : html`<${LogView}
      key=${isCall ? stream : ""} path=${path} run=${pathOf(address)} step=${step} stream=${stream}
      onStream=${(/** @type {Stream} */ name) => setQuery({ stream: name })}
      active=${isNodeActive(node.status)} concerns=${(/** @type {Change} */ change) => concernsRun(root, change)}
      atError=${node.status === NODE.FAILED && !isCall}
      blank=${isCall && html`<${SubRunTable} address=${address} called=${calledBy(node)} />`} />`}
  </section>`;
}

/**
 * The stream to open: stderr of a failed step that wrote there. A failed call wrote its results to stdout, but which
 * of its sub-runs failed is in their table, which stands for its empty stderr.
 * @param {Api.Node} node
 * @returns {Stream}
 */
function firstStream(node) {
  if (node.status !== NODE.FAILED) return "stdout";
  return calledBy(node).length > 0 || node.error?.includes("stderr") ? "stderr" : "stdout";
}

/**
 * Whether the error of a step shows already: its first line in the head of the page, the others in the log.
 * @param {Run} run
 * @param {Api.Node} node
 */
function isShown(run, node) {
  const [first, ...rest] = (node.error ?? "").split("\n");
  const { step, text } = reasonOf(run) ?? {};
  return step === node.step.name && text?.startsWith(first) && (!rest.length || rest[0].startsWith("last of stderr"));
}

/**
 * The first line of the error is shown; the others, mostly also in the log below, expand.
 * @param {{ text: string, tone: string }} props
 */
function StepError({ text, tone }) {
  const [first, ...rest] = text.trim().split("\n");
  if (!rest.length && first.length < 160) return html`<p class=${`step-error wide-text ${tone}`}>${first}</p>`;
  return html`<details class=${`step-error ${tone}`}><summary>${first.slice(0, 160)}</summary>
    <pre>${rest.length ? rest.join("\n") : text}</pre></details>`;
}

/** @param {{ node: Api.Node, run: Run }} props */
function NotRun({ node, run }) {
  if (node.status === NODE.NOT_STARTED && isActive(run.status)) return html`<${Empty} title="Not started yet">
    The output appears here as soon as the step runs.<//>`;
  const reason = node.status === NODE.NOT_STARTED && run.error;
  return html`<${Empty} title="This step did not run">
    ${reason ? html`It did not run, because <span class="wide-text">${reason}</span>`
      : node.status === NODE.NOT_STARTED ? "The run ended before it."
      : "A step that it depends on did not succeed, or a precondition was not met."}
  <//>`;
}

const SHOWN = 100; // sub-runs

/**
 * The sub-runs of a step, the failed ones first.
 * @param {{ address: RunAddress, called: Api.SubDAGRun[] }} props
 */
function SubRunTable({ address, called }) {
  const known = useSubRuns(address);
  const [most, setMost] = useState(SHOWN);
  if (!known) return html`<${Loading} what="the sub-runs" />`; // with their statuses the rows take another order
  return html`<div class="scroll sub-runs"><table class="stack" aria-label="Sub-runs of the step">
    <thead><tr><th>Sub-run</th><th>Status</th><th class="number">Duration</th><th>Parameters or error</th></tr></thead>
    <tbody>${failedFirst(called, known).slice(0, most).map(({ dagRunId, params }) => html`<${SubRunRow} key=${dagRunId}
      page=${href(pageOf({ ...address, subRunId: dagRunId }))} id=${dagRunId} params=${params}
      sub=${known.get(dagRunId)} />`)}</tbody></table>
    ${called.length > most && html`<button type="button" onClick=${() => setMost(most + 500)}>
      Show ${Math.min(500, called.length - most)} more</button>`}</div>`;
}

/** @param {{ page: string, id: string, params?: string, sub?: Api.SubDAGRunDetail }} props */
function SubRunRow({ page, id, params, sub }) {
  const about = sub?.error ?? params;
  return html`<tr><td><a href=${page} title=${id}>${short(id)}</a></td>
    <td>${sub && html`<${Status} of=${sub.status} />`}</td>
    <td class="number" data-label="duration">${sub && !isActive(sub.status) && durationText(sub)}</td>
    <td class="about">${about && html`<${Truncated} text=${about} />`}</td></tr>`;
}
