// Run page: status and reason, steps, and the output of the selected step.

import { html, useEffect, useState } from "../vendor/core.js";
import { HTTP, get } from "../lib/api.js";
import { duration } from "../lib/format.js";
import { focusOn } from "../lib/feed.js";
import { useApi } from "../lib/use-api.js";
import { useNow } from "../lib/use-now.js";
import { go, hash, href, query, setQuery } from "../lib/router.js";
import { bannerOf, failedBelow, findLeaf } from "../lib/leaf.js";
import { concernsRun, keyStep, lookOfRun, nodesOf, pageOf, pathOf } from "../lib/runs.js";
import { secondsOf } from "../lib/durations.js";
import { RUN, isActive, isOver, lookOf, runStatus } from "../lib/status.js";
import { stepsOf, tally } from "../lib/graph.js";
import { clock, instant } from "../lib/format.js";
import { pairsOf } from "../lib/params.js";
import { useStateIcon, useTitle } from "../lib/title.js";
import { Id, whenLoaded, Loading, NotThere, Status, Tabs, Time } from "../parts/basic.js";
import { AllOutput } from "../parts/alloutput.js";
import { Gantt } from "../parts/gantt.js";
import { DagGraph } from "../parts/graph.js";
import { RunActions } from "../parts/runactions.js";
import { StepList } from "../parts/steplist.js";
import { StepOutput } from "../parts/stepoutput.js";
import { RunEvents, RunSpec } from "../parts/runtabs.js";

/** @typedef {import("../parts/steplist.js").OnChoose} OnChoose */
/** @typedef {import("../lib/leaf.js").Leaf} Leaf */

const VIEWS = [
  { id: "steps", title: "Steps" },
  { id: "graph", title: "Graph" },
  { id: "gantt", title: "Timeline" },
  { id: "events", title: "Events" },
  { id: "spec", title: "Definition" },
];

const PARAMS = 8; // of a run, until the user asks for the others
const INLINE = 3; // params that share a line
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
  const view = VIEWS.find(({ id }) => id === query.value.get("view"))?.id ?? "steps";
  const leaf = useLeaf(address, run);
  const banner = bannerOf(run, leaf);
  const asked = query.value.get("step");
  const chosen = asked ?? leaf?.step;
  const inside = asked ? query.value.get("in") : leaf?.subRunId; // the sub-run of the selected step
  const calling = asked ? null : keyStep(run)?.step.name; // of the sub-run that the page opens at
  const drawn = inside ? calling : chosen;
  const all = query.value.get("output") === "all";
  /** @param {string} step @param {string | null} [sub] */
  const choose = (step, sub = null) => setQuery({ step, in: sub, stream: null, output: null }, { replace: false });
  const steps = stepsOf(run.nodes);
  const active = isActive(run.status);
  return html`
    <${Header} address=${address} run=${run} reload=${reload} steps=${steps}>
      ${banner && html`<${Why} banner=${banner} onChoose=${choose}
        isShown=${chosen === banner.target?.step && (inside ?? null) === banner.target?.subRunId} />`}<//>
    <div class="run-panes">
      <section class="run-left" aria-label="Steps of the run">
        <${Tabs} label="Views of the run" tabs=${VIEWS} chosen=${view}
          onChoose=${(/** @type {string} */ id) => setQuery({ view: id === "steps" ? null : id })} />
        ${view === "steps" && html`<${StepList} address=${address} run=${run} chosen=${chosen}
          inside=${inside ?? run.dagRunId} onChoose=${choose} />`}
        ${view === "graph" && html`<${DagGraph} steps=${steps} chosen=${drawn} onChoose=${choose} />`}
        ${view === "gantt" && html`<${Gantt} run=${run} nodes=${nodesOf(run)} chosen=${drawn} onChoose=${choose}
          active=${active} />`}
        ${view === "events" && html`<${RunEvents} address=${address} run=${run} />`}
        ${view === "spec" && html`<${RunSpec} run=${run} />`}
        ${["steps", "graph", "gantt"].includes(view) && html`<${Tally} run=${run} />`}
      </section>
      ${all && html`<${AllOutput} address=${address} active=${active} atEnd=${active || run.status === RUN.FAILED}
        concerns=${(/** @type {Change} */ change) => concernsRun(address, change)}
        onBack=${() => setQuery({ output: null })} />`}
      ${!all && !leaf && !chosen && run.nodes.length > 0 && html`<section class="run-right" aria-label="Step">
        <${Loading} what="step" /></section>`}
      ${!all && chosen && !inside && html`<${StepOutput} address=${address} root=${address} step=${chosen} run=${run}
        reload=${reload} />`}
      ${!all && chosen && inside && html`<${SubRunOutput} address=${{ ...address, subRunId: inside }} root=${address}
        step=${chosen} />`}
    </div>`;
}

/**
 * The most relevant step; null until it is known, when it is in a sub-run.
 * @param {RunAddress} address
 * @param {Run} run
 */
function useLeaf(address, run) {
  const node = keyStep(run);
  /** @type {Leaf | null} */
  const here = node ? { step: node.step.name, subRunId: null, run } : null;
  const [found, setFound] = useState(/** @type {{ key: string, leaf: Leaf | null } | null} */ (null));
  // A call that failed changes only with a retry.
  const key = failedBelow(run) ? JSON.stringify([address, node?.step.name, node?.finishedAt, run.attempt]) : "";
  useEffect(() => {
    if (!key) return undefined;
    let left = false;
    findLeaf(address, run, get).catch(() => here).then((leaf) => left || setFound({ key, leaf }));
    return () => {
      left = true;
    };
  }, [key]);
  if (!key) return here;
  return found?.key === key ? found.leaf : null;
}

/** @param {{ address: RunAddress, root: RunAddress, step: string }} props */
function SubRunOutput({ address, root, step }) {
  const loaded = useApi(pathOf(address), {}, (change) => change.kind === "run" && concernsRun(root, change));
  return whenLoaded(loaded, "step", ({ dagRunDetails }) => html`<${StepOutput} address=${address} root=${root}
    step=${step} run=${dagRunDetails} reload=${loaded.reload} />`);
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
 * @param {{ address: RunAddress, run: Run, reload: Reload, steps: GraphStep[], children?: Children }} props
 */
function Header({ address, run, reload, steps, children }) {
  const active = isActive(run.status);
  const now = useNow(1, active);
  const usual = useApi(
    run.rootDAGRunId === run.dagRunId && !address.subRunId ? ["dags", run.name, "statistics"] : null,
    {},
  );
  const params = pairsOf(run.paramsList);
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
    ${children}
  </header>`;
}

/**
 * Why the run waits, failed or was aborted; the place of the button is kept, so that a choice moves nothing.
 * @param {{ banner: import("../lib/leaf.js").Banner, isShown: boolean, onChoose: OnChoose }} props
 */
function Why({ banner: { names, text, tone, target }, isShown, onChoose }) {
  return html`<p class="why ${tone}">
    ${names.length > 0 && html`<strong>${names.join(" › ")}</strong>`}<span title=${text}>${text}</span>
    ${target && html`<button type="button" class=${isShown ? "quiet kept" : "quiet"}
      onClick=${() => onChoose(target.step, target.subRunId)}>
      Show ${tone === "wait" ? "the question" : "its output"}</button>`}</p>`;
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

/** @param {{ all: ReturnType<typeof pairsOf> }} props */
function Params({ all }) {
  const [whole, setWhole] = useState(false);
  const shown = whole ? all : all.slice(0, PARAMS);
  return html`<span class=${all.length > INLINE ? "chips lines" : "chips"}>
    ${shown.map(({ name, value }, index) => html`<span class="chip" key=${index} title=${`${name}=${value}`}><span
      class="faint">${name}=</span><strong>${value}</strong></span>`)}
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
