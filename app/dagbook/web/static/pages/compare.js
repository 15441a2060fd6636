// Comparison of two runs: definitions, parameters, steps and output.

import { html, useEffect, useMemo, useState } from "../vendor/core.js";
import { bare } from "../lib/ansi.js";
import { isAbort } from "../lib/api.js";
import { ComparedLogs, compareParams, compareSteps, keyStepOf } from "../lib/compare.js";
import { clock, duration, plural, secondsOf } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { href, query, setQuery } from "../lib/router.js";
import { concernsRun, lookOfNode, lookOfRun, pageOf, pathOf, reasonOf } from "../lib/runs.js";
import { isActive, isOver, lookOfRow, nodeStatus } from "../lib/status.js";
import { useTitle } from "../lib/title.js";
import { arrowNavigation } from "../lib/arrow-nav.js";
import { Empty, Failure, Id, Loading, Select, Status, StatusIcon, Table, Time, Toggle, whenLoaded }
  from "../parts/basic.js";
import { Diff } from "../parts/diff.js";

/** @import { ComparedLog, ComparedSide, ComparedStep, LogPath } from "../../types/ui" */

/** @typedef {{ found: ComparedLog | null, failure: Failed | null }} Found */

const walkSteps = arrowNavigation(".step-name");
const LATEST = 50; // runs to choose from
/** @type {Stream[]} */
const STREAMS = ["stdout", "stderr"];
const exactly = (/** @type {string} */ line) => line;
const butDigits = (/** @type {string} */ line) => bare(line).replace(/\d+/g, "0");

/** "etl/7", or "etl/7/SUB" for a sub-run. @param {string | null} text */
function addressOf(text) {
  const [name, runId, subRunId] = (text ?? "").split("/");
  return runId ? { name, runId, subRunId } : null;
}

const textOf = (/** @type {RunAddress} */ { name, runId, subRunId }) =>
  [name, runId, subRunId].filter(Boolean).join("/");
const keyOf = (/** @type {RunSummary} */ run) => `${run.name}/${run.dagRunId}`;

export default function Compare() {
  const address = addressOf(query.value.get("run"));
  useTitle("Compare", address?.name);
  if (!address) return html`<h1>Compare two runs</h1><${Empty} title="Choose the runs first">
    <p>Open a <a href=${href("/dag-runs")}>run</a> and press “Compare”, or select two runs in the list.</p><//>`;
  return html`<h1 class="wide-text">Compare runs of <a href=${href(["dags", address.name])}>${address.name}</a>
  </h1><${OneRun} key=${textOf(address)} address=${address} />`;
}

/** @param {RunAddress} address */
function useRun(address) {
  return useApi(address && pathOf(address), {}, (change) => change.kind === "run" && concernsRun(address, change));
}

/** @param {{ address: RunAddress }} props */
function OneRun({ address }) {
  const loaded = useRun(address);
  return whenLoaded(loaded, "run", ({ dagRunDetails: run }) => html`<${Counterpart} address=${address} run=${run} />`);
}

/** The other run: of the address, else the last good one before. @param {{ address: RunAddress, run: Run }} props */
function Counterpart({ address, run }) {
  const other = addressOf(query.value.get("with"));
  const loaded = useApi(other ? null : /** @type {const} */ ([...pathOf(address), "last-good"]));
  const good = loaded.data?.run;
  useEffect(() => {
    if (good) setQuery({ with: keyOf(good) });
  }, [good]);
  return html`
    ${!address.subRunId && html`<${Choice} run=${run} other=${other} />`}
    ${other ? html`<${Pair} key=${textOf(other)} other=${other} address=${address} run=${run} />`
      : whenLoaded(loaded, "last good run", (data) => !data.run && html`<${Empty} title="Nothing to compare with yet">
        <p>No run of this DAG succeeded before this one. Choose another run above.</p><//>`)}`;
}

/** @param {{ run: Run, other: RunAddress | null }} props */
function Choice({ run, other }) {
  const { data } = useApi(["dag-runs", run.name], { fromDate: 0, limit: LATEST });
  const runs = (data?.dagRuns ?? []).filter(({ dagRunId }) => dagRunId !== run.dagRunId);
  const value = other ? textOf(other) : "";
  const options = runs.map((one) => [keyOf(one), describe(one)]);
  if (!options.some(([key]) => key === value)) options.unshift([value, other ? other.runId : "…"]);
  return html`<div class="filters">
    <label>Compare with<${Select} class="other-run" value=${value} options=${options}
        onSet=${(/** @type {string} */ key) => setQuery({ with: key }, { replace: false })} /></label>
    <button type="button" onClick=${() => setQuery({ with: null }, { replace: false })}>Use the last success</button>
    ${other && html`<button type="button"
      onClick=${() => setQuery({ run: value, with: keyOf(run) }, { replace: false })}>Swap sides</button>`}
  </div>`;
}

/** @param {RunSummary} run */
function describe(run) {
  const took = secondsOf(run) ?? 0;
  return [lookOfRow(run).word, clock(run.startedAt), took >= 1 && duration(took), run.dagRunId.slice(-8)]
    .filter(Boolean).join(" · ");
}

/** @param {{ other: RunAddress, address: RunAddress, run: Run }} props */
function Pair({ other, address, run }) {
  const loaded = useRun(other);
  return whenLoaded(loaded, "other run", ({ dagRunDetails }) => html`<${Comparison} addresses=${[other, address]}
    runs=${[dagRunDetails, run]} />`);
}

/**
 * The other run is always on the left, as the older text in a diff.
 * @param {{ addresses: [RunAddress, RunAddress], runs: [Run, Run] }} props
 */
function Comparison({ addresses, runs }) {
  const rows = compareSteps(runs[0], runs[1], Date.now());
  const chosen = query.value.get("step") ?? keyStepOf(rows);
  const row = rows.find(({ name }) => name === chosen);
  return html`
    <div class="pair">
      ${runs.map((run, side) => html`<${Card} key=${side} run=${run} address=${addresses[side]}
        label=${side ? "This run" : "Compared with"} />`)}</div>
    <div class="compared"><section aria-label="Parameters"><h2>Parameters</h2><${Params} runs=${runs} /></section>
    <section aria-label="Definition"><h2>Definition</h2><${Definitions} runs=${runs} /></section>
    <section aria-label="Steps"><h2>Steps</h2><${Steps} rows=${rows} chosen=${chosen}
      over=${runs.map(({ status }) => isOver(status))} /></section>
    ${row && html`<section aria-label="Output"><h2 class="wide-text">Output of ${row.name}</h2>
      <${LogDifference} key=${row.name} addresses=${addresses} row=${row} /></section>`}</div>`;
}

/** @param {{ run: Run, address: RunAddress, label: string }} props */
function Card({ run, address, label }) {
  const { tone } = lookOfRow(run);
  const reason = reasonOf(run);
  const tries = (run.attempt ?? 0) > 1 && `attempt ${run.attempt}`;
  const about = [run.trigger, run.actor, tries, run.revision && `revision ${run.revision}`];
  return html`<section class="card" aria-label=${label}>
    <div class="row"><strong>${label}</strong><span class="grow"></span>
      <${Id} of=${run.dagRunId} page=${href(pageOf(address))} /></div>
    <div class="row"><${Status} look=${lookOfRun(run)} />
      <span class="number">${duration(secondsOf(run))}${isActive(run.status) ? " so far" : ""}</span>
      <span class="faint">started <${Time} at=${run.startedAt || run.queuedAt} /></span></div>
    <p class="faint">${about.filter(Boolean).join(" · ")}</p>
    ${reason && html`<p class="wide-text ${tone}">${reason.step && html`<strong>${reason.step}</strong>: `}
      ${reason.text}</p>`}
  </section>`;
}

/** @param {{ runs: [Run, Run] }} props */
function Params({ runs }) {
  const rows = compareParams(runs[0].paramsList, runs[1].paramsList);
  if (!rows.length) return html`<p class="faint">Neither run has parameters.</p>`;
  const differing = rows.filter(({ differs }) => differs).length;
  return html`<p class=${differing ? "mixed" : "faint"}>
    ${differing ? `${differing} of ${plural(rows.length, "parameter")} differ${differing === 1 ? "s" : ""}.`
      : "All parameters are the same."}</p>
    <${Table} heads=${["Parameter", "Compared with", "This run", "-Difference"]}>
      ${rows.map(({ name, left, right, differs }) => html`<tr key=${name}><th scope="row">${name}</th>
        <td class="wide-text" data-label="compared with"><${Value} of=${left} /></td>
        <td class="wide-text" data-label="this run"><${Value} of=${right} /></td>
        <td>${differs && html`<strong class="mixed">differs</strong>`}</td></tr>`)}<//>`;
}

/** @param {{ of?: string }} props */
function Value({ of }) {
  return of === undefined ? html`<span class="faint">not set</span>` : html`<code>${of === "" ? "(empty)" : of}
  </code>`;
}

/** @param {{ runs: [Run, Run] }} props */
function Definitions({ runs }) {
  const [left, right] = runs;
  const known = left.name === right.name && left.revision && right.revision;
  const differ = known && left.revision !== right.revision;
  const path = differ ? /** @type {const} */ (["dags", right.name, "revisions", "diff"]) : null;
  const loaded = useApi(path, { from: left.revision, to: right.revision });
  if (!known) return html`<p class="faint">These runs are not of revisions of the same DAG.</p>`;
  if (!path) return html`<p class="faint">
    Both ran <a href=${href(["dags", right.name, "revisions"], { number: right.revision })}>revision ${right.revision}
    </a>.</p>`;
  return html`<p class="mixed">
    Revision ${left.revision} → <a href=${href(["dags", right.name, "revisions"], { number: right.revision })}>
      ${right.revision}</a></p>
    ${whenLoaded(loaded, "changes", ({ diff }) => html`<${Diff} text=${diff} />`)}`;
}

/** @param {{ rows: ComparedStep[], chosen: string | null, over: boolean[] }} props */
function Steps({ rows, chosen, over }) {
  const [only, setOnly] = useState(false);
  const same = rows.filter(({ differs }) => !differs).length;
  const shown = only ? rows.filter(({ differs }) => differs) : rows;
  const longest = Math.max(0.001, ...rows.flatMap(({ seconds }) => seconds.map((one) => one ?? 0)));
  return html`
    ${same > 0 && same < rows.length && html`<${Toggle} on=${only} onSet=${setOnly} name=${`Show only the ${
      plural(rows.length - same, "step")} that differ${rows.length - same === 1 ? "s" : ""}`} />`}
    <${Table} heads=${["Step", "Compared with", "This run", "Difference"]} onKeyDown=${walkSteps}>
      ${shown.map((row) => html`<${StepRow} key=${row.name} row=${row} chosen=${row.name === chosen}
        longest=${longest} over=${over} />`)}<//>`;
}

/** @param {{ row: ComparedStep, chosen: boolean, longest: number, over: boolean[] }} props */
function StepRow({ row, chosen, longest, over }) {
  const { name, left, right, seconds, more, pace, otherEnd } = row;
  const sign = more !== null && more > 0 ? "+" : "−";
  return html`<tr class=${chosen ? "chosen" : ""} aria-current=${chosen ? "true" : null}>
    <th scope="row">
      <button type="button" class="step-name quiet" aria-label=${`Output of ${name}`} title=${name}
        onClick=${() => setQuery({ step: name })}>${name}</button></th>
    <td data-label="compared with"><${Side} node=${left} seconds=${seconds[0]} longest=${longest}
      over=${over[0]} /></td>
    <td data-label="this run"><${Side} node=${right} seconds=${seconds[1]} longest=${longest}
      over=${over[1]} /></td>
    <td><div>
        ${otherEnd && html`<strong class=${right ? nodeStatus(right.status).tone : "mixed"}>ended differently</strong>`}
        </div>
      ${more !== null && html`<span class=${pace ? "number mixed" : "number faint"}>
        ${pace ? "" : sign}${duration(Math.abs(more))} ${pace}</span>`}</td></tr>`;
}

/** @param {{ node: Api.Node | undefined, seconds: number | null, longest: number, over: boolean }} props */
function Side({ node, seconds, longest, over }) {
  if (!node) return html`<span class="faint">not in this run</span>`;
  return html`<span class="side"><${StatusIcon} look=${lookOfNode(node, over)} />
    <span class="number">${seconds === null ? "" : duration(seconds)}</span>
    <span class="side-bar" aria-hidden="true"><span style=${{ width: `${((seconds ?? 0) / longest) * 100}%` }}></span>
    </span></span>`;
}

/** The first differing line of the output. @param {{ addresses: [RunAddress, RunAddress], row: ComparedStep }} props */
function LogDifference({ addresses, row }) {
  const failed = row.left?.status !== row.right?.status && row.right?.error?.includes("stderr");
  const [stream, setStream] = useState(/** @type {Stream} */ (failed ? "stderr" : "stdout"));
  const [digits, setDigits] = useState(true);
  const [state, setState] = useState(/** @type {Found} */ ({ found: null, failure: null }));
  const logs = useMemo(() => {
    const [one, other] = addresses.map((address) =>
      /** @type {LogPath} */ ([...pathOf(address), "steps", row.name, "log"]));
    return new ComparedLogs([one, other], stream, digits ? exactly : butDigits);
  }, [JSON.stringify(addresses), row.name, stream, digits]);
  const read = () =>
    logs.read().then(
      (found) => setState({ found, failure: null }),
      (failure) => !isAbort(failure) && setState({ found: null, failure }),
    );
  useEffect(() => {
    setState({ found: null, failure: null });
    read();
    return () => logs.close();
  }, [logs]);
  const { found, failure } = state;
  return html`<div class="row">
      <div class="switch" role="group" aria-label="Stream">
        ${STREAMS.map((name) => html`<button type="button" key=${name} aria-pressed=${stream === name}
          onClick=${() => setStream(name)}>${name}</button>`)}
      </div>
      <${Toggle} name="Ignore numbers" title="Lines that differ only in times or counters count as equal"
        on=${!digits} onSet=${(/** @type {boolean} */ on) => setDigits(!on)} />
    </div>
    ${failure && html`<${Failure} error=${failure} retry=${read} />`}
    ${!found && !failure && html`<${Loading} what="output of both runs" />`}
    ${found && html`<p role="status">
      ${sentence(found, stream)} ${found.over === "" && html`<button type="button" onClick=${read}>
        Compare more</button>`}</p>`}
    ${found?.over === "differ" && html`<div class="pair">
      ${found.sides.map((side, index) => html`<${Lines} key=${index} side=${side} differing=${found.equal + 1}
        address=${addresses[index]} step=${row.name} stream=${stream}
        label=${index ? "This run" : "Compared with"} />`)}</div>`}`;
}

/** @param {ComparedLog} found @param {Stream} stream */
function sentence({ equal, over, sides }, stream) {
  if (sides.every(({ total }) => total === 0)) return `Neither run wrote anything to ${stream}.`;
  const [one, other] = sides;
  if (!one.total || !other.total) return `Only ${one.total ? "the other run" : "this run"} wrote to ${stream}.`;
  if (over === "end") return `Both runs wrote the same ${plural(equal, "line")} to ${stream}.`;
  if (over === "") return `The first ${equal.toLocaleString("en")} lines are the same.`;
  if (!equal) return "The first line differs already.";
  return `The first ${plural(equal, "line is", "lines are")} the same; then line ${
    (equal + 1).toLocaleString("en")} differs.`;
}

/**
 * @param {{ side: ComparedSide, differing: number, address: RunAddress, step: string, stream: Stream,
 *   label: string }} props
 */
function Lines({ side, differing, address, step, stream, label }) {
  const page = (/** @type {number} */ line) => `${href(pageOf(address), { step, stream })}#L${line}`;
  return html`<section class="difference" aria-label=${`${label}: lines around the first that differs`}>
    <h3>${label} <span class="faint number">${plural(side.total, "line")}</span></h3>
    <div class="lines" tabindex="0">
      ${side.lines.map(({ number, text }) => html`<div key=${number}
        class=${number === differing ? "difference-line first" : "difference-line"}>
      <a href=${page(number)} aria-label=${`Line ${number} in the log`}>${number}</a><span>${bare(text)}${"\n"}</span>
      </div>`)}
      ${side.lines.every(({ number }) => number < differing) && html`<p class="faint">
        ${side.total ? "The output ends here." : "No output"}</p>`}</div></section>`;
}
