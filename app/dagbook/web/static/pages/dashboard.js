// Dashboard: what needs attention, the runs of the last day, and the next starts. Every number is a link.

import { html, useState } from "../vendor/core.js";
import { plural } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { href } from "../lib/router.js";
import { spanOf } from "../lib/durations.js";
import { RUN, RUN_STATUSES, lookOfRow } from "../lib/status.js";
import { hasGrants } from "../lib/session.js";
import { store, stored } from "../lib/stored.js";
import { useTitle } from "../lib/title.js";
import { Attention } from "../parts/attention.js";
import { approvalCount } from "../parts/badge.js";
import { Empty, Loading, whenLoaded } from "../parts/basic.js";
import { DayStrip } from "../parts/daystrip.js";
import { FirstSteps } from "../parts/firststeps.js";
import { NextTime } from "../parts/clock.js";
import { Icon } from "../parts/icon.js";

const DAY = 86400;
const SEEN = "dagbook.seen"; // when the newest failure that was marked as seen ended, in milliseconds
const MOST = 500; // runs of the day
const RUNNING = 200;

const NEXT = 12; // DAGs with their next start

/** @type {Concerns} */
const onRun = (change) => change.kind === "run" && !change.root;
/** @type {Concerns} */
const onDag = (change) => change.kind === "dag";

/**
 * Mark failures as seen, up to the newest: the server's clock counts, not that of the browser.
 * @param {RunSummary[]} failed
 */
function markSeen(failed) {
  const newest = Math.max(...failed.map((run) => spanOf(run)?.to ?? 0));
  store(SEEN, String(newest));
  return newest;
}

export default function Dashboard() {
  useTitle("Dashboard");
  const [since] = useState(Math.floor(Date.now() / 60000) * 60 - DAY);
  const runs = useApi("dag-runs", { fromDate: since, limit: MOST }, onRun);
  // Of their own: the newest runs of a busy day may not reach back to a failure of last night, nor to a run that hangs.
  const failures = useApi("dag-runs", { fromDate: since, status: RUN.FAILED, limit: MOST }, onRun);
  const running = useApi("dag-runs", { fromDate: 0, status: RUN.RUNNING, limit: RUNNING }, onRun);
  const queues = useApi("queues", {}, (change) => change.kind === "queue" || onRun(change));
  const upcoming = useApi("schedules/upcoming", { limit: 300, perDag: 1 }, onDag);
  const schedulers = useApi("services/scheduler");
  const sources = useApi(hasGrants.value ? null : "sources", {}, onDag); // with grants there is no list of them
  const isQuiet = runs.data?.dagRuns.length === 0 && queues.data?.queues.every((queue) => !queue.queued.length);
  const dags = useApi(isQuiet && !hasGrants.value ? "dags" : null, { perPage: 1 }, onDag);
  const [seen, setSeen] = useState(() => Number(stored(SEEN)));
  if (isQuiet && dags.data?.pagination?.totalRecords === 0) return html`<${FirstSteps} />`;
  const failed = (failures.data?.dagRuns ?? []).filter((run) => (spanOf(run)?.to ?? 0) > seen);
  const starts = upcoming.data?.upcoming ?? [];
  const unscheduled = schedulers.data && starts.length > 0
    && !schedulers.data.schedulers.some(({ status }) => status === "active");
  // The first box grows with each answer: what stands below it would move.
  if (!approvalCount.value || [runs, failures, running, queues, schedulers, sources].some(({ loading }) => loading))
    return html`<h1>Dashboard</h1><${Loading} what="dashboard" />`;
  return html`<h1>Dashboard</h1>
    ${whenLoaded(failures, "failures", ({ nextCursor }) => html`<${Attention} failed=${failed}
      moreFailed=${Boolean(nextCursor)} seen=${seen} begin=${since * 1000} runs=${runs.data?.dagRuns ?? []}
      running=${running.data?.dagRuns ?? []} queues=${queues.data?.queues ?? []}
      approvals=${approvalCount.value?.open ?? 0} unscheduled=${Boolean(unscheduled)}
      sources=${sources.data?.sources ?? []}
      onSeen=${() => setSeen(markSeen(failed))} />`)}
    <div class="dashboard">
      <section aria-label="The last 24 hours"><h2>The last 24 hours</h2>
        ${whenLoaded(runs, "runs", ({ dagRuns, nextCursor }) => (dagRuns.length ? html`
          <${Counts} runs=${dagRuns} more=${Boolean(nextCursor)} />
          <${DayStrip} runs=${dagRuns} failed=${failures.data?.dagRuns ?? []} since=${since * 1000}
            more=${Boolean(nextCursor)} />`
        : html`<${Empty} title="No run in the last 24 hours">
          <p>Start a <a href=${href("/dags")}>DAG</a>, or add a schedule to one.</p><//>`))}</section>
      <section aria-label="Next starts"><h2>Next starts</h2>
        ${whenLoaded(upcoming, "next starts", ({ upcoming: list }) => html`<${NextStarts} starts=${list} />`)}</section>
    </div>`;
}

/**
 * How many runs have each status: the legend of the timeline, and links to the lists.
 * @param {{ runs: RunSummary[], more: boolean }} props
 */
function Counts({ runs, more }) {
  const counts = RUN_STATUSES.map(({ key, look }) => ({
    key,
    look,
    count: runs.filter((run) => lookOfRow(run) === look).length,
  })).filter(({ count }) => count);
  return html`<p class="row counts">
    ${counts.map(({ key, look, count }) => html`<a key=${key} class=${`status ${look.tone}`}
      href=${href("/dag-runs", { status: key, within: DAY })}><${Icon} name=${look.icon} />
      ${count}${more ? "+" : ""} ${look.word}</a>`)}
    ${more && html`<a class="small" href=${href("/dag-runs", { within: DAY })}>
      These are the ${MOST} newest. Show all</a>`}</p>`;
}

/**
 * The next start of each DAG, so that one that starts every minute does not hide the others.
 * @param {{ starts: Api.Upcoming[] }} props
 */
function NextStarts({ starts }) {
  const first = new Map();
  for (const one of starts) if (one.kind === "start" && !one.suspended && !first.has(one.fileName))
    first.set(one.fileName, one);
  const rows = [...first.values()];
  if (!rows.length) return html`<p class="faint">
    Nothing is scheduled. Add a line such as <code>schedule: "0 3 * * *"</code> to a <a href=${href("/dags")}>DAG</a>.
    </p>`;
  return html`<table class="stack next-starts"><tbody>${rows.slice(0, NEXT).map((one) => html`<tr key=${one.fileName}>
      <td><a class="wide-text" href=${href(["dags", one.fileName])}>${one.dagName}</a></td>
      <td class="number"><${NextTime} at=${one.at} zone=${one.zone} /></td></tr>`)}</tbody></table>
    <p><a href=${href("/schedules")}>All schedules</a>
      ${rows.length > NEXT && html`<span class="faint">: ${plural(rows.length - NEXT, "more DAG")}</span>`}</p>`;
}
