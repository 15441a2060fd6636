// Durations of the latest runs as points on a line, with the median, and axes of durations and of starts. Failed
// and aborted runs have shapes of their own.

import { html } from "../vendor/core.js";
import { arrowNavigation, SIDEWAYS } from "../lib/arrow-nav.js";
import { clock, duration, exact, plural } from "../lib/format.js";
import { href } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { runStatus } from "../lib/status.js";
import { Icon } from "./basic.js";
import "./tooltip.js";

const ROOM = 1.12; // above the longest
const moveAlong = arrowNavigation(".spark-point", SIDEWAYS);

/** @param {{ statistics: Api.DAGStatistics }} props */
export function Sparkline({ statistics: { dagName, lastRuns, p50Seconds: median } }) {
  const runs = lastRuns.filter((run) => run.durationSeconds !== undefined).reverse();
  if (!runs.length) return null;
  const longest = Math.max(0.001, median ?? 0, ...runs.map((run) => run.durationSeconds ?? 0));
  const top = longest * ROOM;
  const place = (/** @type {number} */ index) => (100 * (index + 0.5)) / runs.length;
  const height = (/** @type {number | undefined} */ seconds) => (100 * (seconds ?? 0)) / top;
  const line = runs.map((run, index) => `${place(index)},${100 - height(run.durationSeconds)}`).join(" ");
  return html`<div class="spark" role="group" onKeyDown=${moveAlong}
    aria-label=${`Durations of the last ${plural(runs.length, "run")}, the newest last`}>
    ${[longest, 0].map((seconds) => html`<span key=${seconds} class="spark-tick" aria-hidden="true"
      style=${{ bottom: `${height(seconds)}%` }}><span>${seconds ? duration(seconds) : "0"}</span></span>`)}
    ${median !== undefined && html`<span class="spark-median" style=${{ bottom: `${height(median)}%` }}
      data-tip=${`Median ${duration(median)}`}></span>`}
    <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true"><polyline points=${line} /></svg>
    ${runs.map((run, index) => html`<${Point} key=${run.dagRunId} run=${run} name=${dagName}
      style=${{ left: `${place(index)}%`, bottom: `${height(run.durationSeconds)}%` }}
      tab=${index === runs.length - 1} />`)}</div>
    <div class="spark-times faint small" aria-hidden="true">
      ${(runs.length > 1 ? [runs[0], runs[runs.length - 1]] : runs).map(({ dagRunId, startedAt }) => html`<span
        key=${dagRunId}>${clock(startedAt)}</span>`)}</div>`;
}

/** @param {{ run: Api.EndedRun, name: string, style: object, tab: boolean }} props */
function Point({ run, name, style, tab }) {
  const { word, tone, icon } = runStatus(run.status);
  const text = [word, duration(run.durationSeconds), exact(run.startedAt)].filter(Boolean).join(", ");
  return html`<a class=${`spark-point ${tone}`} style=${style} data-tip=${text} aria-label=${text}
    tabindex=${tab ? 0 : -1} href=${href(pageOf({ name, runId: run.dagRunId }))}>
    ${tone === "good" ? null : html`<${Icon} name=${icon} />`}</a>`;
}
