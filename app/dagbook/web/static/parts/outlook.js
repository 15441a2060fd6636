// What is late, long, next or missed, and how long runs wait: the cards beside the inbox of failures.

import { html } from "../vendor/core.js";
import { bytes, dayAndTime, duration, plural } from "../lib/format.js";
import { nextDay, ticksOf } from "../lib/overview.js";
import { href } from "../lib/router.js";
import { causeOf, pageOf } from "../lib/runs.js";
import { useNow } from "../lib/clock.js";
import { Time } from "./basic.js";
import { NextTime } from "./clock.js";
import "./tooltip.js";

const DAY = 86400000; // milliseconds
const ROWS = 8; // of a card
const LAST = 95; // percent: a label further right would not fit

/** @param {{ runs: Api.UnusualRun[] }} props */
export function Unusual({ runs }) {
  const now = useNow(30);
  if (!runs.length) return null;
  return html`<section class="card" aria-label="Late or long"><h2>Late or long</h2><ul class="plain">
    ${runs.slice(0, ROWS).map(({ name, dagRunId, kind, since, usualSeconds }) => html`<li key=${dagRunId}>
      <a href=${href(pageOf({ name, runId: dagRunId }))}>${name}</a>${" "}
      <span class="wait">
        ${kind === "long" ? "runs for" : "waits for"} ${duration((now - Date.parse(since)) / 1000)}</span>
      ${usualSeconds !== undefined && html` <span class="faint">usually ${duration(usualSeconds)}</span>`}</li>`)}</ul>
    ${runs.length > ROWS && html`<p class="faint">and ${runs.length - ROWS} more</p>`}</section>`;
}

/** The starts of the next 24 hours: a line per DAG. @param {{ upcoming: Api.Upcoming[] }} props */
export function NextStarts({ upcoming }) {
  const now = useNow(60);
  const rows = nextDay(upcoming, now);
  const ticks = ticksOf({ from: now, to: now + DAY });
  return html`<section class="card next-day" aria-label="Next starts"><h2>The next 24 hours</h2>
    ${rows.length ? html`<ul class="plain">${rows.slice(0, ROWS).map(({ first, marks, dense }) => html`<li
        key=${first.fileName}><div class="row">
          <a class="cut" href=${href(["dags", first.fileName])}>${first.dagName}</a><span class="grow"></span>
          <${NextTime} at=${first.at} zone=${first.zone} /></div>
        <div class="next-track" aria-hidden="true">
          ${ticks.map(({ left }) => html`<i key=${left} class="tick" style=${{ left: `${left}%` }}></i>`)}
          ${dense ? html`<i class="mark" style=${{ left: `${marks[0].left}%`, right: 0 }}
            data-tip=${`${first.dagName}: often, ${first.expression}`}></i>`
            : marks.map(({ at, left }) => html`<i key=${at} class="mark" style=${{ left: `${left}%` }}
              data-tip=${`${first.dagName}: ${dayAndTime(new Date(at))}`}></i>`)}</div></li>`)}</ul>
      <div class="next-axis faint" aria-hidden="true">
        ${ticks.filter(({ left }) => left < LAST).map(({ text, left }) => html`<span key=${left}
          style=${{ left: `${left}%` }}>${text}</span>`)}</div>`
      : html`<p class="faint">Nothing starts by a schedule. Add a line such as <code>schedule: "0 3 * * *"</code> to a
        ${" "}<a href=${href("/dags")}>DAG</a>.</p>`}
    <p><a href=${href("/schedules")}>All schedules</a>
      ${rows.length > ROWS && html`<span class="faint">: ${plural(rows.length - ROWS, "more DAG")}</span>`}</p>
    </section>`;
}

/** @param {{ queues: Api.QueueOverview[] }} props */
export function QueueWaits({ queues }) {
  if (!queues.length) return null;
  return html`<section class="card" aria-label="Queues"><h2>Waits in queues</h2><ul class="plain">
    ${queues.slice(0, ROWS).map(({ name, queued, oldestAt, waitingFor, started, medianWait, longestWait }) => html`<li
      key=${name}><a href=${href("/queues")}>${name}</a>
      ${queued > 0 && html` <span class=${waitingFor ? "wait" : ""}>${queued} queued, the first
        ${" "}<${Time} at=${oldestAt} />${waitingFor && `: ${causeOf(waitingFor)}`}</span>`}
      ${started > 0 && html` <span class="faint">${plural(started, "run")} waited ${duration(medianWait)}${
        started > 1 && `, at most ${duration(longestWait)}`}</span>`}</li>`)}</ul></section>`;
}

/** @param {{ missed: Api.MissedStart[] }} props */
export function Missed({ missed }) {
  if (!missed.length) return null;
  return html`<section class="card" aria-label="Missed starts"><h2>Missed starts</h2><ul class="plain">
    ${missed.slice(0, ROWS).map(({ fileName, dagName, outcome, starts, lastAt }) => html`<li key=${fileName + outcome}>
      <a href=${href(["dags", fileName, "schedule"])}>${dagName ?? fileName}</a>${" "}
      <span class="bad">${plural(starts, "start")} ${outcome}</span>${" "}
      <span class="faint">the last <${Time} at=${lastAt} /></span></li>`)}</ul>
    <p><a href=${href("/schedules", { tab: "past" })}>Past starts</a></p></section>`;
}

/** @param {{ disk?: Api.DiskSpace }} props */
export function Disk({ disk }) {
  if (!disk) return null;
  return html`<section class="card" aria-label="Disk"><h2>Disk</h2><p><a href=${href("/system")}>
    ${bytes(disk.freeBytes)} free</a>, ${Math.round(disk.usedPercent)} % used${
      disk.fullInSeconds !== undefined && html`, <span class="wait">full in ${duration(disk.fullInSeconds)}
        ${" "}at this rate</span>`}.</p></section>`;
}
