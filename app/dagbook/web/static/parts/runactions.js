// Actions on a run and on its steps.

import { html, useState } from "../vendor/core.js";
import { go } from "../lib/router.js";
import { dequeue, reschedule, retry, retryFrom, setStatus, stop } from "../lib/run-actions.js";
import { pageOf } from "../lib/runs.js";
import { NODE, RUN, isOver, nodeStatus } from "../lib/status.js";
import { ActionButton, Confirm } from "./basic.js";

const EDITABLE = Object.values(NODE).filter((status) => status !== NODE.RUNNING);

/** @param {{ address: RunAddress, run: Run, reload: Reload }} props */
export function RunActions({ address, run, reload }) {
  const [asked, setAsked] = useState(/** @type {"stop" | "dequeue" | "retry" | "reschedule" | null} */ (null));
  const close = () => setAsked(null);
  if (address.subRunId) return null;
  return html`<span class="row">
    ${run.status === RUN.RUNNING && html`<${ActionButton} right="run" class="danger" onClick=${() => setAsked("stop")}>
      Stop<//>`}
    ${run.status === RUN.QUEUED && html`<${ActionButton} right="run" class="danger"
      onClick=${() => setAsked("dequeue")}>
      Remove from the queue<//>`}
    ${isOver(run.status) && html`<${ActionButton} right="run" class=${run.status === RUN.FAILED ? "primary" : ""}
      onClick=${() => setAsked("retry")}>Retry<//>`}
    ${isOver(run.status) && html`<${ActionButton} right="run" onClick=${() => setAsked("reschedule")}>Run again<//>`}
    ${asked === "stop" && html`<${Confirm} title="Stop this run?" action="Stop the run" onClose=${close}
      onConfirm=${() => stop(address).then(reload)}>
      <p>Running steps are stopped, and no other step starts. Handlers for aborted runs still run.</p><//>`}
    ${asked === "dequeue" && html`<${Confirm} title="Remove this run from the queue?" action="Remove"
      onClose=${close} onConfirm=${() => dequeue(address).then(reload)}>
      <p>It will not start, and its position in the queue is lost.</p><//>`}
    ${asked === "retry" && html`<${Confirm} title="Retry this run?" action="Retry" danger=${false} onClose=${close}
      onConfirm=${() => retry(address).then(reload)}>
      <p>Steps that failed, were aborted or did not run are run again, with the same parameters and the same
        definition. Steps that succeeded keep their results.</p><//>`}
    ${asked === "reschedule" && html`<${Confirm} title="Run this again?" action="Start a new run"
      danger=${false} onClose=${close}
      onConfirm=${async () => {
        const { dagRunId } = await reschedule(address);
        go(pageOf({ name: run.name, runId: dagRunId }));
      }}><p>A new run starts from the first step, with the same parameters.</p><//>`}
  </span>`;
}

/** @param {{ address: RunAddress, run: Run, node: Api.Node, reload: Reload, steps: GraphStep[] }} props */
export function StepActions({ address, run, node, reload, steps }) {
  const [asked, setAsked] = useState(/** @type {"one" | "from" | "status" | null} */ (null));
  const close = () => setAsked(null);
  const name = node.step.name;
  const isStep = steps.some((step) => step.name === name);
  if (!isOver(run.status)) return null;
  return html`<span class="row">
    ${isStep && !address.subRunId && html`<${ActionButton} right="run" onClick=${() => setAsked("one")}>Retry step<//>`}
    ${isStep && !address.subRunId && html`<${ActionButton} right="run" onClick=${() => setAsked("from")}>
      Retry from here<//>`}
    ${isStep && html`<${ActionButton} right="run" onClick=${() => setAsked("status")}>Edit status<//>`}
    ${asked === "one" && html`<${Confirm} title=${`Retry step ${name}?`} action="Retry the step" danger=${false}
      onClose=${close} onConfirm=${() => retry(address, name).then(reload)}>
      <p>Only this step runs again. Steps that depend on it keep their results.</p><//>`}
    ${asked === "from" && html`<${Confirm} title=${`Retry from step ${name}?`} action="Retry from here" danger=${false}
      onClose=${close} onConfirm=${() => retryFrom(address, steps, name).then(reload)}>
      <p>This step and all steps that depend on it run again, also those that succeeded. Their statuses are reset first,
        which the events of the run show.</p><//>`}
    ${asked === "status" && html`<${EditStatus} address=${address} node=${node} onClose=${close} reload=${reload} />`}
  </span>`;
}

/** @param {{ address: RunAddress, node: Api.Node, onClose: () => void, reload: Reload }} props */
function EditStatus({ address, node, onClose, reload }) {
  const [status, setChosen] = useState(node.status);
  const choose = (/** @type {SelectChange} */ event) =>
    setChosen(/** @type {Api.NodeStatus} */ (Number(event.target.value)));
  const save = async () => {
    await setStatus(address, node.step.name, status);
    await reload();
  };
  return html`<${Confirm} title=${`Edit the status of ${node.step.name}`} action="Save status" danger=${false}
    onClose=${onClose} onConfirm=${save}>
    <p>A retry runs the steps that did not succeed. The change is recorded with your name.</p>
    <label>
      Status<select value=${status}
        onChange=${choose}>
      ${EDITABLE.map((number) => html`<option key=${number} value=${number}>${nodeStatus(number).word}</option>`)}
    </select></label>
  <//>`;
}

