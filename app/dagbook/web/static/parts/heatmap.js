// Map of the last weeks of a DAG: a square per day and status, larger for more runs, with a link to these runs.

import { html } from "../vendor/core.js";
import { arrowNavigation, SIDEWAYS } from "../lib/arrow-nav.js";
import { plural } from "../lib/format.js";
import { dayText, rowsOf, weeksOf } from "../lib/heat.js";
import { href } from "../lib/router.js";
import { Icon } from "./basic.js";
import "./tooltip.js";

/** @import { Look } from "../../types/ui" */

const moveAlong = arrowNavigation("a", SIDEWAYS);

/** @param {{ found: Api.DAGDays }} props */
export function HeatMap({ found: { dagName, days, truncated } }) {
  const weeks = weeksOf(days);
  const old = weeks.flatMap(({ length, old: isOld }) => Array(length).fill(isOld ? "old" : ""));
  const total = days.flatMap(({ counts }) => counts).reduce((sum, { count }) => sum + count, 0);
  return html`<div class="card heat-card"><table class="heat">
    <caption class="visually-hidden">Runs by day and status: ${plural(total, "run")}</caption>
    <thead><tr><td></td>${weeks.map((week) => html`<th key=${week.first.date} scope="colgroup" colspan=${week.length}
      class=${week.old ? "old" : ""}>
      ${week.length > 2 && dayText(week.first, { day: "numeric", month: "short" })}</th>`)}</tr></thead>
    <tbody>${rowsOf(days).map(({ status, look, cells }) => {
      const last = cells.findLastIndex(({ count }) => count > 0);
      return html`<tr key=${status} onKeyDown=${moveAlong}>
        <th scope="row"><span class=${look.tone}><${Icon} name=${look.icon} /></span> ${look.word}</th>
        ${cells.map(({ count, level }, index) => html`<td key=${days[index].date} class=${old[index]}>
          ${count > 0 && html`<${Square} day=${days[index]} count=${count} level=${level} look=${look}
            tab=${index === last} search=${{ name: dagName, status }} />`}</td>`)}</tr>`;
    })}</tbody></table>
    <p class="faint small heat-legend">Runs of a day:
      ${[1, 2, 3, 4].map((level) => html`<span key=${level} class=${`heat-square level-${level}`}></span>`)}
      <span>few to many, in each row</span>
      ${truncated && html`<span>Only the newest ${plural(total, "run")} are counted.</span>`}</p></div>`;
}

/** @param {{ day: Api.DAGDay, count: number, level: number, look: Look, tab: boolean, search: object }} props */
function Square({ day, count, level, look, tab, search }) {
  const text = `${dayText(day, { weekday: "short", day: "numeric", month: "short" })}: ${count} ${look.word}`;
  const { fromDate, toDate } = day;
  return html`<a href=${href("/dag-runs", { ...search, fromDate, toDate })} data-tip=${text} aria-label=${text}
    class=${`heat-square level-${level} ${look.tone}`} tabindex=${tab ? 0 : -1}></a>`;
}
