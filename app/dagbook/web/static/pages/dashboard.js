// Dashboard: what failed in a range and whether it works again, what is late, and what comes next. The server counts.

import { html, useEffect, useRef, useState } from "../vendor/core.js";
import { concernsOf } from "../lib/attention.js";
import { shownZone, useNow } from "../lib/clock.js";
import { bytes, clock, dayAndTime, duration, plural } from "../lib/format.js";
import { PER_DAY, RANGES, isSeen, lookOfFailure, nextDay, ticksOf, withSeen } from "../lib/overview.js";
import { href, query, setQuery } from "../lib/router.js";
import { retry } from "../lib/run-actions.js";
import { causeOf, pageOf } from "../lib/runs.js";
import { store, storedValue } from "../lib/stored.js";
import { useTitle } from "../lib/title.js";
import { useApi } from "../lib/use-api.js";
import { approvalCount } from "../parts/badge.js";
import { Icon, StatusIcon, Table, Time, Truncated, whenLoaded } from "../parts/basic.js";
import { NextTime } from "../parts/clock.js";
import { FirstSteps } from "../parts/firststeps.js";
import { Confirm } from "../parts/form.js";
import { Menu } from "../parts/menu.js";
import { RunBars } from "../parts/runbars.js";

/** @import { Seen } from "../lib/overview.js" */

const SEEN = "dagbook.seen";
const HOUR = 3600000; // milliseconds
const DAY = 24 * HOUR;
const MOST = 12; // failures, until all are asked for
const ROWS = 8; // of a card
const LAST = 95; // percent: a label further right would not fit
const KINDS = new Set(["run", "dag", "queue"]);

export default function Dashboard() {
  useTitle("Dashboard");
  const [range, , words] = RANGES.find(([key]) => key === query.value.get("range")) ?? RANGES[1];
  const overview = useApi("overview", { range, zone: shownZone() }, ({ kind, root }) => KINDS.has(kind) && !root);
  const upcoming = useApi("schedules/upcoming", { limit: 500, perDag: PER_DAY }, ({ kind }) => kind === "dag");
  const last = useRef(/** @type {Api.Overview | null} */ (null)); // shown until that of another range is there
  last.current = overview.data ?? last.current;
  useHourly(() => [overview, upcoming].forEach(({ reload }) => reload()));
  const found = last.current;
  if (found?.dags === 0 && !found.queues.length && found.bars.every(({ counts }) => !counts.length))
    return html`<${FirstSteps} />`;
  const isReady = approvalCount.value && (upcoming.data || upcoming.error); // all at once, so that nothing moves
  return html`<div class="row"><h1>Dashboard</h1><span class="grow"></span>
      <div class="switch" role="group" aria-label="Time range">
        ${RANGES.map(([key, title]) => html`<button type="button" key=${key} aria-pressed=${key === range}
          onClick=${() => setQuery({ range: key === "24h" ? null : key })}>${title}</button>`)}</div></div>
    ${whenLoaded({ ...overview, data: isReady ? found : null }, "overview", (data) => html`<${Home} found=${data}
      words=${words} upcoming=${upcoming.data?.upcoming ?? []} reload=${overview.reload} />`)}`;
}

/** Call `react` when another hour begins: the range and the next starts move on. @param {() => void} react */
function useHourly(react) {
  const hour = Math.floor(useNow(60) / HOUR);
  const before = useRef(hour);
  useEffect(() => {
    if (before.current !== hour) react();
    before.current = hour;
  }, [hour]);
}

/** @param {{ found: Api.Overview, words: string, upcoming: Api.Upcoming[], reload: Reload }} props */
function Home({ found, words, upcoming, reload }) {
  const [seen, setSeen] = useState(/** @type {Seen} */ ({ ...storedValue(SEEN) }));
  const mark = (/** @type {Api.FailureGroup[]} */ groups) => {
    const all = withSeen({ ...storedValue(SEEN) }, groups); // of other tabs, too
    store(SEEN, JSON.stringify(all));
    setSeen(all);
  };
  const failing = new Set(found.failures.filter((one) => !one.fixed && !isSeen(seen, one)).map(({ name }) => name));
  const more = failing.size > 0 && found.failureGroups > found.failures.length;
  const concerns = concernsOf({ found, failing: failing.size, more, approvals: approvalCount.value?.open ?? 0,
    unscheduled: !found.hasScheduler && upcoming.length > 0 });
  return html`<${Attention} concerns=${concerns} />
    <${RunBars} found=${found} />
    <div class="dashboard">
      <${Inbox} found=${found} seen=${seen} reload=${reload} words=${words} onSeen=${mark} />
      <div class="outlook">
        <${Unusual} runs=${found.unusual} />
        <${NextStarts} upcoming=${upcoming} />
        <${QueueWaits} queues=${found.queues} />
        <${Missed} missed=${found.missed} />
        <${Disk} disk=${found.disk} /></div></div>`;
}

/** @param {{ concerns: import("../../types/ui").Concern[] }} props */
function Attention({ concerns }) {
  const worst = concerns.some(({ tone }) => tone === "bad") ? "bad" : concerns.length ? "wait" : "good";
  return html`<section class="attention card ${worst}" aria-label="Needs attention"><p role="status">
    <${Icon} name=${{ bad: "cross", wait: "wait", good: "check" }[worst]} />
    <span>${concerns.length ? concerns.map(({ link, to, search, rest, tone }, index) => html`${index > 0 && ", "}<a
      key=${link + rest} class=${tone} href=${href(to, search)}>${link}</a>${rest}`)
      : "Nothing needs attention"}.</span></p></section>`;
}

/**
 * A row per DAG and reason, until it is marked as seen in this browser.
 * @param {{ found: Api.Overview, seen: Seen, reload: Reload, words: string,
 *   onSeen: (groups: Api.FailureGroup[]) => void }} props
 */
function Inbox({ found, seen, reload, words, onSeen }) {
  const [all, setAll] = useState(false);
  const [asked, setAsked] = useState(/** @type {Api.FailureGroup | null} */ (null));
  const isOld = (/** @type {Api.FailureGroup} */ group) => isSeen(seen, group);
  const order = found.failures.toSorted((one, other) => Number(one.fixed) - Number(other.fixed));
  const fresh = order.filter((group) => !isOld(group));
  const rows = all ? [...fresh, ...order.filter(isOld)] : fresh.slice(0, MOST);
  const hidden = order.length - rows.length;
  const listOf = (/** @type {Api.FailureGroup} */ { name }) =>
    href("/dag-runs", { name, status: "failed", fromDate: found.fromDate, toDate: found.toDate });
  return html`<section class="inbox" aria-label="Failures">
    <div class="row"><h2>Failures ${words}</h2><span class="grow"></span>
      ${fresh.length > 1 && html`<button type="button" onClick=${() => onSeen(fresh)}>Mark all as seen</button>`}</div>
    ${rows.length > 0 ? html`<${Table} class="list failures"
      heads=${["-State", "DAG", "Why", "How often", "Since", "Last good", "-Actions"]}>
      ${rows.map((group) => html`<${Row} key=${group.id} group=${group} list=${listOf(group)}
        old=${isOld(group)} onRetry=${() => setAsked(group)} onSeen=${() => onSeen([group])} />`)}<//>`
      : html`<p class="faint">${order.length ? "All were seen, and none has come since." : "None."}</p>`}
    <p class="faint">${hidden > 0 && html`<button type="button" class="quiet" onClick=${() => setAll(true)}>
        Show ${hidden} more${fresh.length < order.length ? ", also those that were seen" : ""}</button>`}
      ${found.failureGroups > order.length && html` The newest ${order.length} of ${found.failureGroups} reasons.`}
      ${found.failuresFrom && html` Counted since ${clock(new Date(found.failuresFrom * 1000))}.`}</p>
    ${asked && html`<${Confirm} title=${`Retry ${asked.name}?`} action="Retry" danger=${false}
      onClose=${() => setAsked(null)}
      onConfirm=${() => retry({ name: asked.name, runId: asked.dagRunId }).then(reload)}>
      <p>The steps of the newest failed run that did not succeed run again, with the same parameters and the same
        definition.</p><//>`}</section>`;
}

/** @param {{ group: Api.FailureGroup, list: string, old: boolean, onRetry: () => void, onSeen: () => void }} props */
function Row({ group, list, old, onRetry, onSeen }) {
  const { name, reason, count, firstAt, dagRunId, lastGood, mayRetry, fixed } = group;
  const items = [
    mayRetry && { title: "Retry…", onChoose: onRetry },
    !old && { title: "Mark as seen", hint: "Hidden in this browser until it fails again", onChoose: onSeen },
    lastGood && !fixed && { title: "Compare with the last good run",
      href: href("/compare", { run: `${name}/${lastGood.dagRunId}`, with: `${name}/${dagRunId}` }) },
    { title: "Runs that failed", href: list },
  ];
  return html`<tr class=${old ? "old" : ""} onAgain=${mayRetry ? onRetry : null}>
    <td class="state"><${StatusIcon} look=${lookOfFailure(group)} /></td>
    <td><a class="wide-text" href=${href(pageOf({ name, runId: dagRunId }))}>${name}</a></td>
    <td class="about bad"><${Truncated} text=${reason} /></td>
    <td><a class="nowrap" href=${list}>${plural(count, "failure")}</a></td>
    <td data-label="since"><${Time} at=${firstAt} /></td>
    <td data-label=${fixed ? "fixed" : "last good"}>${lastGood ? html`<a class=${fixed ? "good" : ""}
        href=${href(pageOf({ name, runId: lastGood.dagRunId }))}><${Time} at=${lastGood.at} /></a>` : "never"}</td>
    <td class="actions">
      ${mayRetry && html`<button type="button" class="quiet on-hover" title="Retry…" aria-label=${`Retry ${name}`}
        onClick=${onRetry}><${Icon} name="retry" /></button>`}
      ${!old && html`<button type="button" class="quiet on-hover" title="Mark as seen" aria-label=${`Seen: ${name}`}
        onClick=${onSeen}><${Icon} name="check" /></button>`}
      <${Menu} label=${`Actions of ${name}`} items=${items} /></td></tr>`;
}

/** @param {{ runs: Api.UnusualRun[] }} props */
function Unusual({ runs }) {
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
function NextStarts({ upcoming }) {
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
function QueueWaits({ queues }) {
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
function Missed({ missed }) {
  if (!missed.length) return null;
  return html`<section class="card" aria-label="Missed starts"><h2>Missed starts</h2><ul class="plain">
    ${missed.slice(0, ROWS).map(({ fileName, dagName, outcome, starts, lastAt }) => html`<li key=${fileName + outcome}>
      <a href=${href(["dags", fileName, "schedule"])}>${dagName ?? fileName}</a>${" "}
      <span class="bad">${plural(starts, "start")} ${outcome}</span>${" "}
      <span class="faint">the last <${Time} at=${lastAt} /></span></li>`)}</ul>
    <p><a href=${href("/schedules", { tab: "past" })}>Past starts</a></p></section>`;
}

/** @param {{ disk?: Api.DiskSpace }} props */
function Disk({ disk }) {
  if (!disk) return null;
  return html`<section class="card" aria-label="Disk"><h2>Disk</h2><p><a href=${href("/system")}>
    ${bytes(disk.freeBytes)} free</a>, ${Math.round(disk.usedPercent)} % used${
      disk.fullInSeconds !== undefined && html`, <span class="wait">full in ${duration(disk.fullInSeconds)}
        ${" "}at this rate</span>`}.</p></section>`;
}
