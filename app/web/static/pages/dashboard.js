// First what needs somebody, then the day, then what comes next. Every number is a link.

import { html, useState } from "../vendor/core.js";
import { duration, instant, plural } from "../lib/format.js";
import { useLoad } from "../lib/load.js";
import { useNow } from "../lib/now.js";
import { href } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { secondsOf, spanOf } from "../lib/spans.js";
import { isActive, runStatus, RUN_STATUSES } from "../lib/status.js";
import { useTitle } from "../lib/title.js";
import { Empty, Loaded, Status, Time } from "../parts/basic.js";

const DAY = 86400;
const SEEN = "dagbook.seen";
const MOST = 500;

const NEXT = 12; // DAGs whose next start is shown

const onRun = (change) => change.kind === "run" && !change.root;

/** The next start of each DAG: one that starts every minute does not push out the others. */
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
  const runs = useLoad("dag-runs", { fromDate: since, limit: MOST }, onRun);
  const queues = useLoad("queues", {}, (change) => change.kind === "queue" || onRun(change));
  const upcoming = useLoad("schedules/upcoming", { limit: 300, perDag: 1 }, (change) => change.kind === "dag");
  const schedulers = useLoad("services/scheduler");
  return html`<h1>Dashboard</h1>
    <${Loaded} from=${runs} what="runs">${({ dagRuns, nextCursor }) => html`
      <${Attention} runs=${dagRuns} queues=${queues.data?.queues ?? []} upcoming=${upcoming.data?.upcoming ?? []} schedulers=${schedulers.data?.schedulers} />
      <section aria-label="The last 24 hours"><h2>The last 24 hours</h2><${Counts} runs=${dagRuns} more=${Boolean(nextCursor)} /><${Strip} runs=${dagRuns} since=${since * 1000} /></section>`}<//>
    <section aria-label="Next starts"><h2>Next starts</h2>
      <${Loaded} from=${upcoming} what="next starts">${({ upcoming: list }) => (list.length
        ? html`<table class="stack"><tbody>${firstOfEach(list).map((one, index) => html`<tr key=${index}><td><${Time} at=${one.at} zone=${one.zone} /></td><td><a class="wide-text" href=${href(["dags", one.fileName])}>${one.dagName}</a></td><td class="faint">${one.kind}${one.suspended ? ", suspended" : ""}</td></tr>`)}</tbody></table><p><a href=${href("/schedules")}>All schedules</a></p>`
        : html`<p class="faint">Nothing is scheduled.</p>`)}<//></section>`;
}

function Attention({ runs, queues, upcoming, schedulers }) {
  const [seen, setSeen] = useState(seenAt());
  const now = useNow(30);
  const failed = runs.filter((run) => run.status === 2 && (spanOf(run)?.to ?? 0) > seen);
  const stuck = queues.filter((queue) => queue.queued.length > 0);
  const long = runs.filter((run) => run.status === 1 && secondsOf(run, now) > DAY / 4);
  const unscheduled = schedulers && upcoming.length > 0 && !schedulers.some(({ status }) => status === "active");
  const look = () => {
    setSeen(Date.now());
    try {
      window.localStorage.setItem(SEEN, String(Date.now()));
    } catch {
      // they are marked until the page is left
    }
  };
  const calm = !failed.length && !stuck.length && !long.length && !unscheduled;
  return html`<section class="attention" aria-label="Needs attention"><div class="row"><h2>Needs attention</h2><span class="grow"></span>${failed.length > 0 && html`<button type="button" onClick=${look}>Mark failures as seen</button>`}</div>
    ${calm && html`<p class="good">Nothing does.</p>`}
    ${unscheduled && html`<p class="bad">No server schedules: what is due will not start. <a href=${href("/workers")}>Servers</a></p>`}
    ${failed.length > 0 && html`<table class="stack"><tbody>${failed.slice(0, 12).map((run) => html`<tr key=${`${run.name}/${run.dagRunId}`}>
      <td><a class="wide-text" href=${href(pageOf({ name: run.name, runId: run.dagRunId }))}>${run.name}</a></td><td><${Status} of=${run.status} /></td><td><${Time} at=${run.finishedAt} /></td><td class="faint">${run.trigger}</td></tr>`)}</tbody></table>
      <p><a href=${href("/dag-runs", { status: 2, within: DAY })}>${plural(failed.length, "failure")} in a day</a></p>`}
    ${stuck.map((queue) => html`<p key=${queue.name} class="wait"><a href=${href("/queues")}>${plural(queue.queued.length, "run")} wait in ${queue.name}</a>: ${queue.paused ? "the queue is paused" : queue.queued[0].waitingFor?.message}</p>`)}
    ${long.map((run) => html`<p key=${run.dagRunId} class="wait"><a href=${href(pageOf({ name: run.name, runId: run.dagRunId }))}>${run.name}</a> runs for ${duration(secondsOf(run, now))}</p>`)}
  </section>`;
}

function Counts({ runs, more }) {
  const counts = RUN_STATUSES.map(({ number, word }) => ({ number, word, count: runs.filter((run) => run.status === number).length })).filter(({ count }) => count);
  if (!runs.length) return html`<${Empty} title="No run in the last 24 hours"><p>Start a <a href=${href("/dags")}>DAG</a>, or give one a schedule.</p><//>`;
  return html`<p class="row">${counts.map(({ number, word, count }) => html`<a key=${number} class=${`tag ${runStatus(number).tone}`} href=${href("/dag-runs", { status: number, within: DAY })}>${count}${more ? "+" : ""} ${word}</a>`)}</p>`;
}

/** One row for each DAG, each run where it ran; a short one is still wide enough to be seen. */
function Strip({ runs, since }) {
  const active = runs.some((run) => isActive(run.status));
  const now = useNow(30, active);
  const [end] = useState(Date.now());
  const until = Math.max(end, now);
  const rows = new Map();
  for (const run of runs) {
    if (!rows.has(run.name)) rows.set(run.name, []);
    rows.get(run.name).push(run);
  }
  const at = (time) => ((Math.max(time, since) - since) / (until - since)) * 100;
  return html`<div class="strip">${[...rows].slice(0, 20).map(([name, list]) => html`<div class="strip-row" key=${name}><a class="cut" href=${href("/dag-runs", { name, within: DAY })} title=${name}>${name}</a>
    <div class="strip-track">${list.map((run) => {
      const span = spanOf(run, until) ?? { from: instant(run.queuedAt)?.getTime() ?? until, to: until };
      const { word, tone } = runStatus(run.status);
      return html`<a key=${run.dagRunId} class="strip-run ${tone}" style=${{ left: `min(calc(100% - 4px), ${at(span.from)}%)`, width: `max(4px, ${at(span.to) - at(span.from)}%)` }} title=${`${word}, ${duration(secondsOf(run, until))}`} aria-label=${`${name}: ${word}`} href=${href(pageOf({ name: run.name, runId: run.dagRunId }))}></a>`;
    })}</div></div>`)}</div>`;
}
