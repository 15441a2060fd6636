// Header of the run page in three lines: name, status, duration and actions; the reason; and what is known of the run.

import { html, useState } from "../vendor/core.js";
import { clock, duration, instant, plural, secondsOf, short } from "../lib/format.js";
import { pairsOf } from "../lib/params.js";
import { useApi } from "../lib/use-api.js";
import { useNow } from "../lib/clock.js";
import { href } from "../lib/router.js";
import { UNKNOWN, lookOfRun, pageOf, pathOf } from "../lib/runs.js";
import { RUN, isActive, isOver, runStatus } from "../lib/status.js";
import { Id, Status, Time } from "./basic.js";
import { Told } from "./receipts.js";
import { RunActions } from "./runactions.js";
import { hasDetails, toggleDetails } from "./splitter.js";

/** @import { Banner } from "../../types/ui" */

const INLINE = 3; // params that share the line with the other facts
const FEWEST = 3; // successful runs that have a median worth showing
const LONG = 120; // characters of a reason that may not fit its line

/**
 * `step` is the chosen step of this run, `isShown` whether the step of the banner is.
 * @param {{ address: RunAddress, run: Run, reload: Reload, step?: string | null,
 *   banner: Banner | null, isShown: boolean, onChoose: import("../../types/ui").OnChoose }} props
 */
export function RunHeader({ address, run, reload, step, banner, isShown, onChoose }) {
  const isRoot = run.rootDAGRunId === run.dagRunId && !address.subRunId;
  const { data: usual } = useApi(isRoot ? ["dags", run.name, "statistics"] : null, {});
  const toRun = pageOf(address).slice(1).join("/");
  const isBad = run.status === RUN.FAILED || run.status === RUN.ABORTED;
  const isOnly = usual?.lastRuns.every(({ dagRunId }) => dagRunId === run.dagRunId); // nothing to compare with
  const isPartial = run.status === RUN.PARTIALLY_SUCCEEDED;
  return html`<header class="run-header">
    <div class="run-title">
      ${!isRoot && html`<span class="cut"><a href=${href(["dags", run.rootDAGRunName])}>${run.rootDAGRunName}</a> ▸
        <a href=${href(pageOf({ name: run.rootDAGRunName, runId: run.rootDAGRunId }))}
          title=${run.rootDAGRunId}>run ${short(run.rootDAGRunId)}</a> ▸</span>`}
      <h1 class="cut">${!isRoot && !run.revision ? run.name : html`<a href=${href(["dags", run.name])}>${run.name}</a>`}
      </h1>
      <span class="faint">▸ ${isRoot ? "run" : "sub-run"}</span><${Id} of=${run.dagRunId} />
      <span role="status"><${Status} look=${lookOfRun(run)} /></span>
      <${Took} run=${run} usual=${usual} />
      <span class="grow"></span>
      <${Neighbours} run=${run} last=${usual?.lastRuns ?? []} />
      <a class=${instant(run.startedAt) && !isOnly ? "button" : "button kept"} href=${href("/compare", { run: toRun })}>
        Compare${isBad && isRoot && html` <span class="if-wide">with last good</span>`}</a>
      <button type="button" aria-pressed=${hasDetails()} onClick=${toggleDetails}>Details</button>
      <${RunActions} address=${address} run=${run} step=${step} reload=${reload} /></div>
    ${banner && html`<${Why} banner=${banner} isShown=${isShown} onChoose=${onChoose} />`}
    <${Facts} run=${run} hasLastGood=${isBad && isRoot} hasTold=${isRoot && (isBad || isPartial)} /></header>`;
}

/** @param {{ run: Run, usual: Api.DAGStatistics | null }} props */
function Took({ run, usual }) {
  const now = useNow(1, isActive(run.status));
  if (!instant(run.startedAt)) return null;
  const known = usual?.p50Seconds !== undefined && usual.succeeded >= FEWEST;
  return html`<span class="number took" title=${known ? `Median ${duration(usual.p50Seconds)}, 95% under ${
    duration(usual.p95Seconds)}, of ${plural(usual.succeeded, "successful run")}` : null}>
    <strong>${duration(secondsOf(run, now))}${isOver(run.status) ? "" : " so far"}</strong>
    ${known && html` <span class="faint">(usually ${duration(usual.p50Seconds)})</span>`}</span>`;
}

/**
 * Why the run waits, failed or was aborted; the place of the button is kept, so that a choice moves nothing.
 * @param {{ banner: Banner, isShown: boolean, onChoose: import("../../types/ui").OnChoose }} props
 */
function Why({ banner: { names, text, tone, target }, isShown, onChoose }) {
  const [whole, setWhole] = useState(false);
  return html`<div class=${text === UNKNOWN ? `why unknown ${tone}` : `why ${tone}`}>
    ${names.length > 0 && html`<strong>${names.join(" › ")}</strong>`}<span class=${whole ? "whole" : "cut"}
      title=${text}>${text}</span>
    ${text.length > LONG && html`<button type="button" class="quiet" aria-expanded=${whole}
      onClick=${() => setWhole(!whole)}>${whole ? "less" : "more"}</button>`}
    ${target && html`<button type="button" class=${isShown ? "quiet kept" : "quiet"}
      onClick=${() => onChoose(target.step, target.subRunId)}>
      Show ${tone === "wait" ? "the question" : "its output"}</button>`}</div>`;
}

/**
 * Links to the finished runs of the DAG before and after this one, as far as they are among the latest.
 * @param {{ run: Run, last: Api.EndedRun[] }} props
 */
function Neighbours({ run, last }) {
  const at = last.findIndex(({ dagRunId }) => dagRunId === run.dagRunId);
  const older = at < 0 && !isActive(run.status) ? undefined : last[at + 1];
  return html`<span class="neighbours">
    ${older && html`<${Neighbour} run=${older} name=${run.name} label="Previous run">←<//>`}
    ${at > 0 && html`<${Neighbour} run=${last[at - 1]} name=${run.name} label="Next run">→<//>`}</span>`;
}

/** @param {{ run: Api.EndedRun, name: string, label: string, children?: Children }} props */
function Neighbour({ run, name, label, children }) {
  const begun = clock(run.startedAt);
  const text = `${label}: ${runStatus(run.status).word}${begun && `, ${begun}`}`;
  return html`<a href=${href(pageOf({ name, runId: run.dagRunId }))} aria-label=${text} title=${text}>${children}</a>`;
}

/** @param {{ run: Run, hasLastGood: boolean, hasTold: boolean }} props */
function Facts({ run, hasLastGood, hasTold }) {
  const params = pairsOf(run.paramsList);
  const [open, setOpen] = useState(false);
  const many = params.length > INLINE;
  return html`<dl class="run-facts">
      ${instant(run.startedAt) && html`<${Fact} name="Started"><${Time} at=${run.startedAt} words=${false} />${" "}
        <span class="faint">(<${Time} at=${run.startedAt} />)</span><//>`}
      ${run.queuedAt && html`<${Fact} name="Queued"><${Time} at=${run.queuedAt} /><//>`}
      ${startedBy(run) && html`<${Fact} name="Started by">${startedBy(run)}<${Event} of=${run.triggerEvent} /><//>`}
      ${run.batch && html`<${Fact} name="Of" class="of-batch"><a
        href=${href(["batches", String(run.batch.id)])}>batch ${run.batch.id}</a>
        ${" "}${run.batch.createdBy && `of ${run.batch.createdBy}`}${run.batch.reason && `: ${run.batch.reason}`}<//>`}
      ${run.beganFrom && html`<${Fact} name="Began">from the outputs of run <a title=${run.beganFrom}
        href=${href(pageOf({ name: run.name, runId: run.beganFrom }))}>${short(run.beganFrom)}</a><//>`}
      ${instant(run.scheduledAt) && html`<${Fact} name="Scheduled for">
        <${Time} at=${run.scheduledAt} words=${false} /><//>`}
      ${(run.attempt ?? 0) > 1 && html`<${Fact} name="Attempt">${run.attempt}<//>`}
      ${run.revision && html`<${Fact} name="Revision">
        <a href=${href(["dags", run.name, "revisions"], { number: run.revision })}>${run.revision}</a><//>`}
      ${run.parentDAGRunId && html`<${Fact} name="Called by"><a href=${href(parentPage(run))}>${run.parentDAGRunName}
        </a><//>`}
      ${hasTold && html`<${Fact} name="Told" class="told"><${Told} run=${run} /><//>`}
      ${hasLastGood && html`<${LastGood} run=${run} />`}
      ${params.length > 0 && html`<${Fact} name="Parameters">${many ? html`<button type="button" class="tag"
        aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? "hide" : `show all ${params.length}`}</button>`
        : html`<${Chips} params=${params} />`}<//>`}
    </dl>
    ${many && open && html`<${Chips} params=${params} isLines />`}`;
}

/** @param {{ name: string, class?: string, children?: Children }} props */
function Fact({ name, class: look = "", children }) {
  return html`<div class=${look}><dt>${name}</dt><dd>${children}</dd></div>`;
}

/** @param {{ params: ReturnType<typeof pairsOf>, isLines?: boolean }} props */
function Chips({ params, isLines }) {
  return html`<span class=${isLines ? "chips lines" : "chips"}>${params.map(({ name, value }, index) => html`<span
    class="chip" key=${index} title=${`${name}=${value}`}><span class="faint">${name}=</span><strong>${value}</strong>
    </span>`)}</span>`;
}

/** The event that a run was started for. @param {{ of?: Api.EventOfRun }} props */
const Event = ({ of: event }) => event && html`, event <a href=${href(["triggers", event.trigger, "events", event.id])}>
  <code>${short(event.id)}</code></a> of <a href=${href(["triggers", event.trigger])}>${event.trigger}</a>`;

/** The last good run before this one, and what differs; its place is kept until then. @param {{ run: Run }} props */
function LastGood({ run }) {
  const { data } = useApi([...pathOf({ name: run.name, runId: run.dagRunId }), "last-good"]);
  const good = data?.run;
  return html`<${Fact} name="Last good" class="last-good">${good ? html`<a
      href=${href(pageOf({ name: run.name, runId: good.dagRunId }))}>
      ${clock(good.startedAt) || short(good.dagRunId)}</a>
      ${good.revision && run.revision && ` · revision ${good.revision} → ${run.revision}`} · ${
        good.sameParams ? "same parameters" : "other parameters"}` : data ? "never" : ""}<//>`;
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
