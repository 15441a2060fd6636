// Output of the selected step of a run: its status and actions, and its log.

import { html } from "../vendor/core.js";
import { plural } from "../lib/format.js";
import { setQuery } from "../lib/router.js";
import { calledBy, lookOfNode, nodesOf, reasonOf } from "../lib/runs.js";
import { NODE, isActive, isNodeActive } from "../lib/status.js";
import { ApprovalCard } from "./approval.js";
import { Empty, StatusIcon } from "./basic.js";
import { FanOut } from "./fanout.js";
import { Output } from "./output.js";

/**
 * The output of a step; `root` is the address of the page, which hears of changes.
 * `known` are the runs that the run called, null until they are loaded, and undefined to load them.
 * @param {{ address: RunAddress, root: RunAddress, step: string, run: Run,
 *   known?: import("./steplist.js").Known | null, reload: Reload }} props
 */
export function StepOutput({ address, root, step, run, known, reload }) {
  const node = nodesOf(run).find((one) => one.step.name === step);
  if (!node) return html`<section class="run-right" aria-label="Step">
    <${Empty} title="No such step">This run has no step <code>${step}</code>. Choose one from the list.<//></section>`;
  const isCall = calledBy(node).length > 0;
  return html`<section class="run-right" aria-label=${`Step ${step}`}>
    <div class="row step-head">
      <h2 class="wide-text">${step}</h2>
      <${StatusIcon} look=${lookOfNode(node, !isActive(run.status))} />
      ${node.retryCount > 0 && html`<span class="faint">${plural(node.retryCount, "retry", "retries")}</span>`}
      <span class="grow"></span>
      <button type="button" onClick=${() => setQuery({ output: "all" })}>Show all output</button>
    </div>
    ${node.step.description && html`<p class="faint step-about">${node.step.description}</p>`}
    ${node.waiting && html`<${ApprovalCard} address=${address} step=${step} waiting=${node.waiting}
      reload=${reload} />`}
    ${node.error && !isShown(run, node) && html`<${StepError} text=${node.error}
      tone=${node.status === NODE.FAILED ? "bad" : "off"} />`}
    <${Output} address=${address} root=${root} step=${step} run=${run} active=${isNodeActive(node.status)}
      blank=${isCall && html`<${FanOut} address=${address} run=${run} node=${node} known=${known}
        reload=${reload} />`} />
  </section>`;
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
