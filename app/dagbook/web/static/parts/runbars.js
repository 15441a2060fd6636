// Stacked bars of the runs of a range, by hour or day and status; each piece is a link to the list of its runs.

import { html } from "../vendor/core.js";
import { arrowNavigation, SIDEWAYS } from "../lib/arrow-nav.js";
import { clock, plural } from "../lib/format.js";
import { countsOf, labelOf, topOf, whenOf } from "../lib/overview.js";
import { href } from "../lib/router.js";
import { Icon } from "./basic.js";
import "./tooltip.js";

const moveAlong = arrowNavigation("a", SIDEWAYS);

/** @param {{ found: Api.Overview }} props */
export function RunBars({ found }) {
  const { bars, unit, fromDate, toDate, countedFrom } = found;
  const all = bars.map((bar) => ({ bar, counts: countsOf(bar.counts) }));
  const top = topOf(Math.max(...all.map(({ counts }) => sumOf(counts))));
  const last = all.findLastIndex(({ counts }) => counts.length > 0);
  return html`<section class="card run-bars" aria-label="Runs">
    <p class="row counts"><span class="faint">Runs by ${unit}</span>
      ${countsOf(bars.flatMap(({ counts }) => counts)).map(({ key, look, count }) => html`<a key=${key}
        class=${`status ${look.tone}`} href=${href("/dag-runs", { status: key, fromDate, toDate })}>
        <${Icon} name=${look.icon} />${count.toLocaleString("en")} ${look.word}</a>`)}
      ${countedFrom && html`<span class="faint small">counted since ${clock(new Date(countedFrom * 1000))}</span>`}</p>
    <div class="bars">
      <div class="bars-scale faint number" aria-hidden="true">
        ${[top, top / 2, 0].map((count) => html`<span key=${count}>${count.toLocaleString("en")}</span>`)}</div>
      <div class="bars-plot" role="group" aria-label=${`Runs by ${unit}`} onKeyDown=${moveAlong}>
        ${all.map(({ bar, counts }, index) => html`<${Bar} key=${bar.fromDate} bar=${bar} counts=${counts} top=${top}
          unit=${unit} label=${labelOf(bar, index, found)} isLast=${index === last} />`)}</div></div>
    ${last < 0 && html`<p class="faint none">No run in this time. Start a <a href=${href("/dags")}>DAG</a>, or add a
      schedule to one.</p>`}</section>`;
}

/** @param {import("../lib/overview.js").Count[]} counts */
const sumOf = (counts) => counts.reduce((sum, { count }) => sum + count, 0);

/**
 * @param {{ bar: Api.OverviewBar, counts: import("../lib/overview.js").Count[], top: number, unit: "hour" | "day",
 *   label: string, isLast: boolean }} props
 */
function Bar({ bar, counts, top, unit, label, isLast }) {
  const { fromDate, toDate } = bar;
  const when = whenOf(bar, unit);
  const tip = [`${when}: ${plural(sumOf(counts), "run")}`, ...counts.map(textOf)].join("\n");
  return html`<div class="bar-place"><div class="bar-stack" style=${{ height: `${(100 * sumOf(counts)) / top}%` }}>
      ${counts.map((one, index) => html`<a key=${one.key} class=${one.look.tone} style=${{ flexGrow: one.count }}
        tabindex=${isLast && index === 0 ? 0 : -1} data-tip=${tip} aria-label=${`${when}: ${textOf(one)}`}
        href=${href("/dag-runs", { status: one.key, fromDate, toDate })}></a>`)}</div>
    <span class="faint" aria-hidden="true">${label}</span></div>`;
}

/** @param {import("../lib/overview.js").Count} one */
const textOf = ({ count, look }) => `${count.toLocaleString("en")} ${look.word}`;
