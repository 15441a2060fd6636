// Servers, schedulers, and workers on other machines with their active runs.

import { html, useState } from "../vendor/core.js";
import { useApi, useReady } from "../lib/use-api.js";
import { href } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { useTitle } from "../lib/title.js";
import { ActionButton, Empty, Icon, Loading, Table, Time, whenLoaded } from "../parts/basic.js";
import { BulkDialog } from "../parts/bulk.js";

/** @type {Record<string, [icon: string, tone: string]>} */
const SIGNS = { healthy: ["check", "good"], warning: ["wait", "wait"], unhealthy: ["cross", "bad"],
  active: ["check", "good"], inactive: ["square", "off"], unknown: ["unknown", "off"] };
/** @type {Concerns} */
const onRun = (change) => change.kind === "run";

/** @param {{ of: string }} props */
function Health({ of }) {
  const [icon, tone] = SIGNS[of] ?? SIGNS.unknown;
  return html`<span class=${tone}><span class="status-icon"><${Icon} name=${icon} /></span> ${of}</span>`;
}

export default function Workers() {
  useTitle("Workers");
  const workers = useApi("workers", {}, onRun);
  const schedulers = useApi("services/scheduler");
  const servers = useApi("services/coordinator");
  if (!useReady(workers, schedulers, servers)) return html`<h1>Workers</h1><${Loading} what="workers" />`;
  return html`<h1>Workers</h1>
    ${whenLoaded(workers, "workers", ({ workers: list, errors }) => html`
      ${errors.map((text) => html`<p class="bad" key=${text}>${text}</p>`)}
      ${list.length ? html`<div class="cards">
        ${list.map((worker) => html`<${Worker} key=${worker.id} worker=${worker} />`)}</div>`
        : html`<${Empty} title="No workers">
          <p>The servers execute all runs. To add another machine, run <code>
              dagbook worker --label NAME=VALUE</code> there; this needs PostgreSQL.</p><//>`}`)}
    ${whenLoaded(servers, "servers", ({ coordinators: list }) => list.length > 0 && html`<h2>Servers</h2><${Instances}
      list=${list} executes />`)}
    <h2>Schedulers</h2>
    ${whenLoaded(schedulers, "schedulers", ({ schedulers: list }) =>
      list.length
        ? html`<${Instances} list=${list} />`
        : html`<${Empty} title="No scheduler">
          <p>Nothing starts by schedule. Start a server with <code>scheduler_enabled: true</code>.</p><//>`)}`;
}

/** @param {{ list: Api.CoordinatorInstance[], executes?: boolean }} props */
function Instances({ list, executes = false }) {
  return html`<${Table} heads=${["Host", "State", "Since", "Id", executes && "-Actions"]}>
    ${list.map((one) => html`<tr key=${one.instanceId}><td>${one.host}</td><td><${Health} of=${one.status} /></td>
      <td data-label="since"><${Time} at=${one.startedAt} /></td><td><code>${one.instanceId}</code></td>
      ${executes && html`<td class="actions"><${Recall} of=${one.instanceId} /></td>`}</tr>`)}<//>`;
}

/** Do the runs again that a process has executed. @param {{ of: string }} props */
function Recall({ of }) {
  const [asks, setAsks] = useState(false);
  return html`<${ActionButton} right="run" aria-label=${`Do runs of ${of} again`} onClick=${() => setAsks(true)}>
      Do runs again…<//>
    ${asks && html`<${BulkDialog} action="again" filter=${{ worker: of }} onClose=${() => setAsks(false)} />`}`;
}

/** @param {{ worker: Api.Worker }} props */
function Worker({ worker }) {
  const labels = Object.entries(worker.labels);
  return html`<article class="card">
    <div class="row"><h2 class="wide-text">${worker.id}</h2><span class="grow"></span>
      <${Health} of=${worker.healthStatus} /><${Recall} of=${worker.id} /></div>
    <p>${labels.length ? labels.map(([name, value]) => html`<span class="tag" key=${name}>${name}=${value}
      </span> `) : html`<span class="faint">no labels</span>`}</p>
    <dl class="facts"><dt>Busy</dt><dd>${worker.busyPollers} of ${worker.totalPollers}</dd><dt>Last heartbeat</dt>
      <dd><${Time} at=${worker.lastHeartbeatAt} /></dd></dl>
    <ul class="plain">
      ${worker.runningTasks.map((task) => html`<li key=${task.dagRunId}>
        <a href=${href(pageOf(taskAddress(task)))}>${task.dagName}
        </a> <span class="faint">since <${Time} at=${task.startedAt} /></span></li>`)}</ul></article>`;
}

/** @param {Api.RunningTask} task */
function taskAddress(task) {
  const { dagName: name, dagRunId: runId, rootDagRunName: rootName, rootDagRunId: rootId } = task;
  const below = rootName && rootId && rootId !== runId;
  return below ? { name: rootName, runId: rootId, subRunId: runId } : { name, runId };
}
