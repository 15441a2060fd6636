// Queues page: active and queued runs with their wait reasons.

import { html, useState } from "../vendor/core.js";
import { post, put, remove } from "../lib/api.js";
import { matching } from "../lib/filter-text.js";
import { plural, short } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { href } from "../lib/router.js";
import { dequeue } from "../lib/run-actions.js";
import { causeOf, pageOf, sharedCause } from "../lib/runs.js";
import { may } from "../lib/session.js";
import { RUN } from "../lib/status.js";
import { useTitle } from "../lib/title.js";
import { ActionButton, Empty, Icon, StatusIcon, Table, Time, Truncated, whenLoaded } from "../parts/basic.js";
import { FilterBox, NoMatch, useFilter } from "../parts/filterbox.js";
import { Confirm, FormDialog } from "../parts/form.js";
import { Menu, SplitButton } from "../parts/menu.js";
import { attempt, notify } from "../parts/notice.js";
import { dragProps, moveItems, rowId } from "../parts/reorder.js";

const HOUR = 3_600_000; // milliseconds
const ENDS = [["", "it is ended here"], ["1", "in an hour"], ["4", "in 4 hours"], ["12", "in 12 hours"],
  ["24", "in a day"]];
/** @type {Concerns} */
const concerns = (change) => change.kind === "queue" || (change.kind === "run" && !change.root);

/** @type {import("../../types/ui").FilterKeys} */
const KEYS = { "": { param: "name", hint: "part of the name of a queue or of a DAG in it" } };

/** @param {Api.Queue} queue */
const textsOf = ({ name, running, queued }) => ({ name: [name, ...[...running, ...queued].map((run) => run.name)] });

export default function Queues() {
  useTitle("Queues");
  const filter = useFilter(KEYS);
  const loaded = useApi("queues", {}, concerns);
  return html`<div class="row"><h1>Queues</h1><span class="grow"></span>
    <${Everything} reload=${loaded.reload} /></div>
    <${FilterBox} label="Filter queues" filter=${filter} />
    ${whenLoaded(loaded, "queues", ({ queues: all, summary }) => {
      const queues = matching(all, filter.params, textsOf);
      return html`<p class="faint">${plural(summary.totalRunning, "run")} active, ${summary.totalQueued} queued</p>
      ${queues.filter((queue) => !isPlain(queue)).map((queue) => html`<${Queue} key=${queue.name} queue=${queue}
        reload=${loaded.reload} />`)}
      <${Plain} queues=${queues.filter(isPlain)} reload=${loaded.reload} />
      ${!queues.length && all.length > 0 && html`<${NoMatch} filter=${filter} what="queue" />`}
      ${!all.length && html`<${Empty} title="No run is active or queued">
        <p>Active and queued runs appear here. Their number is limited by <code>queues</code> in <code>
            dagbook.yaml</code> and by <code>maxActiveRuns</code> in a DAG.</p><//>`}`;
    })}`;
}

/** Pause everything, or end that pause. @param {{ reload: Reload }} props */
function Everything({ reload }) {
  const [asks, setAsks] = useState(false);
  const { data, reload: look } = useApi("pause", {}, (change) => change.kind === "queue" && !change.queue);
  if (!data) return null;
  const pause = async (/** @type {Fields} */ { reason, hours }) => {
    const until = hours ? new Date(Date.now() + Number(hours) * HOUR).toISOString() : null;
    await put("pause", { reason, until });
    await Promise.all([look(), reload()]);
  };
  const end = () => attempt(async () => {
    notify(endText(await remove("pause")));
    await Promise.all([look(), reload()]);
  });
  return html`<${ActionButton} right="admin" class=${data.paused ? "primary" : ""}
      onClick=${data.paused ? end : () => setAsks(true)}>
      ${data.paused ? "End the pause of everything" : "Pause everything…"}<//>
    ${asks && html`<${FormDialog} title="Pause everything" action="Pause" onClose=${() => setAsks(false)}
      onSave=${pause}>
      <p>Active runs go on to their ends. What is started meanwhile waits in its queue, and no schedule starts.</p>
      <label>Reason<input name="reason" required minlength="3" maxlength="500" /></label>
      <label>Until<select name="hours">${ENDS.map(([hours, word]) => html`<option key=${hours} value=${hours}>${word}
        </option>`)}</select></label><//>`}`;
}

/** Which starts a pause has skipped. @param {Api.EndedPause} ended */
function endText({ skippedStarts, skipped }) {
  if (!skippedStarts) return "The pause has ended.";
  const names = Object.entries(skipped).map(([name, count]) => `${name} (${count})`).join(", ");
  const starts = `${plural(skippedStarts, "start")}: ${names}`;
  return `The pause has ended. It has skipped ${starts}. The page Schedule of a DAG runs them.`;
}

/** Whether a queue is only the limit of a DAG, and no run waits in it. @param {Api.Queue} queue */
const isPlain = ({ type, queued, paused }) => type !== "global" && !queued.length && !paused;

/** Pause or resume a queue. @param {Api.Queue} queue @param {Reload} reload */
const toggle = ({ name, paused }, reload) =>
  attempt(() => (paused ? post(["queues", name, "resume"]) : post(["queues", name, "pause"])).then(reload),
    `Queue ${name} is ${paused ? "resumed" : "paused"}.`);

/** @param {{ queue: Api.Queue, reload: Reload }} props */
function Queue({ queue, reload }) {
  const [asked, setAsked] = useState(false);
  const { name, paused, running, queued } = queue;
  const limit = queue.maxConcurrency ?? 0;
  const own = paused && { ...paused, reason: /** @type {const} */ ("paused"), queue: name, pauseReason: paused.reason };
  const reason = own ? causeOf(own) : sharedCause(queued);
  const clear = { title: "Clear the queue…", hint: "Remove all queued runs", danger: true,
    onChoose: () => setAsked(true), disabled: !queued.length && "No run is queued" };
  return html`<section class="card queue" aria-label=${`Queue ${name}`}>
    <div class="row">
      <h2 class="wide-text">${name}</h2>
      <span class="faint">
        ${limit ? `${running.length} of ${limit} active` : `${plural(running.length, "run")} active`},
        ${" "}${queued.length} queued</span>
      ${limit > 0 && html`<meter min="0" max=${limit} value=${running.length}
        aria-label=${`Active runs of ${name}`}></meter>`}
      <span class="grow"></span>
      ${may("run") && html`<${SplitButton} title=${paused ? "Resume" : "Pause"} label=${`More actions of queue ${name}`}
        onChoose=${() => toggle(queue, reload)} items=${[clear]} />`}
    </div>
    ${running.length > 0 && html`<ul class="plain">${running.map((run) => html`<${Active} key=${run.dagRunId}
      run=${run} />`)}</ul>`}
    ${reason && html`<p class="reason wait"><${Icon} name="wait" /><span>${reason}</span></p>`}
    ${queued.length > 0 && html`<${Waiting} queue=${queue} reason=${reason} reload=${reload} />`}
    ${asked && html`<${Confirm} title=${`Clear queue ${name}?`} action="Remove all" typed=${name}
      onClose=${() => setAsked(false)} onConfirm=${() => post(["queues", name, "clear"], { name }).then(reload)}>
      <p>${plural(queued.length, "queued run")} will not start. Active runs continue.</p><//>`}
  </section>`;
}

/** @param {{ run: RunSummary }} props */
function Active({ run }) {
  return html`<li><${StatusIcon} of=${run.status} waiting=${run.waitingForApproval} />${" "}
    <a href=${href(pageOf({ name: run.name, runId: run.dagRunId }))}>${run.name}
    </a> <code class="faint nowrap" title=${run.dagRunId}>${short(run.dagRunId)}
    </code> <span class="faint">started <${Time} at=${run.startedAt || run.queuedAt} /></span>
    ${run.waitingForApproval && html` <span class="wait">waits for approval, and is active meanwhile</span>`}</li>`;
}

/** The DAGs whose active runs do not wait for each other. @param {{ queues: Api.Queue[], reload: Reload }} props */
function Plain({ queues, reload }) {
  if (!queues.length) return null;
  return html`<h2>DAGs of which no run is queued</h2>
    <${Table} class="list" heads=${["DAG", "Active", "Started", "-Actions"]}>
    ${queues.map((queue) => html`<tr key=${queue.name}>
      <td class="whole"><a class="wide-text" href=${href("/dag-runs", { name: queue.name, status: RUN.RUNNING })}>
        ${queue.name}</a></td>
      <td data-label="active">${queue.running.length}${queue.maxConcurrency ? ` of ${queue.maxConcurrency}` : ""}</td>
      <td data-label="started"><${Time} at=${queue.running[0]?.startedAt} /></td>
      <td class="actions">${may("run") && html`<${Menu} label=${`Actions of queue ${queue.name}`}
        items=${[{ title: "Pause", hint: "No run of it starts", onChoose: () => toggle(queue, reload) }]} />`}</td>
      </tr>`)}<//>`;
}

/** Queued runs; `reason` is said above them. @param {{ queue: Api.Queue, reason: string, reload: Reload }} props */
function Waiting({ queue, reason, reload }) {
  const prioritized = queue.queued.some((run) => run.waitingFor?.priority);
  const heads = ["#Position", "DAG", "Queued", "Why", prioritized && "#Priority", "-Actions"];
  return html`<${Table} class="list" heads=${heads}>
    ${queue.queued.map((run, index) => html`<${Queued} key=${run.dagRunId} run=${run} index=${index}
      queue=${queue} reload=${reload} reason=${reason} prioritized=${prioritized} />`)}<//>`;
}

/**
 * @param {{ run: RunSummary, index: number, queue: Api.Queue, reload: Reload, reason: string,
 *   prioritized: boolean }} props
 */
function Queued({ run, index, queue, reload, reason, prioritized }) {
  const { waitingFor: waits } = run;
  const address = { name: run.name, runId: run.dagRunId };
  const cause = waits ? causeOf(waits) : "";
  const items = [
    ...moveItems(queue, index, reload),
    { title: "Remove from the queue", danger: true,
      onChoose: () => attempt(() => dequeue(address).then(reload), "Removed from the queue.") },
  ];
  return html`<tr id=${waits && rowId(waits.item)} ...${dragProps(queue, index, reload)}>
    <td data-label="position" class="number">${waits?.position ?? index + 1}</td>
    <td><a class="wide-text" href=${href(pageOf(address))}>
      ${run.name}</a> <code class="faint nowrap" title=${run.dagRunId}>${short(run.dagRunId)}</code></td>
    <td data-label="queued"><${Time} at=${run.queuedAt} /></td>
    <td class="about">${cause !== reason && waits?.reason !== "paused" && html`<${Truncated} text=${cause} />`}</td>
    ${prioritized && html`<td data-label="priority" class="number">${waits?.priority ?? 0}</td>`}
    <td class="actions">${(run.mayStart ?? may("run")) && html`<${Menu}
      label=${`Actions of ${run.name} at position ${index + 1}`}
      items=${items} />`}</td></tr>`;
}
