// Dashboard: what failed in a range and whether it works again, what is late, and what comes next. The server counts.

import { html, useEffect, useRef, useState } from "../vendor/core.js";
import { concernsOf } from "../lib/attention.js";
import { shownZone, useNow } from "../lib/clock.js";
import { PER_DAY, RANGES, isSeen, withSeen } from "../lib/overview.js";
import { href, query, setQuery } from "../lib/router.js";
import { store, storedValue } from "../lib/stored.js";
import { useTitle } from "../lib/title.js";
import { useApi } from "../lib/use-api.js";
import { approvalCount } from "../parts/badge.js";
import { Icon, whenLoaded } from "../parts/basic.js";
import { FirstSteps } from "../parts/firststeps.js";
import { Inbox } from "../parts/inbox.js";
import { Disk, Missed, NextStarts, QueueWaits, Unusual } from "../parts/outlook.js";
import { RunBars } from "../parts/runbars.js";

const SEEN = "dagbook.seen";
const HOUR = 3600000; // milliseconds
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
  const [seen, setSeen] = useState(/** @type {import("../lib/overview.js").Seen} */ ({ ...storedValue(SEEN) }));
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

/** @param {{ concerns: import("../lib/attention.js").Concern[] }} props */
function Attention({ concerns }) {
  const worst = concerns.some(({ tone }) => tone === "bad") ? "bad" : concerns.length ? "wait" : "good";
  return html`<section class="attention card ${worst}" aria-label="Needs attention"><p role="status">
    <${Icon} name=${{ bad: "cross", wait: "wait", good: "check" }[worst]} />
    <span>${concerns.length ? concerns.map(({ link, to, search, rest, tone }, index) => html`${index > 0 && ", "}<a
      key=${link + rest} class=${tone} href=${href(to, search)}>${link}</a>${rest}`)
      : "Nothing needs attention"}.</span></p></section>`;
}
