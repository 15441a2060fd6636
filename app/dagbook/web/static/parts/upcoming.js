// Upcoming firings, one line per DAG and kind, so that a DAG that starts every minute does not hide the others.

import { html } from "../vendor/core.js";
import { clock, exact } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { cronText } from "../lib/cron-text.js";
import { href } from "../lib/router.js";
import { Empty, whenLoaded, Time } from "./basic.js";

/** @typedef {{ key: string, first: Api.Upcoming, times: Date[], expressions: Set<string> }} Starts */

const THEN = 3; // times per line
const FAR = 300 * 86400000; // milliseconds

export function UpcomingTable() {
  const loaded = useApi("schedules/upcoming", { limit: 1000, perDag: THEN }, (change) => change.kind === "dag");
  return whenLoaded(loaded, "schedules", ({ upcoming }) => {
    const groups = grouped(upcoming);
    if (!groups.length) return html`<${Empty} title="Nothing is scheduled">
      <p>Add a line such as <code>schedule: "0 3 * * *"</code> to a <a href=${href("/dags")}>DAG</a>.</p><//>`;
    return html`<div class="scroll">
      <table class="stack">
        <thead><tr>
          <th>Next</th><th>DAG</th><th>Action</th><th>Schedule</th><th>After that</th><th>Time zone</th></tr></thead>
      <tbody>${groups.map((group) => html`<${Group} key=${group.key} group=${group} />`)}</tbody></table></div>`;
  });
}

/**
 * One entry per DAG and kind, in the order of their first times: {key, first, times, expressions}.
 * @param {Api.Upcoming[]} upcoming
 */
function grouped(upcoming) {
  /** @type {Map<string, Starts>} */
  const groups = new Map();
  for (const one of upcoming) {
    const key = JSON.stringify([one.fileName, one.kind]);
    const group = groups.get(key) ?? { key, first: one, times: [], expressions: new Set() };
    groups.set(key, group);
    group.expressions.add(one.expression);
    if (group.times.length < THEN) group.times.push(new Date(one.at));
  }
  return [...groups.values()];
}

/**
 * "14:32", "27 Nov, 03:00", with the year if it is far away.
 * @param {Date} time
 */
function inWords(time) {
  return time.getTime() - Date.now() < FAR ? clock(time) : time.toLocaleDateString(undefined, { dateStyle: "medium" });
}

/** @param {{ group: Starts }} props */
function Group({ group }) {
  const { first, times, expressions } = group;
  return html`<tr class=${first.suspended ? "faint" : ""}>
    <td><${Time} at=${first.at} zone=${first.zone} /></td>
    <td><a class="wide-text" href=${href(["dags", first.fileName])}>${first.dagName}</a></td>
    <td>${first.kind}${first.suspended && html` <span class="tag">suspended</span>`}</td>
    <td data-label="schedule">
      ${[...expressions].map((expression) => html`<div key=${expression}>
        ${cronText(expression)} <code class="faint">${expression}</code></div>`)}</td>
    <td data-label="after that"><span class="number">
      ${times.slice(1).map((time, index) => html`${index ? ", " : ""}<time key=${index} datetime=${time.toISOString()}
        title=${exact(time, first.zone)}>${inWords(time)}</time>`)}</span></td>
    <td data-label="time zone">${first.zone}</td>
  </tr>`;
}
