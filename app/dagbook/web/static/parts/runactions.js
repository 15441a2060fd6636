// Actions on a run and on its steps: one menu that explains each, and the dialogs that confirm them.

import { html, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { useApi } from "../lib/use-api.js";
import { go, href } from "../lib/router.js";
import { dequeue, retry, retryFrom, setStatus, stop } from "../lib/run-actions.js";
import { stepsOf } from "../lib/graph.js";
import { changedSteps, pageOf, pathOf } from "../lib/runs.js";
import { may } from "../lib/session.js";
import { NODE, RUN, isOver, nodeStatus } from "../lib/status.js";
import { ActionButton, Select } from "./basic.js";
import { Confirm } from "./form.js";
import { SplitButton } from "./menu.js";
import { RunAgainDialog } from "./startdialog.js";

const EDITABLE = Object.values(NODE).filter((status) => status !== NODE.RUNNING);

/** @typedef {"stop" | "dequeue" | "retry" | "one" | "from" | "again" | "same" | "status"} Asked */
/** @typedef {{ run: Run, current: number | null }} Revisions `current` is the newest one, null if it is not known */

/** `step` is the chosen one. @param {{ address: RunAddress, run: Run, step?: string | null, reload: Reload }} props */
export function RunActions({ address, run, step, reload }) {
  const [asked, setAsked] = useState(/** @type {Asked | null} */ (null));
  const over = isOver(run.status);
  const isRoot = !address.subRunId;
  const current = useCurrentRevision(isRoot && over && may("run") ? run : null);
  if (!may("run")) return null;
  const node = run.nodes.find((one) => one.step.name === step);
  const items = itemsOf({ run, current, step: node?.step.name, ask: setAsked });
  return html`<span class="row">
    ${isRoot && run.status === RUN.RUNNING && html`<${ActionButton} class="danger" onClick=${() => setAsked("stop")}>
      Stop<//>`}
    ${isRoot && run.status === RUN.QUEUED && html`<${ActionButton} class="danger" onClick=${() => setAsked("dequeue")}>
      Remove from the queue<//>`}
    ${isRoot && over && html`<${SplitButton} title="Retry" onChoose=${() => setAsked("retry")} items=${items}
      label="Other ways to run again" primary=${run.status === RUN.FAILED} />`}
    ${!isRoot && over && node && html`<${ActionButton} onClick=${() => setAsked("status")}>Edit status<//>`}
    ${asked && html`<${Dialogs} asked=${asked} address=${address} run=${run} current=${current} node=${node}
      reload=${reload} onClose=${() => setAsked(null)} />`}
  </span>`;
}

/** The newest revision of a run's DAG; null without a run, until known, or if it is gone. @param {Run | null} run */
function useCurrentRevision(run) {
  const path = run?.revision ? /** @type {const} */ (["dags", run.name, "revisions"]) : null;
  const { data } = useApi(path, { perPage: 1 });
  return data?.revisions[0]?.number ?? null;
}

/**
 * @param {{ run: Run, current: number | null, step?: string, ask: (what: Asked) => void }} props
 * @returns {import("../../types/ui").MaybeItem[]}
 */
function itemsOf({ run, current, step, ask }) {
  const own = run.revision ? `revision ${run.revision}` : "the same definition";
  const missing = step ? null : "Choose a step of this run first.";
  const at = step ?? "a step";
  return [
    { title: "Retry", hint: `The steps that did not succeed run again, with ${own} and the same parameters.`,
      onChoose: () => ask("retry") },
    { title: `Retry from ${at}`, hint: `That step and all that depend on it, also those that succeeded; ${own}.`,
      disabled: missing, onChoose: () => ask("from") },
    { title: `Retry only ${at}`, hint: `No other step runs, and those that depend on it keep their results; ${own}.`,
      disabled: missing, onChoose: () => ask("one") },
    current !== null && { title: "Run again", hint: `A new run of revision ${current}${
      current === run.revision ? "" : ", the current one"}. Its parameters are filled in and can be changed.`,
      onChoose: () => ask("again") },
    current !== run.revision && { title: "Run again as it was", hint: `A new run with ${own} and the same parameters.`,
      onChoose: () => ask("same") },
    { title: `Edit status of ${at}`, hint: "Nothing runs: it decides which steps a later retry runs.",
      disabled: missing, onChoose: () => ask("status") },
  ];
}

/**
 * @param {{ asked: Asked, address: RunAddress, run: Run, current: number | null, node?: Api.Node,
 *   reload: Reload, onClose: () => void }} props
 */
function Dialogs({ asked, address, run, current, node, reload, onClose }) {
  const name = node?.step.name ?? "";
  const changed = html`<${Changed} run=${run} current=${current} />`;
  if (asked === "again") return html`<${RunAgainDialog} run=${run} onClose=${onClose} />`;
  if (asked === "status" && node) return html`<${EditStatus} address=${address} node=${node} onClose=${onClose}
    reload=${reload} />`;
  if (asked === "stop") return html`<${Confirm} title="Stop this run?" action="Stop the run" onClose=${onClose}
    onConfirm=${() => stop(address).then(reload)}>
    <p>Running steps are stopped, and no other step starts. Handlers for aborted runs still run.</p><//>`;
  if (asked === "dequeue") return html`<${Confirm} title="Remove this run from the queue?" action="Remove"
    onClose=${onClose} onConfirm=${() => dequeue(address).then(reload)}>
    <p>It will not start, and its position in the queue is lost.</p><//>`;
  if (asked === "retry") return html`<${Confirm} title="Retry this run?" action="Retry" danger=${false}
    onClose=${onClose} onConfirm=${() => retry(address).then(reload)}>
    <p>Steps that failed, were aborted or did not run are run again, with the same parameters and the same
      definition. Steps that succeeded keep their results.</p>${changed}<//>`;
  if (asked === "one") return html`<${Confirm} title=${`Retry step ${name}?`} action="Retry the step" danger=${false}
    onClose=${onClose} onConfirm=${() => retry(address, name).then(reload)}>
    <p>Only this step runs again. Steps that depend on it keep their results.</p>${changed}<//>`;
  if (asked === "from") return html`<${Confirm} title=${`Retry from step ${name}?`} action="Retry from here"
    danger=${false} onClose=${onClose} onConfirm=${() => retryFrom(address, stepsOf(run.nodes), name).then(reload)}>
    <p>This step and all steps that depend on it run again, also those that succeeded. Their statuses are reset first,
      which the events of the run show.</p>${changed}<//>`;
  return html`<${Confirm} title="Run this again as it was?" action="Start a new run" danger=${false} onClose=${onClose}
    onConfirm=${async () => {
      const { dagRunId } = await post([...pathOf(address), "reschedule"], {});
      go(pageOf({ name: run.name, runId: dagRunId }));
    }}><p>A new run starts from the first step, with the same parameters and the same definition.</p>${changed}<//>`;
}

/** What has changed in the definition since the run, of which a retry does not know. @param {Revisions} props */
function Changed({ run, current }) {
  const differs = current !== null && current !== run.revision;
  const { data } = useApi(differs ? ["dags", run.name] : null);
  if (!differs) return null;
  const names = data?.dag ? changedSteps(run.nodes.map(({ step }) => step), data.dag.steps) : [];
  const which = names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more steps`
    : names.join(", ");
  return html`<p class="wait">This run has revision ${run.revision}; <a target="_blank"
    href=${href(["dags", run.name, "revisions"], { number: current })}>the current one is ${current}</a>${
    which && `, which changes ${which}`}. <em>Run again</em> uses that one.</p>`;
}

/** @param {{ address: RunAddress, node: Api.Node, onClose: () => void, reload: Reload }} props */
function EditStatus({ address, node, onClose, reload }) {
  const [status, setChosen] = useState(node.status);
  return html`<${Confirm} title=${`Edit the status of ${node.step.name}`} action="Save status" danger=${false}
    onClose=${onClose} onConfirm=${() => setStatus(address, node.step.name, status).then(reload)}>
    <p>A retry runs the steps that did not succeed. The change is recorded with your name.</p>
    <label>Status<${Select} value=${status} options=${EDITABLE.map((number) => [number, nodeStatus(number).word])}
        onSet=${(/** @type {string} */ value) => setChosen(/** @type {Api.NodeStatus} */ (Number(value)))} /></label>
  <//>`;
}
