// Dashboard: problems first, then the runs of the day, then upcoming starts. Every number is a link.

import { html, useState } from "../vendor/core.js";
import { duration, hour, instant, plural } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { useNow } from "../lib/use-now.js";
import { href } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { secondsOf, spanOf } from "../lib/durations.js";
import { RUN, RUN_STATUSES, isActive, runStatus } from "../lib/status.js";
import { hasGrants } from "../lib/session.js";
import { useTitle } from "../lib/title.js";
import { waitText } from "../lib/wait-text.js";
import { Empty, whenLoaded, Status, Time } from "../parts/basic.js";
import { FirstSteps } from "../parts/firststeps.js";

const DAY = 86400;
const SEEN = "dagbook.seen";
const MOST = 500;

const HOUR = 3600000; // milliseconds
const NEXT = 12; // DAGs with their next start
const STRIPS = 20; // DAGs in the timeline of the day
const FAILURES = 12; // DAGs with failures

/** @type {Concerns} */
const onRun = (change) => change.kind === "run" && !change.root;
/** @type {Concerns} */
const onDag = (change) => change.kind === "dag";

/**
 * The next start of each DAG, so that one that starts every minute does not hide the others.
 * @param {Api.Upcoming[]} starts
 */
function firstOfEach(starts) {
  const first = new Map();
  for (const one of starts) if (!first.has(one.fileName)) first.set(one.fileName, one);
  return [...first.values()].slice(0, NEXT);
}

/** When the failures were last marked as seen, in milliseconds. */
function seenAt() {
  try {
    return Number(window.localStorage.getItem(SEEN) ?? 0);
  } catch {
    return 0;
  }
}

export default function Dashboard() {
  useTitle("Dashboard");
  const [since] = useState(Math.floor(Date.now() / 60000) * 60 - DAY);
  const runs = useApi("dag-runs", { fromDate: since, limit: MOST }, onRun);
  const queues = useApi("queues", {}, (change) => change.kind === "queue" || onRun(change));
  const upcoming = useApi("schedules/upcoming", { limit: 300, perDag: 1 }, onDag);
  const schedulers = useApi("services/scheduler");
  const isQuiet = runs.data?.dagRuns.length === 0 && queues.data?.queues.every((queue) => !queue.queued.length);
  const dags = useApi(isQuiet && !hasGrants.value ? "dags" : null, { perPage: 1 }, onDag);
  const [seen, setSeen] = useState(seenAt());
  const failed = (runs.data?.dagRuns ?? []).filter((run) => run.status === RUN.FAILED && (spanOf(run)?.to ?? 0) > seen);
  const mark = () => setSeen(markSeen());
  if (isQuiet && dags.data?.pagination?.totalRecords === 0) return html`<${FirstSteps} />`;
  return html`<h1>Dashboard</h1>
    ${whenLoaded(runs, "runs", ({ dagRuns, nextCursor }) => html`
      <${Figures} runs=${dagRuns} failed=${failed} queues=${queues.data?.queues} upcoming=${upcoming.data?.upcoming}
        more=${Boolean(nextCursor)} />
      <${Attention} runs=${dagRuns} failed=${failed} queues=${queues.data?.queues ?? []}
        upcoming=${upcoming.data?.upcoming ?? []} schedulers=${schedulers.data?.schedulers} onSeen=${mark} />
      <section aria-label="The last 24 hours"><h2>The last 24 hours</h2>
        <${Counts} runs=${dagRuns} more=${Boolean(nextCursor)} /><${Strip} runs=${dagRuns} since=${since * 1000} />
        </section>`)}
    <section aria-label="Next starts"><h2>Next starts</h2>
      ${whenLoaded(upcoming, "next starts", ({ upcoming: list }) => (list.length
        ? html`<table class="stack">
          <tbody>
            ${firstOfEach(list).map((one) => html`<tr key=${one.fileName}>
              <td><a class="wide-text" href=${href(["dags", one.fileName])}>${one.dagName}</a></td>
              <td><${Time} at=${one.at} zone=${one.zone} /></td>
              <td class="faint">
                ${one.suspended ? "suspended: it will not" : html`<${Time} at=${one.at} zone=${one.zone}
                  words=${false} />`}</td></tr>`)}</tbody></table><p><a href=${href("/schedules")}>All schedules</a>
                  </p>`
        : html`<p class="faint">
          Nothing is scheduled. Give a <a href=${href("/dags")}>DAG</a> a line such as <code>
            schedule: "0 3 * * *"</code>.</p>`))}</section>`;
}

function markSeen() {
  const now = Date.now();
  try {
    window.localStorage.setItem(SEEN, String(now));
  } catch {
    // they are marked until the page is left
  }
  return now;
}

/**
 * Four totals, each with a link to what it counts.
 * @param {{ runs: RunSummary[], failed: RunSummary[], queues?: Api.Queue[], upcoming?: Api.Upcoming[],
 *   more: boolean }} props
 */
function Figures({ runs, failed, queues = [], upcoming = [], more }) {
  const waiting = queues.flatMap((queue) => queue.queued);
  const running = runs.filter((run) => run.status === RUN.RUNNING);
  const soon = upcoming.filter(
    (one) => one.kind === "start" && !one.suspended && new Date(one.at).getTime() - Date.now() < HOUR,
  );
  const plus = more ? "+" : "";
  return html`<div class="figures">
    <${Figure} to=${href("/dag-runs", { status: RUN.FAILED, within: DAY })} count=${`${failed.length}${plus}`}
      tone=${failed.length ? "bad" : ""} what="failed since you last looked">${named(failed)}<//>
    <${Figure} to=${href("/queues")} count=${waiting.length} tone=${waiting.length ? "wait" : ""} what="waiting">
      ${named(waiting)}<//>
    <${Figure} to=${href("/dag-runs", { status: RUN.RUNNING })} count=${`${running.length}${plus}`}
      tone=${running.length ? "busy" : ""} what="running">${named(running)}<//>
    <${Figure} to=${href("/schedules")} count=${soon.length}
      what=${`${soon.length === 1 ? "DAG starts" : "DAGs start"} in the next hour`}>
      ${soon.length > 0 && html`first: ${soon[0].dagName} <${Time} at=${soon[0].at} />`}<//>
  </div>`;
}

/**
 * The DAGs of some runs, the first ones by name.
 * @param {RunSummary[]} runs
 */
function named(runs) {
  const names = [...new Set(runs.map((run) => run.name))];
  return names.length > 2 ? `${names.slice(0, 2).join(", ")} and ${names.length - 2} more` : names.join(", ");
}

/** @param {{ to: string, count: string | number, what: string, tone?: string, children?: Children }} props */
function Figure({ to, count, what, tone = "", children }) {
  return html`<a class="card" href=${to}><strong class=${`number ${tone}`}>${count}</strong>${what}
    <span class="faint small cut">${children || html`\u00a0`}</span></a>`;
}

/**
 * @param {{ runs: RunSummary[], failed: RunSummary[], queues: Api.Queue[], upcoming: Api.Upcoming[],
 *   schedulers?: Api.SchedulerInstance[], onSeen: () => void }} props
 */
function Attention({ runs, failed, queues, upcoming, schedulers, onSeen }) {
  const now = useNow(30);
  const stuck = queues.filter((queue) => queue.queued.length > 0);
  const long = runs.filter((run) => run.status === RUN.RUNNING && (secondsOf(run, now) ?? 0) > DAY / 4);
  const unscheduled = schedulers && upcoming.length > 0 && !schedulers.some(({ status }) => status === "active");
  const calm = !failed.length && !stuck.length && !long.length && !unscheduled;
  return html`<section class="attention" aria-label="Needs attention">
    <div class="row"><h2>Needs attention</h2><span class="grow"></span>
      ${failed.length > 0 && html`<button type="button" onClick=${onSeen}>Mark failures as seen</button>`}</div>
    ${calm && html`<p class="good">Nothing does.</p>`}
    ${unscheduled && html`<p class="bad">
      No server schedules: what is due will not start. <a href=${href("/workers")}>Servers</a></p>`}
    ${failed.length > 0 && html`<${Failures} runs=${failed} />`}
    ${stuck.map((queue) => html`<p key=${queue.name} class="wait">
      <a href=${href("/queues")}>
        ${plural(queue.queued.length, "run")} ${queue.queued.length === 1 ? "waits" : "wait"} in ${queue.name}</a>
        : ${queue.paused ? "the queue is paused" : queue.queued[0].waitingFor && waitText(queue.queued[0].waitingFor)}
        </p>`)}
    ${long.map((run) => html`<p key=${run.dagRunId} class="wait">
      <a href=${href(pageOf({ name: run.name, runId: run.dagRunId }))}>${run.name}
      </a> runs for ${duration(secondsOf(run, now))}</p>`)}
  </section>`;
}

/**
 * One row per DAG with its newest failure, so that one that fails every minute does not hide the others.
 * @param {{ runs: RunSummary[] }} props
 */
function Failures({ runs }) {
  /** @type {Map<string, RunSummary[]>} */
  const byName = new Map();
  for (const run of runs) byName.set(run.name, [...(byName.get(run.name) ?? []), run]);
  const rows = [...byName].slice(0, FAILURES);
  return html`<table class="stack"><tbody>${rows.map(([name, [newest, ...earlier]]) => html`<tr key=${name}>
      <td><a class="wide-text" href=${href(pageOf({ name, runId: newest.dagRunId }))}>${name}</a></td>
      <td><${Status} of=${newest.status} /></td><td><${Time} at=${newest.finishedAt} /></td>
      <td class="actions">
        ${earlier.length > 0 && html`<a href=${href("/dag-runs", { name, status: RUN.FAILED, within: DAY })}>
          ${earlier.length + 1} times in a day</a>`}</td></tr>`)}</tbody></table>
    <p><a href=${href("/dag-runs", { status: RUN.FAILED, within: DAY })}>${plural(runs.length, "failure")} in a day</a>
      ${byName.size > FAILURES && ` of ${plural(byName.size, "DAG")}`}</p>`;
}

/** @param {{ runs: RunSummary[], more: boolean }} props */
function Counts({ runs, more }) {
  const counts = RUN_STATUSES.map(({ number, word }) => ({
    number,
    word,
    count: runs.filter((run) => run.status === number).length,
  })).filter(({ count }) => count);
  if (!runs.length) return html`<${Empty} title="No run in the last 24 hours">
    <p>Start a <a href=${href("/dags")}>DAG</a>, or give one a schedule.</p><//>`;
  return html`<p class="row">
    ${counts.map(({ number, word, count }) => html`<a key=${number} class=${`tag ${runStatus(number).tone}`}
      href=${href("/dag-runs", { status: number, within: DAY })}>${count}${more ? "+" : ""} ${word}</a>`)}</p>`;
}

/**
 * Timeline: one row per DAG, one bar per run; short bars have a visible minimum width.
 * @param {{ runs: RunSummary[], since: number }} props
 */
function Strip({ runs, since }) {
  const active = runs.some((run) => isActive(run.status));
  const now = useNow(30, active);
  const [end] = useState(Date.now());
  const until = Math.max(end, now);
  /** @type {Map<string, RunSummary[]>} */
  const rows = new Map();
  for (const run of runs) rows.set(run.name, [...(rows.get(run.name) ?? []), run]);
  if (!runs.length) return null;
  const at = (/** @type {number} */ time) => ((Math.max(time, since) - since) / (until - since)) * 100;
  const ticks = [0, 1, 2, 3, 4].map((part) => hour(new Date(since + ((until - since) * part) / 4)));
  return html`<div class="strip card">
    ${[...rows].slice(0, STRIPS).map(([name, list]) => html`<div class="strip-row" key=${name}>
      <a class="cut" href=${href("/dag-runs", { name, within: DAY })} title=${name}>${name}</a>
    <div class="strip-track">${list.map((run) => {
      const span = spanOf(run, until) ?? { from: instant(run.queuedAt)?.getTime() ?? until, to: until };
      const { word, tone } = runStatus(run.status);
      const [left, width] = [at(span.from), at(span.to) - at(span.from)];
      const style = { left: `min(calc(100% - 4px), ${left}%)`, width: `max(4px, ${width}%)` };
      return html`<a key=${run.dagRunId} class="strip-run ${tone}"
        style=${style} title=${`${word}, ${duration(secondsOf(run, until))}`} aria-label=${`${name}: ${word}`}
        href=${href(pageOf({ name: run.name, runId: run.dagRunId }))}></a>`;
    })}</div></div>`)}
    ${rows.size > STRIPS && html`<p class="faint small">The ${STRIPS} DAGs that ran last, of ${rows.size}.</p>`}
    <div class="strip-axis faint number" aria-hidden="true">
      <span>${ticks.map((text, index) => html`<span key=${index}>${text}</span>`)}</span></div></div>`;
}
