// Timeline of the day: one row per DAG. Failed runs are taller than others, and have bars of their own.

import { html, useState } from "../vendor/core.js";
import { arrowNavigation, SIDEWAYS } from "../lib/arrow-nav.js";
import { axisOf, barsOf, ticksOf } from "../lib/day.js";
import { clock, duration, plural } from "../lib/format.js";
import { secondsOf, spanOf } from "../lib/durations.js";
import { href } from "../lib/router.js";
import { countsText, pageOf } from "../lib/runs.js";
import { RUN, isActive, lookOfRow } from "../lib/status.js";
import { useNow } from "../lib/use-now.js";

/** @typedef {import("../lib/day.js").Bar} Bar */

const DAY = 86400;
const ROWS = 20; // DAGs
const QUIET = 3600000; // milliseconds without a run at the start of the day that are worth a sentence
const moveAlong = arrowNavigation(".strip-run", SIDEWAYS);

/**
 * `runs` are the newest ones; with `more` there are earlier ones, of which those that failed are in `failed`.
 * @param {{ runs: RunSummary[], failed: RunSummary[], since: number, more: boolean }} props
 */
export function DayStrip({ runs: newest, failed, since, more }) {
  const known = new Set(newest.map((run) => run.dagRunId));
  const runs = [...newest, ...failed.filter((run) => !known.has(run.dagRunId))];
  const now = useNow(30, runs.some((run) => isActive(run.status)));
  const [opened] = useState(Date.now());
  const until = Math.max(opened, now);
  const axis = axisOf(runs, since, until);
  const byName = Map.groupBy(runs, ({ name }) => name);
  const all = [...byName].sort(([, one], [, other]) => Number(hasFailed(other)) - Number(hasFailed(one)));
  const rows = all.slice(0, ROWS).sort(([one], [other]) => one.localeCompare(other));
  const ticks = ticksOf(axis);
  return html`<div class="strip card">
    ${rows.map(([name, list]) => html`<div class="strip-row" key=${name}>
      <a class="cut" href=${href("/dag-runs", { name, within: DAY })} title=${name}>${name}</a>
      <div class="strip-track" role="group" aria-label=${`Runs of ${name}`} onKeyDown=${moveAlong}>
        ${ticks.map(({ left }) => html`<i key=${left} style=${{ left: `${left}%` }}></i>`)}
        ${barsOf(list, axis).map((bar, index, bars) => html`<${Drawn} key=${bar.key} bar=${bar} name=${name}
          until=${until} last=${index === bars.length - 1} />`)}</div></div>`)}
    <div class="strip-axis faint number" aria-hidden="true">
      <span>${ticks.map(({ text, left }) => html`<span key=${left} style=${{ left: `${left}%` }}>${text}</span>`)}
      </span></div>
    ${more ? html`<p class="faint small">
        Before ${clock(new Date(axisOf(newest, since, until).from))} only failed runs are shown.</p>`
      : axis.from - since > QUIET && html`<p class="faint small">Nothing ran before ${clock(new Date(axis.from))}.</p>`}
    ${byName.size > ROWS && html`<p class="faint small">
      ${ROWS} of ${plural(byName.size, "DAG")}: those with failures, then those that ran last.</p>`}</div>`;
}

/** @param {RunSummary[]} list */
const hasFailed = (list) => list.some((run) => run.status === RUN.FAILED);

/** @param {{ bar: Bar, name: string, until: number, last: boolean }} props */
function Drawn({ bar, name, until, last }) {
  const { runs, left, width } = bar;
  const { tone } = lookOfRow(runs[0]);
  const text = runs.length === 1 ? oneText(runs[0], until) : manyText(bar, until);
  const style = { left: `min(calc(100% - var(--least)), ${left}%)`, width: `max(var(--least), ${width}%)` };
  const to = runs.length === 1 ? href(pageOf({ name, runId: runs[0].dagRunId })) : listOf(bar, name);
  return html`<a class="strip-run ${tone}" style=${style} href=${to} title=${text} aria-label=${`${name}: ${text}`}
    tabindex=${last ? 0 : -1}></a>`;
}

/**
 * @param {RunSummary} run
 * @param {number} until
 */
function oneText(run, until) {
  const span = spanOf(run, until);
  return [
    lookOfRow(run).word,
    span && clock(new Date(span.from)),
    span && duration(secondsOf(run, until)),
  ].filter(Boolean).join(", ");
}

/**
 * "4 runs, 10:05 to 10:20: 1 aborted, 3 succeeded".
 * @param {Bar} bar
 * @param {number} until
 */
function manyText({ runs, from }, until) {
  const ends = runs.map((run) => spanOf(run, until)?.to ?? from);
  const times = `${clock(new Date(from))} to ${clock(new Date(Math.max(...ends)))}`;
  return `${runs.length} runs, ${times}: ${countsText(runs.map(lookOfRow))}`;
}

/**
 * The list of the runs of a bar, by the times at which they were queued or started.
 * @param {Bar} bar
 * @param {string} name
 */
function listOf({ runs, failed }, name) {
  const times = runs.map((run) => Date.parse(run.queuedAt || run.startedAt) / 1000);
  const [fromDate, toDate] = [Math.min(...times), Math.max(...times) + 1];
  return href("/dag-runs", { name, fromDate, toDate, ...(failed && { status: RUN.FAILED }) });
}
