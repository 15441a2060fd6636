// Queues page: active and queued runs with their wait reasons.

import { html, useState } from "../vendor/core.js";
import { patch, post } from "../lib/api.js";
import { plural, short } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { href } from "../lib/router.js";
import { dequeue } from "../lib/run-actions.js";
import { pageOf } from "../lib/runs.js";
import { useTitle } from "../lib/title.js";
import { waitText } from "../lib/wait-text.js";
import { ActionButton, Confirm, Empty, whenLoaded, Time } from "../parts/basic.js";
import { attempt } from "../parts/notice.js";
import { dragProps, MoveButtons } from "../parts/reorder.js";

/** @type {Concerns} */
const concerns = (change) => change.kind === "queue" || (change.kind === "run" && !change.root);

export default function Queues() {
  useTitle("Queues");
  const loaded = useApi("queues", {}, concerns);
  return html`<div class="row"><h1>Queues</h1><span class="grow"></span>
    <${All} queues=${loaded.data?.queues ?? []} reload=${loaded.reload} /></div>
    ${whenLoaded(loaded, "queues", ({ queues, summary }) => html`
      <p class="faint">${plural(summary.totalRunning, "run")} active, ${summary.totalQueued} queued</p>
      ${queues.length ? queues.map((queue) => html`<${Queue} key=${queue.name} queue=${queue}
        reload=${loaded.reload} />`) : html`<${Empty} title="No run is active or queued">
        <p>Active and queued runs appear here. Their number is limited by <code>queues</code> in <code>
            dagbook.yaml</code> and by <code>maxActiveRuns</code> in a DAG.</p><//>`}`)}`;
}

/**
 * Pause or resume all displayed queues at once, for maintenance.
 * @param {{ queues: Api.Queue[], reload: Reload }} props
 */
function All({ queues, reload }) {
  if (queues.length < 2) return null;
  const going = queues.filter(({ paused }) => !paused);
  const pausing = going.length > 0;
  const those = pausing ? going : queues;
  const turn = async () => {
    for (const { name } of those) await (pausing ? post(["queues", name, "pause"]) : post(["queues", name, "resume"]));
    await reload();
  };
  const done = `${plural(those.length, "queue")} ${pausing ? "paused" : "resumed"}.`;
  return html`<${ActionButton} right="run" onClick=${() => attempt(turn, done)}>
    ${pausing ? "Pause all queues" : "Resume all queues"}
  <//>`;
}

/** @param {{ queue: Api.Queue, reload: Reload }} props */
function Queue({ queue, reload }) {
  const [asked, setAsked] = useState(false);
  const path = /** @type {const} */ (["queues", queue.name]);
  const toggle = () =>
    attempt(
      () => (queue.paused ? post([...path, "resume"]) : post([...path, "pause"])).then(reload),
      queue.paused ? `Queue ${queue.name} is resumed.` : `Queue ${queue.name} is paused.`,
    );
  const limit = queue.maxConcurrency ?? 0;
  return html`<section class="card queue" aria-label=${`Queue ${queue.name}`}>
    <div class="row">
      <h2 class="wide-text">${queue.name}</h2>
      <span class="tag">${queue.type === "global" ? "shared" : "of one DAG"}</span>
      ${queue.paused && html`<span class="wait">paused <${Time} at=${queue.paused.since} />
        ${queue.paused.by && ` by ${queue.paused.by}`}</span>`}
      <span class="grow"></span>
      <${ActionButton} right="run" onClick=${toggle}>${queue.paused ? "Resume" : "Pause"}<//>
      ${queue.queued.length > 0 && html`<${ActionButton} right="run" class="danger" onClick=${() => setAsked(true)}>
        Clear<//>`}
    </div>
    <div class="row">
      <span>
        ${limit ? `${queue.running.length} of ${limit} active` : `${plural(queue.running.length, "run")} active`}</span>
      ${limit > 0 && html`<meter min="0" max=${limit} value=${queue.running.length}
        aria-label=${`Active runs of ${queue.name}`}></meter>`}</div>
    ${queue.running.length > 0 && html`<ul class="plain">
      ${queue.running.map((run) => html`<li key=${run.dagRunId}>
        <a href=${href(pageOf({ name: run.name, runId: run.dagRunId }))}>${run.name}
        </a> <code class="faint nowrap" title=${run.dagRunId}>${short(run.dagRunId)}
        </code> <span class="faint">started <${Time} at=${run.startedAt || run.queuedAt} /></span></li>`)}
        </ul>`}
    ${queue.queued.length > 0 && html`<div class="scroll">
      <table class="stack">
        <thead>
          <tr><th class="number">Position</th><th>DAG</th><th>Queued</th><th>Waits because</th>
            <th class="number">Priority</th>
            <th><span class="visually-hidden">Actions</span></th></tr></thead>
      <tbody>
        ${queue.queued.map((run, index) => html`<${Waiting} key=${run.dagRunId} run=${run} index=${index} queue=${queue}
          reload=${reload} />`)}</tbody></table></div>`}
    ${asked && html`<${Confirm} title=${`Clear queue ${queue.name}?`} action="Remove all" typed=${queue.name}
      onClose=${() => setAsked(false)} onConfirm=${() => post([...path, "clear"], { name: queue.name }).then(reload)}>
      <p>${plural(queue.queued.length, "queued run")} will not start. Active runs continue.</p><//>`}
  </section>`;
}

/** @param {{ run: RunSummary, index: number, queue: Api.Queue, reload: Reload }} props */
function Waiting({ run, index, queue, reload }) {
  const waits = run.waitingFor;
  const address = { name: run.name, runId: run.dagRunId };
  const toFront = () =>
    attempt(() => patch(["queues", queue.name, "items", String(waits?.item)], { toFront: true }).then(reload));
  return html`<tr ...${dragProps(queue, index, reload)}>
    <td data-label="position" class="number">${waits?.position ?? index + 1}</td>
    <td><a class="wide-text" href=${href(pageOf(address))}>
      ${run.name}</a> <code class="faint nowrap" title=${run.dagRunId}>${short(run.dagRunId)}</code></td>
    <td data-label="queued"><${Time} at=${run.queuedAt} /></td>
    <td class="whole">${waits && html`<span title=${waits.message}>${waitText(waits)}</span>`}</td>
    <td data-label="priority" class="number">${waits?.priority ?? 0}</td>
    <td class="actions">
      <${MoveButtons} queue=${queue} index=${index} reload=${reload} />
      ${waits && html`<${ActionButton} right="run" aria-label=${`Move ${run.name} to the front`} disabled=${index === 0}
        onClick=${toFront}>Move to the front<//>`}
      <${ActionButton} right="run" class="danger" aria-label=${`Remove ${run.name} from the queue`}
        onClick=${() => attempt(() => dequeue(address).then(reload), "Removed from the queue.")}>Remove<//>
    </td>
  </tr>`;
}
