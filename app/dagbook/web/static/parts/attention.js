// What needs attention: one sentence, in which each number is a link, and below it the details.

import { html } from "../vendor/core.js";
import { concernsOf, longRuns, sinceText, stuckQueues } from "../lib/attention.js";
import { duration, plural } from "../lib/format.js";
import { secondsOf } from "../lib/durations.js";
import { href } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { RUN } from "../lib/status.js";
import { useNow } from "../lib/use-now.js";
import { waitText } from "../lib/wait-text.js";
import { Status, Time, Truncated } from "./basic.js";
import { Icon } from "./icon.js";

const FAILURES = 12; // DAGs with failures
const DAY = 86400;

/**
 * @param {{ failed: RunSummary[], moreFailed: boolean, seen: number, begin: number, runs: RunSummary[],
 *   running: RunSummary[], queues: Api.Queue[], approvals: number, unscheduled: boolean, sources: Api.Source[],
 *   onSeen: () => void }} props
 */
export function Attention({ failed, moreFailed, seen, begin, runs, running, queues, onSeen, ...others }) {
  const now = useNow(30);
  const [stuck, long] = [stuckQueues(queues, now), longRuns(running, now)];
  const names = stuck.map(({ name }) => name);
  const since = sinceText(seen, begin);
  const observed = { failed: failed.length, moreFailed, since, queues: names, long: long.length, ...others };
  const concerns = concernsOf(observed, DAY);
  const worst = concerns.some(({ tone }) => tone === "bad") ? "bad" : concerns.length ? "wait" : "good";
  return html`<section class="attention card ${worst}" aria-label="Needs attention">
    <div class="row attention-line"><p role="status">
        <${Icon} name=${{ bad: "cross", wait: "wait", good: "check" }[worst]} />
        <span>${concerns.length ? concerns.map((one, index) => html`${index > 0 && ", "}<${Part} one=${one} />`)
          : "Nothing needs attention"}.</span></p>
      ${failed.length > 0 && html`<button type="button" onClick=${onSeen}>Mark failures as seen</button>`}</div>
    ${failed.length > 0 && html`<${Failures} failed=${failed} runs=${runs} />`}
    ${stuck.map((queue) => html`<${Stuck} key=${queue.name} queue=${queue} />`)}
    ${long.map((run) => html`<p key=${run.dagRunId} class="wait">
      <a href=${href(pageOf({ name: run.name, runId: run.dagRunId }))}>${run.name}</a>${" "}
      has been running for ${duration(secondsOf(run, now))}</p>`)}
    ${others.unscheduled && html`<p class="bad">What is due does not start until a server with a scheduler runs.</p>`}
  </section>`;
}

/** @param {{ queue: Api.Queue }} props */
function Stuck({ queue: { name, paused, queued } }) {
  const [head] = queued;
  const why = paused ? "the queue is paused" : head.waitingFor && waitText(head.waitingFor);
  return html`<p class="wait"><a href=${href("/queues")}>
    ${plural(queued.length, "run")} ${queued.length === 1 ? "waits" : "wait"} in ${name}</a>${why && `: ${why}`}</p>`;
}

/** @param {{ one: import("../lib/attention.js").Concern }} props */
function Part({ one }) {
  return html`<a class=${one.tone} href=${href(one.to, one.search)}>${one.link}</a>${one.rest}`;
}

/**
 * One row per DAG with its newest failure, so that one that fails every minute does not hide the others.
 * @param {{ failed: RunSummary[], runs: RunSummary[] }} props
 */
function Failures({ failed, runs }) {
  const byName = Map.groupBy(failed, ({ name }) => name);
  const rows = [...byName].slice(0, FAILURES);
  return html`<table class="stack"><tbody>${rows.map(([name, list]) => html`<${FailedRow} key=${name}
      name=${name} list=${list} latest=${runs.find((run) => run.name === name)} />`)}</tbody></table>
    ${byName.size > FAILURES && html`<p class="faint">
      ${FAILURES} of ${plural(byName.size, "DAG")} with failures, the newest first.</p>`}`;
}

/** @param {{ name: string, list: RunSummary[], latest?: RunSummary }} props */
function FailedRow({ name, list: [newest, ...earlier], latest }) {
  const later = latest && latest.dagRunId !== newest.dagRunId && latest.status !== RUN.FAILED ? latest : null;
  return html`<tr>
    <td><a class="wide-text" href=${href(pageOf({ name, runId: newest.dagRunId }))}>${name}</a></td>
    <td><${Status} of=${newest.status} /></td>
    <td><${Time} at=${newest.finishedAt} /></td>
    <td class="about">${newest.error && html`<${Truncated} text=${newest.error} />`}</td>
    <td>${later && html`<span class="faint">latest</span>${" "}
      <a class="plain" href=${href(pageOf({ name, runId: later.dagRunId }))}><${Status} of=${later.status}
        waiting=${later.waitingForApproval} /></a>`}</td>
    <td class="actions">
      ${earlier.length > 0 && html`<a href=${href("/dag-runs", { name, status: RUN.FAILED, within: DAY })}>
        ${earlier.length + 1} failures</a>`}</td></tr>`;
}
