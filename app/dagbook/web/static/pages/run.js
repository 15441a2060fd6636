// Run page: status and reason, and panes of full height with the steps, the output of the chosen one, and its details.

import { html, useEffect, useLayoutEffect, useMemo, useState } from "../vendor/core.js";
import { HTTP, get } from "../lib/api.js";
import { criticalPath } from "../lib/critical-path.js";
import { eventsOf, sentenceOf } from "../lib/events.js";
import { focusOn } from "../lib/feed.js";
import { useSubRuns } from "../lib/sub-runs.js";
import { prime, useAnswer, useApi } from "../lib/use-api.js";
import { useNow } from "../lib/clock.js";
import { go, hash, href, query, setHash, setQuery } from "../lib/router.js";
import {
  bannerOf, calledBy, concernsRun, failedBelow, findLeaf, isOf, keyStep, lookOfNode, lookOfRun, nodesOf, pageOf,
  pathOf, reasonOf,
} from "../lib/runs.js";
import { NODE, isActive, isNodeActive } from "../lib/status.js";
import { stepsOfRun } from "../lib/graph.js";
import { clock, exact, moment, plural, short } from "../lib/format.js";
import { useStateIcon, useTitle } from "../lib/title.js";
import { ApprovalCard } from "../parts/approval.js";
import { Empty, Failure, Loading, NotThere, StatusIcon, Tabs, whenLoaded } from "../parts/basic.js";
import { FanOut } from "../parts/fanout.js";
import { DagGraph } from "../parts/graph.js";
import { Output } from "../parts/output.js";
import { RunHeader } from "../parts/runheader.js";
import { Panes, hasDetails } from "../parts/splitter.js";
import { StepDetails } from "../parts/stepdetails.js";
import { CriticalPath, StepsPane } from "../parts/steplist.js";

/** @import { Known, Leaf, OnChoose } from "../../types/ui" */

const PAGE = 1000; // events
const VIEWS = [
  { id: "steps", title: "Steps" },
  { id: "graph", title: "Graph" },
  { id: "gantt", title: "Timeline" },
  { id: "events", title: "Events" },
  { id: "spec", title: "Definition" },
];

/** @param {{ params: { name: string, runId: string, subRunId?: string } }} props */
export default function RunPage({ params }) {
  const address = { name: params.name, runId: params.runId, subRunId: params.subRunId };
  const root = `${address.name}/${address.runId}`;
  const newest = address.runId === "latest";
  const loaded = useApi(pathOf(address), {}, (change) => isOf(address, change));
  const run = loaded.data?.dagRunDetails;
  const followed = !newest ? root : loaded.error ? null : undefined;
  // An effect after the paint would follow all runs between this run and the one before.
  useLayoutEffect(() => {
    focusOn(followed);
    return () => focusOn(null);
  }, [followed]);
  useEffect(() => {
    // The latest run changes over time: the address names the displayed one.
    if (!newest || !run) return;
    const found = { name: run.name, runId: run.dagRunId };
    if (loaded.data) prime(pathOf(found), loaded.data);
    const page = href(pageOf(found), Object.fromEntries(query.peek()));
    go(page + hash.peek(), { replace: true });
  }, [newest, run]);
  const look = run && lookOfRun(run);
  const word = look ? look.word : loaded.error?.status === HTTP.NOT_FOUND && "not found";
  useTitle(run?.name ?? address.name, word, clock(run?.startedAt));
  useStateIcon(look?.tone);
  const missing = (/** @type {Failed} */ error) => html`<${NotThere} title="There is no such run" error=${error}>
    <a href=${href("/dag-runs", { name: address.name })}>Runs of ${address.name}
    </a> · <a href=${href("/dag-runs")}>All runs</a><//>`;
  return whenLoaded(loaded, "run", ({ dagRunDetails }) => newest ? html`<${Loading} what="run" />` : html`<${Run}
    address=${address}
      run=${dagRunDetails} reload=${loaded.reload} />`, missing);
}

/**
 * The step to show, the run that it is in with its address, and the step of the page's run above it.
 * @typedef {{ address: RunAddress, inside: string | null, step?: string | null, caller: string | null,
 *   loaded: import("../lib/use-api.js").Loading<Api.DAGRunAnswer> | null, run: Run | null }} Shown
 */

/** @type {OnChoose} */
const choose = (step, sub = null) => {
  setQuery({ step, in: sub, stream: null, output: null, try: null }, { replace: false });
  setHash(""); // the line of another step
};

/** @param {{ address: RunAddress, run: Run, reload: Reload }} props */
function Run({ address, run, reload }) {
  const view = VIEWS.find(({ id }) => id === query.value.get("view"))?.id ?? "steps";
  const leaf = useLeaf(address, run);
  const shown = useShown(address, run, leaf);
  const known = useSubRuns(run.nodes.some(({ subRuns }) => subRuns?.length) ? address : null);
  const banner = bannerOf(run, leaf);
  const isShown = shown.step === banner?.target?.step && shown.inside === banner?.target?.subRunId;
  const drawn = shown.inside ? shown.caller : shown.step;
  return html`
    <${RunHeader} address=${address} run=${run} reload=${reload} step=${drawn} banner=${banner} isShown=${isShown}
      onChoose=${choose} />
    <${Summary} run=${run} />
    <${Panes} pane=${view === "steps" ? "list" : "wide"}
      first=${html`<section class="run-left pane" aria-label="Steps of the run">
        <${Tabs} label="Views of the run" tabs=${VIEWS} chosen=${view}
          onChoose=${(/** @type {string} */ id) => setQuery({ view: id === "steps" ? null : id })} />
        <${View} view=${view} address=${address} run=${run} shown=${shown} drawn=${drawn} known=${known} /></section>`}
      second=${html`<div class="run-output pane"><${OutputPane} address=${address} run=${run} shown=${shown}
        known=${known} reload=${reload} /></div>`}
      details=${hasDetails() && html`<aside class="run-details pane" aria-label="Details of the step">
        ${shown.run && shown.step && html`<${StepDetails} address=${shown.address} root=${address} run=${shown.run}
          step=${shown.step} />`}</aside>`} />`;
}

/**
 * The step of the address, else the most relevant one of the sub-run in the address, or of the run.
 * @param {RunAddress} address
 * @param {Run} run
 * @param {Leaf | null} leaf
 * @returns {Shown}
 */
function useShown(address, run, leaf) {
  const [asked, opened] = [query.value.get("step"), query.value.get("in")];
  const inside = (asked || opened ? opened : leaf?.subRunId) ?? null;
  const below = { ...address, subRunId: inside };
  const loaded = useApi(inside ? pathOf(below) : null, {}, (change) => isOf(below, change));
  if (!inside) return { address, inside, step: asked ?? leaf?.step, caller: null, loaded: null, run };
  const own = loaded.data?.dagRunDetails ?? null;
  const step = asked ?? (opened ? own && keyStep(own)?.step.name : leaf?.step);
  return { address: below, inside, step, caller: callerOf(run, inside, leaf), loaded, run: own };
}

/**
 * @param {{ view: string, address: RunAddress, run: Run, shown: Shown, drawn?: string | null,
 *   known: Known | null }} props
 */
function View({ view, address, run, shown, drawn, known }) {
  if (view === "graph") return html`<${RunGraph} run=${run} drawn=${drawn} known=${known} />`;
  if (view === "events") return html`<${RunEvents} address=${address} run=${run} />`;
  if (view === "spec") return html`<div class="pane-scroll"><${RunSpec} run=${run} /></div>`;
  return html`<${StepsPane} address=${address} run=${run} chosen=${shown.step} inside=${shown.inside ?? run.dagRunId}
    known=${known} onChoose=${choose} timeline=${view === "gantt"} />`;
}

/** @param {{ run: Run, drawn?: string | null, known: Known | null }} props */
function RunGraph({ run, drawn, known }) {
  const active = isActive(run.status);
  const path = criticalPath(run, useNow(1, active));
  const steps = useMemo(() => stepsOfRun(run, known, path?.links), [run, known]); // a second alone changes no step
  return html`<${DagGraph} steps=${steps} chosen=${drawn} onChoose=${choose} legend=${html`<${CriticalPath} path=${path}
    active=${active} onChoose=${choose} />`} />`;
}

/** @param {{ address: RunAddress, run: Run, shown: Shown, known: Known | null, reload: Reload }} props */
function OutputPane({ address, run, shown, known, reload }) {
  const active = isActive(run.status);
  if (query.value.get("output") === "all") return html`<${Output} address=${address} root=${address} step=${null}
    run=${run} active=${active} onBack=${() => setQuery({ output: null, stream: null })} />`;
  const { inside, step, caller, loaded } = shown;
  if (!step && !nodesOf(run).length) return html`<${Empty} title="No steps"><p>This run has no steps.</p><//>`;
  if (!loaded) return step ? html`<${StepOutput} address=${address} root=${address} step=${step} run=${run}
    known=${known} reload=${reload} />` : html`<${Loading} what="step" />`;
  return html`${caller && html`<p class="pane-path cut"><button type="button" class="quiet"
      onClick=${() => choose(caller)}>${caller}</button> › <a href=${href(pageOf(shown.address))}>sub-run${" "}
      ${itemIn(run, inside)}</a></p>`}
    ${whenLoaded(loaded, "step", ({ dagRunDetails }) => html`<${StepOutput} address=${shown.address} root=${address}
      step=${step} run=${dagRunDetails} reload=${loaded.reload} />`)}`;
}

/** The step that called a sub-run, or a run above it. @param {Run} run @param {string} id @param {Leaf | null} leaf */
function callerOf(run, id, leaf) {
  const direct = nodesOf(run).find((node) => calledBy(node).some(({ dagRunId }) => dagRunId === id));
  return (direct ?? (leaf?.subRunId === id ? keyStep(run) : null))?.step.name ?? null;
}

/** @param {Run} run @param {string | null} id */
const itemIn = (run, id) =>
  nodesOf(run).flatMap(calledBy).find(({ dagRunId }) => dagRunId === id)?.params || short(id ?? "");

/** The most relevant step; null until it is known in a sub-run. @param {RunAddress} address @param {Run} run */
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

/**
 * Nothing, and no request, unless a step has written one. Its place has a fixed height, so that it moves nothing.
 * @param {{ run: Run }} props
 */
function Summary({ run }) {
  const key = nodesOf(run).filter((node) => node.hasSummary)
    .map((node) => [node.step.name, node.finishedAtMillis, node.retryCount, node.doneCount].join()).join();
  const subRunId = run.dagRunId === run.rootDAGRunId ? null : run.dagRunId;
  const address = { name: run.rootDAGRunName, runId: run.rootDAGRunId, subRunId };
  const loaded = useApi(key ? /** @type {const} */ ([...pathOf(address), "summary"]) : null);
  const [whole, setWhole] = useState(false);
  useEffect(() => {
    if (loaded.data) loaded.reload();
  }, [key]);
  if (!key) return null;
  return html`<section class=${whole ? "summary whole" : "summary"} aria-label="Summary">
    <button type="button" class="quiet" aria-expanded=${whole} onClick=${() => setWhole(!whole)}>
      ${whole ? "Show less" : "Show all"}</button>
    <div class="summary-text" tabindex="0" role="group" aria-label="Text of the summary">
      ${whenLoaded(loaded, "summary", ({ summaries, hasMore }) => html`
        ${summaries.map(({ step, html: made }) => html`<article key=${step}>
          ${summaries.length > 1 && html`<p class="faint">${step}</p>`}
          ${/* The server makes it of Markdown, without any HTML of the author's (runs/output/markdown.py). */ ""}
          <div dangerouslySetInnerHTML=${{ __html: made }}></div></article>`)}
        ${hasMore && html`<p class="faint">There are more: each step shows its own.</p>`}`)}</div></section>`;
}

/** The run's own log: all changes of run and steps, over all attempts. @param {{ address: RunAddress }} props */
function RunEvents({ address }) {
  const path = /** @type {const} */ ([...pathOf(address), "log"]);
  const loaded = useApi(path, { tail: PAGE }, (change) => change.kind === "run" && concernsRun(address, change));
  const { totalLines = 0, lineCount = 0 } = loaded.data ?? {};
  const before = totalLines - lineCount; // the last page
  const older = useAnswer(() => get(path, { offset: Math.max(1, before - PAGE + 1), limit: Math.min(PAGE, before) }));
  return whenLoaded(loaded, "events", ({ content }) => html`
    ${older.failure && html`<${Failure} error=${older.failure} />`}
    <ol class="happened" tabindex="0" aria-label="Events">
      ${before > 0 && !older.data && html`<li><button type="button" onClick=${older.ask}>
        Show earlier events</button></li>`}
      ${eventsOf(older.data ? `${older.data.content}\n${content}` : content).map((event, index) => html`<${Happened}
        key=${index} event=${event} address=${address} />`)}</ol>`);
}

/** @param {{ event: import("../../types/ui").RunLogEvent, address: RunAddress }} props */
function Happened({ event, address }) {
  const { at, level } = event;
  const { step, text, details } = sentenceOf(event);
  return html`<li>${at ? html`<time datetime=${at} title=${exact(at)}>${moment(at)}</time>` : html`<span></span>`}
    <span class="wide-text">${step && html`<a href=${href(pageOf(address), { view: "events", step })}>${step}</a> `}
      <span class=${level === "ERROR" ? "bad" : ""}>${text}${details && ":"}</span> ${details}</span></li>`;
}

/** The text of the run's revision. @param {{ run: Run }} props */
function RunSpec({ run }) {
  const path = run.revision ? /** @type {const} */ (["dags", run.name, "revisions", String(run.revision)]) : null;
  const loaded = useApi(path);
  if (!path) return html`<${Empty} title="No revision">
    This run was started from a text that is not saved as a DAG, or it is a sub-run.<//>`;
  return html`<p>Revision ${run.revision}, as this run used it · <a href=${href(["dags", run.name, "spec"])}>
    Edit the DAG</a></p>
    ${whenLoaded(loaded, "definition", (revision) => html`<pre class="events" tabindex="0">
      ${revision.spec ?? "This text was redacted."}</pre>`)}`;
}

/**
 * The output of a step; `root` is the address of the page, which hears of changes.
 * `known` are the runs that the run called, null until they are loaded, and undefined to load them.
 * @param {{ address: RunAddress, root: RunAddress, step: string, run: Run, known?: Known | null,
 *   reload: Reload }} props
 */
function StepOutput({ address, root, step, run, known, reload }) {
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
      <button type="button" onClick=${() => setQuery({ output: "all" })}>Show all output</button></div>
    ${node.step.description && html`<p class="faint step-about">${node.step.description}</p>`}
    ${node.waiting && html`<${ApprovalCard} address=${address} step=${step} waiting=${node.waiting}
      reload=${reload} />`}
    ${node.error && !showsAlready(run, node) && html`<${StepError} text=${node.error}
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
function showsAlready(run, node) {
  const [first, ...rest] = (node.error ?? "").split("\n");
  const { step, text } = reasonOf(run) ?? {};
  return step === node.step.name && text?.startsWith(first) && (!rest.length || rest[0].startsWith("last of stderr"));
}

/** The first line shows; the others, mostly also in the log, expand. @param {{ text: string, tone: string }} props */
function StepError({ text, tone }) {
  const [first, ...rest] = text.trim().split("\n");
  if (!rest.length && first.length < 160) return html`<p class=${`step-error wide-text ${tone}`}>${first}</p>`;
  return html`<details class=${`step-error ${tone}`}><summary>${first.slice(0, 160)}</summary>
    <pre>${rest.length ? rest.join("\n") : text}</pre></details>`;
}
