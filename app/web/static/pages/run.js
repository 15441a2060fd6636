// One run on one screen: how it stands and why, its steps, and the output of the chosen one beside them.

import { html, useEffect, useState } from "../vendor/core.js";
import { duration, plural } from "../lib/format.js";
import { focusOn } from "../lib/feed.js";
import { useLoad } from "../lib/load.js";
import { useNow } from "../lib/now.js";
import { href, query, setQuery } from "../lib/router.js";
import { concernsRun, nodesOf, pageOf, pathOf, reasonOf, telling } from "../lib/runs.js";
import { secondsOf } from "../lib/spans.js";
import { isActive, isOver, runStatus } from "../lib/status.js";
import { stepsOf } from "../lib/graph.js";
import { clock, instant } from "../lib/format.js";
import { useTitle } from "../lib/title.js";
import { Empty, Id, Loaded, Status, Tabs, Time } from "../parts/basic.js";
import { Gantt } from "../parts/gantt.js";
import { DagGraph } from "../parts/graph.js";
import { LogView } from "../parts/logview.js";
import { RunActions, StepActions } from "../parts/runactions.js";
import { StepList } from "../parts/steplist.js";
import { RunEvents, RunSpec } from "../parts/runtabs.js";

const VIEWS = [
  { id: "steps", title: "Steps" },
  { id: "graph", title: "Graph" },
  { id: "gantt", title: "Gantt" },
  { id: "events", title: "Events" },
  { id: "spec", title: "Definition" },
];

export default function RunPage({ params }) {
  const address = { name: params.name, runId: params.runId, subRunId: params.subRunId };
  const root = `${address.name}/${address.runId}`;
  useEffect(() => {
    focusOn(address.runId === "latest" ? null : root);
    return () => focusOn(null);
  }, [root]);
  const loaded = useLoad(pathOf(address), {}, (change) => change.kind === "run" && concernsRun(address, change));
  const run = loaded.data?.dagRunDetails;
  const begun = instant(run?.startedAt);
  useTitle(run?.name ?? address.name, run && runStatus(run.status).word, begun && clock(begun));
  return html`<${Loaded} from=${loaded} what="run">${({ dagRunDetails }) => html`<${Run} address=${address} run=${dagRunDetails} reload=${loaded.reload} />`}<//>`;
}

function Run({ address, run, reload }) {
  const view = query.value.get("view") ?? "steps";
  const first = telling(run);
  const chosen = query.value.get("step") ?? first?.step.name;
  const inside = query.value.get("in"); // a sub-run whose step is chosen
  const node = nodesOf(run).find((one) => one.step.name === chosen);
  const choose = (step, sub = null) => setQuery({ step, in: sub, stream: null }, { replace: false });
  const steps = stepsOf(run.nodes);
  const active = isActive(run.status);
  return html`
    <${Header} address=${address} run=${run} reload=${reload} steps=${steps} />
    <div class="run-panes">
      <section class="run-left" aria-label="Steps of the run">
        <${Tabs} label="Views of the run" tabs=${VIEWS} chosen=${view} onChoose=${(id) => setQuery({ view: id === "steps" ? null : id })} />
        ${view === "steps" && html`<${StepList} address=${address} run=${run} chosen=${chosen} inside=${inside} onChoose=${choose} />`}
        ${view === "graph" && html`<${DagGraph} steps=${steps} chosen=${chosen} onChoose=${choose} />`}
        ${view === "gantt" && html`<${Gantt} run=${run} nodes=${nodesOf(run)} chosen=${chosen} onChoose=${choose} active=${active} />`}
        ${view === "events" && html`<${RunEvents} address=${address} run=${run} />`}
        ${view === "spec" && html`<${RunSpec} run=${run} />`}
      </section>
      ${chosen && html`<${Output} address=${inside ? { ...address, subRunId: inside } : address} root=${address} step=${chosen} node=${inside ? null : node} run=${run} reload=${reload} steps=${steps} />`}
    </div>`;
}

function Header({ address, run, reload, steps }) {
  const active = isActive(run.status);
  const now = useNow(1, active);
  const usual = useLoad(run.rootDAGRunId === run.dagRunId && !address.subRunId ? ["dags", run.name, "statistics"] : null, {});
  const reason = reasonOf(run);
  const { tone } = runStatus(run.status);
  return html`<header class="run-header ${tone}">
    <div class="row">
      <h1><a href=${href(["dags", run.name])}>${run.name}</a></h1>
      <${Status} of=${run.status} />
      <${Id} of=${run.dagRunId} />
      <span class="grow"></span>
      <${RunActions} address=${address} run=${run} reload=${reload} steps=${steps} />
    </div>
    ${reason && html`<p class="reason wide-text ${tone}">${reason}</p>`}
    <p class="row faint">
      <span>${startedBy(run)}</span>
      ${run.startedAt && run.startedAt !== "-" && html`<span>started <${Time} at=${run.startedAt} /></span>`}
      ${run.queuedAt && html`<span>queued <${Time} at=${run.queuedAt} /></span>`}
      <span>${isOver(run.status) ? "took" : "so far"} <strong class="number">${duration(secondsOf(run, now))}</strong>${usualText(usual.data)}</span>
      ${run.attempt > 1 && html`<span>attempt ${run.attempt}</span>`}
      ${run.revision && html`<span>revision <a href=${href(["dags", run.name, "revisions"], { number: run.revision })}>${run.revision}</a></span>`}
      ${run.parentDAGRunId && html`<span>called by <a href=${href(parentPage(run))}>${run.parentDAGRunName}</a></span>`}
    </p>
    ${run.params && html`<details class="params"><summary>Parameters</summary><pre>${run.params}</pre></details>`}
  </header>`;
}

function parentPage(run) {
  const atRoot = run.parentDAGRunId === run.rootDAGRunId;
  return pageOf({ name: run.rootDAGRunName, runId: run.rootDAGRunId, subRunId: atRoot ? null : run.parentDAGRunId });
}

function startedBy({ trigger, actor }) {
  if (!trigger) return "";
  const ways = { manual: "started by hand", scheduler: "started by its schedule", subdag: "called by another DAG", retry: "retried", api: "started over the API" };
  return `${ways[trigger] ?? `started by ${trigger}`}${actor ? `, by ${actor}` : ""}`;
}

function usualText(statistics) {
  if (statistics?.p50Seconds === undefined) return "";
  return `, usually ${duration(statistics.p50Seconds)} (95 % under ${duration(statistics.p95Seconds)})`;
}

function Output({ address, root, step, node, run, reload, steps }) {
  const stream = query.value.get("stream") ?? (node?.status === 2 && node.error?.includes("stderr") ? "stderr" : "stdout");
  const path = [...pathOf(address), "steps", step, "log"];
  const active = node ? node.status === 0 || node.status === 1 : isActive(run.status);
  return html`<section class="run-right" aria-label=${`Step ${step}`}>
    <div class="row step-head">
      <h2 class="wide-text">${step}</h2>
      ${node && html`<${Status} of=${node.status} node />`}
      ${node?.retryCount > 0 && html`<span class="faint">${plural(node.retryCount, "retry", "retries")}</span>`}
      <span class="grow"></span>
      ${node && html`<${StepActions} address=${address} run=${run} node=${node} reload=${reload} steps=${steps} />`}
    </div>
    ${node?.step.description && html`<p class="faint">${node.step.description}</p>`}
    ${node?.error && html`<pre class="step-error bad">${node.error}</pre>`}
    ${node && !instant(node.startedAt) ? html`<${Waiting} node=${node} />` : html`<${LogView} path=${path} run=${pathOf(address)} step=${step} stream=${stream} onStream=${(name) => setQuery({ stream: name })}
      active=${active} concerns=${(change) => concernsRun(root, change)} atError=${node?.status === 2} />`}
  </section>`;
}

function Waiting({ node }) {
  const settled = node.status !== 0;
  return html`<${Empty} title=${settled ? "This step did not run" : "Not begun yet"}>
    ${settled ? "So it has no output. What it depends on, or its preconditions, did not let it begin." : "Its output shows here once it runs."}
  <//>`;
}
