// Run page: status and reason, steps, and the output of the selected step.

import { html, useEffect, useState } from "../vendor/core.js";
import { HTTP } from "../lib/api.js";
import { duration, plural } from "../lib/format.js";
import { focusOn } from "../lib/feed.js";
import { useApi } from "../lib/use-api.js";
import { useNow } from "../lib/use-now.js";
import { go, hash, href, query, setQuery } from "../lib/router.js";
import { concernsRun, keyStep, lookOfRun, nodesOf, pageOf, pathOf, reasonOf } from "../lib/runs.js";
import { secondsOf } from "../lib/durations.js";
import { NODE, RUN, isActive, isNodeActive, isOver, lookOf, runStatus } from "../lib/status.js";
import { stepsOf, tally } from "../lib/graph.js";
import { clock, instant } from "../lib/format.js";
import { partsOf } from "../lib/params.js";
import { useStateIcon, useTitle } from "../lib/title.js";
import { ApprovalCard } from "../parts/approval.js";
import { Empty, Id, whenLoaded, Loading, NotThere, Status, Tabs, Time } from "../parts/basic.js";
import { AllOutput } from "../parts/alloutput.js";
import { Gantt } from "../parts/gantt.js";
import { DagGraph } from "../parts/graph.js";
import { LogView } from "../parts/logview.js";
import { RunActions, StepActions } from "../parts/runactions.js";
import { StepList } from "../parts/steplist.js";
import { RunEvents, RunSpec } from "../parts/runtabs.js";

const VIEWS = [
  { id: "steps", title: "Steps" },
  { id: "graph", title: "Graph" },
  { id: "gantt", title: "Timeline" },
  { id: "events", title: "Events" },
  { id: "spec", title: "Definition" },
];

const PARAMS = 8; // of a run, until the user asks for the others
const FEWEST = 3; // successful runs that have a median worth showing

/** @param {{ params: { name: string, runId: string, subRunId?: string } }} props */
export default function RunPage({ params }) {
  const address = { name: params.name, runId: params.runId, subRunId: params.subRunId };
  const root = `${address.name}/${address.runId}`;
  const newest = address.runId === "latest";
  useEffect(() => {
    if (!newest) focusOn(root);
    return () => focusOn(null);
  }, [root]);
  const loaded = useApi(pathOf(address), {}, (change) => change.kind === "run" && concernsRun(address, change));
  const run = loaded.data?.dagRunDetails;
  useEffect(() => {
    // The latest run changes over time: the address names the displayed one.
    if (!newest || !run) return;
    const page = href(pageOf({ name: run.name, runId: run.dagRunId }), Object.fromEntries(query.peek()));
    go(page + hash.peek(), { replace: true });
  }, [newest, run]);
  const look = run && lookOfRun(run);
  const begun = instant(run?.startedAt);
  useTitle(
    run?.name ?? address.name,
    look ? look.word : loaded.error?.status === HTTP.NOT_FOUND && "not found",
    begun && clock(begun),
  );
  useStateIcon(look?.tone);
  const missing = (/** @type {Failed} */ error) => html`<${NotThere} title="There is no such run" error=${error}>
    <a href=${href("/dag-runs", { name: address.name })}>Runs of ${address.name}
    </a> · <a href=${href("/dag-runs")}>All runs</a><//>`;
  return whenLoaded(loaded, "run", ({ dagRunDetails }) => newest ? html`<${Loading} what="run" />` : html`<${Run}
    address=${address}
      run=${dagRunDetails} reload=${loaded.reload} />`, missing);
}

/** @param {{ address: RunAddress, run: Run, reload: Reload }} props */
function Run({ address, run, reload }) {
  const asked = query.value.get("view");
  const view = VIEWS.find(({ id }) => id === asked)?.id ?? "steps";
  const first = keyStep(run);
  const chosen = query.value.get("step") ?? first?.step.name;
  const inside = query.value.get("in"); // the sub-run of the selected step
  const node = nodesOf(run).find((one) => one.step.name === chosen);
  const known = inside || node;
  const all = query.value.get("output") === "all";
  /** @param {string} step @param {string | null} [sub] */
  const choose = (step, sub = null) => setQuery({ step, in: sub, stream: null, output: null }, { replace: false });
  const steps = stepsOf(run.nodes);
  const active = isActive(run.status);
  return html`
    <${Header} address=${address} run=${run} reload=${reload} steps=${steps} chosen=${inside ? null : chosen}
      onChoose=${choose} />
    <div class="run-panes">
      <section class="run-left" aria-label="Steps of the run">
        <${Tabs} label="Views of the run" tabs=${VIEWS} chosen=${view}
          onChoose=${(/** @type {string} */ id) => setQuery({ view: id === "steps" ? null : id })} />
        ${view === "steps" && html`<${StepList} address=${address} run=${run} chosen=${chosen} inside=${inside}
          onChoose=${choose} />`}
        ${view === "graph" && html`<${DagGraph} steps=${steps} chosen=${chosen} onChoose=${choose} />`}
        ${view === "gantt" && html`<${Gantt} run=${run} nodes=${nodesOf(run)} chosen=${chosen} onChoose=${choose}
          active=${active} />`}
        ${view === "events" && html`<${RunEvents} address=${address} run=${run} />`}
        ${view === "spec" && html`<${RunSpec} run=${run} />`}
        ${["steps", "graph", "gantt"].includes(view) && html`<${Tally} run=${run} />`}
      </section>
      ${all && html`<${AllOutput} address=${address} active=${active} atEnd=${active || run.status === RUN.FAILED}
        concerns=${(/** @type {Change} */ change) => concernsRun(address, change)}
        onBack=${() => setQuery({ output: null })} />`}
      ${!all && chosen && !known && html`<section class="run-right" aria-label="Step">
        <${Empty} title="No such step">This run has no step <code>${chosen}</code>. Choose one from the list.<//>
        </section>`}
      ${!all && chosen && known && html`<${Output} address=${inside ? { ...address, subRunId: inside } : address}
        root=${address} step=${chosen} node=${inside ? null : node} run=${run} reload=${reload} steps=${steps} />`}
    </div>`;
}

/**
 * The number of steps in each status: "4 succeeded · 1 failed".
 * @param {{ run: Run }} props
 */
function Tally({ run }) {
  const words = tally(nodesOf(run).map((node) => ({ status: lookOf(node).word })));
  return html`<p class="tally">${words.map(([word, count]) => html`<span key=${word}>${count} ${word}</span>`)}</p>`;
}

/**
 * @param {{ address: RunAddress, run: Run, reload: Reload, steps: GraphStep[], chosen?: string | null,
 *   onChoose: (name: string) => void }} props
 */
function Header({ address, run, reload, steps, chosen, onChoose }) {
  const active = isActive(run.status);
  const now = useNow(1, active);
  const usual = useApi(
    run.rootDAGRunId === run.dagRunId && !address.subRunId ? ["dags", run.name, "statistics"] : null,
    {},
  );
  const reason = reasonOf(run);
  const params = partsOf(run.params);
  return html`<header class="run-header">
    <div class="row">
      <h1>${address.subRunId && !run.revision ? run.name : html`<a href=${href(["dags", run.name])}>${run.name}</a>`}
      </h1>
      <span role="status"><${Status} of=${run.status} /></span>
      <${Id} of=${run.dagRunId} />
      <${Neighbours} run=${run} last=${usual.data?.lastRuns ?? []} />
      <span class="grow"></span>
      ${run.startedAt && html`<a class="button" href=${href("/compare", { run: pageOf(address).slice(1).join("/") })}>
        Compare</a>`}
      <${RunActions} address=${address} run=${run} reload=${reload} steps=${steps} />
    </div>
    <dl>
      ${instant(run.startedAt) && html`<${Fact} name="Started">
        <${Time} at=${run.startedAt} words=${false} /> <span class="faint"><${Time} at=${run.startedAt} /></span><//>`}
      ${run.queuedAt && html`<${Fact} name="Queued"><${Time} at=${run.queuedAt} /><//>`}
      ${instant(run.startedAt) && html`<${Fact} name="Duration">
        <strong class="number">${duration(secondsOf(run, now))}${isOver(run.status) ? "" : " so far"}
        </strong> <span class="faint">${usualText(usual.data)}</span><//>`}
      ${startedBy(run) && html`<${Fact} name="Started by">${startedBy(run)}<//>`}
      ${(run.attempt ?? 0) > 1 && html`<${Fact} name="Attempt">${run.attempt}<//>`}
      ${run.revision && html`<${Fact} name="Revision">
        <a href=${href(["dags", run.name, "revisions"], { number: run.revision })}>${run.revision}</a><//>`}
      ${run.parentDAGRunId && html`<${Fact} name="Called by"><a href=${href(parentPage(run))}>${run.parentDAGRunName}
        </a><//>`}
      ${params.length > 0 && html`<${Fact} name="Parameters"><${Params} all=${params} /><//>`}
    </dl>
    ${reason && html`<p class="why ${reason.tone}">
      ${reason.step && html`<strong>${reason.step}</strong>`}<span title=${reason.text}>${reason.text}</span>
      ${reason.step && reason.step !== chosen && html`<button type="button" class="quiet"
        onClick=${() => onChoose(reason.step ?? "")}>Show ${reason.tone === "wait" ? "the question" : "its output"}
        </button>`}</p>`}
  </header>`;
}

/**
 * Links to the finished runs of the DAG before and after this one, as far as they are among the latest.
 * @param {{ run: Run, last: Api.EndedRun[] }} props
 */
function Neighbours({ run, last }) {
  const at = last.findIndex(({ dagRunId }) => dagRunId === run.dagRunId);
  const older = at < 0 && !isActive(run.status) ? undefined : last[at + 1];
  return html`<span class="row neighbours">
    ${older && html`<${Neighbour} run=${older} name=${run.name} label="Previous run">← Previous<//>`}
    ${at > 0 && html`<${Neighbour} run=${last[at - 1]} name=${run.name} label="Next run">Next →<//>`}</span>`;
}

/** @param {{ run: Api.EndedRun, name: string, label: string, children?: Children }} props */
function Neighbour({ run, name, label, children }) {
  const begun = instant(run.startedAt);
  const { word } = runStatus(run.status);
  const text = `${label}: ${word}${begun ? `, ${clock(begun)}` : ""}`;
  return html`<a href=${href(pageOf({ name, runId: run.dagRunId }))} aria-label=${text} title=${text}>${children}</a>`;
}

/** @param {{ name: string, children?: Children }} props */
function Fact({ name, children }) {
  return html`<div><dt>${name}</dt><dd>${children}</dd></div>`;
}

/** @param {{ all: string[] }} props */
function Params({ all }) {
  const [whole, setWhole] = useState(false);
  const shown = whole ? all : all.slice(0, PARAMS);
  return html`<span class="chips">
    ${shown.map((text, index) => html`<span class="chip" key=${index} title=${text}>${text}</span>`)}
    ${all.length > PARAMS && html`<button type="button" class="tag" aria-expanded=${whole}
      onClick=${() => setWhole(!whole)}>${whole ? "fewer" : `${all.length - PARAMS} more`}</button>`}</span>`;
}

/** @param {Run} run */
function parentPage(run) {
  const atRoot = run.parentDAGRunId === run.rootDAGRunId;
  return pageOf({ name: run.rootDAGRunName, runId: run.rootDAGRunId, subRunId: atRoot ? null : run.parentDAGRunId });
}

/** @param {{ trigger?: string, actor?: string }} run */
function startedBy({ trigger, actor }) {
  if (!trigger || trigger === "subdag") return ""; // "Called by" says it
  /** @type {Record<string, string>} */
  const ways = { api: actor ? "" : "the API", reschedule: "run again" };
  return [actor, ways[trigger] ?? trigger].filter(Boolean).join(", ");
}

/**
 * The duration of the successful runs of the DAG, if there are enough of them.
 * @param {Api.DAGStatistics | null} statistics
 */
function usualText(statistics) {
  if (statistics?.p50Seconds === undefined || statistics.succeeded < FEWEST) return "";
  return `Median ${duration(statistics.p50Seconds)}, 95% under ${duration(statistics.p95Seconds)}`;
}

/**
 * @param {{ address: RunAddress, root: RunAddress, step: string, node: Api.Node | null | undefined, run: Run,
 *   reload: Reload, steps: GraphStep[] }} props
 */
function Output({ address, root, step, node, run, reload, steps }) {
  const stream =
    query.value.get("stream") ?? (node?.status === NODE.FAILED && node.error?.includes("stderr") ? "stderr" : "stdout");
  const path = [...pathOf(address), "steps", step, "log"];
  const active = node ? isNodeActive(node.status) : isActive(run.status);
  return html`<section class="run-right" aria-label=${`Step ${step}`}>
    <div class="row step-head">
      <h2 class="wide-text">${step}</h2>
      ${node && html`<${Status} of=${node.status} node waiting=${Boolean(node.waiting)} />`}
      ${node && node.retryCount > 0 && html`<span class="faint">${plural(node.retryCount, "retry", "retries")}</span>`}
      <span class="grow"></span>
      <button type="button" onClick=${() => setQuery({ output: "all" })}>Show all output</button>
      ${node && html`<${StepActions} address=${address} run=${run} node=${node} reload=${reload} steps=${steps} />`}
    </div>
    ${node?.step.description && html`<p class="faint step-about">${node.step.description}</p>`}
    ${node?.waiting && html`<${ApprovalCard} address=${address} step=${step} waiting=${node.waiting}
      reload=${reload} />`}
    ${node?.error && !isShown(run, node) && html`<${StepError} text=${node.error}
      tone=${node.status === NODE.FAILED ? "bad" : "off"} />`}
    ${node && !instant(node.startedAt) ? html`<${Waiting} node=${node} />` : html`<${LogView} path=${path}
      run=${pathOf(address)} step=${step} stream=${stream}
      onStream=${(/** @type {Stream} */ name) => setQuery({ stream: name })}
      active=${active} concerns=${(/** @type {Change} */ change) => concernsRun(root, change)}
      atError=${node?.status === NODE.FAILED && !node.subRuns?.length} />`}
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

/** @param {{ node: Api.Node }} props */
function Waiting({ node }) {
  const settled = node.status !== NODE.NOT_STARTED;
  return html`<${Empty} title=${settled ? "This step did not run" : "Not started yet"}>
    ${settled ? "A step that it depends on did not succeed, or a precondition was not met."
      : "The output appears here as soon as the step runs."}
  <//>`;
}
