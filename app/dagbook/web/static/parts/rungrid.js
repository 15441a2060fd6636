// Grid of step statuses in the latest runs: one row per step, one column per run with its duration.

import { html, useLayoutEffect, useRef } from "../vendor/core.js";
import { dayOf, timeText } from "../lib/clock.js";
import { duration, exact, instant, secondsOf } from "../lib/format.js";
import { href } from "../lib/router.js";
import { lookOfNode, lookOfRun, pageOf } from "../lib/runs.js";
import { isOver } from "../lib/status.js";
import { Icon } from "./basic.js";

/** The newest run is the first of `runs`, and the right column, which shows first. @param {{ runs: Run[] }} props */
export function RunGrid({ runs }) {
  const columns = [...runs].reverse();
  const newest = runs[0]?.dagRunId;
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => {
    if (box.current) box.current.scrollLeft = box.current.scrollWidth;
  }, [newest]);
  const names = [...new Set(columns.flatMap((run) => run.nodes.map((node) => node.step.name)))];
  const longest = Math.max(0.001, ...columns.map((run) => secondsOf(run) ?? 0));
  return html`<div class="scroll" ref=${box}><table class="grid">
    <thead>
      <tr class="grid-days"><td></td>${daysOf(columns).map(({ text, length }, index) => html`<th key=${index}
        scope="colgroup" colspan=${length}>${text}</th>`)}</tr>
      <tr><th scope="col">Step</th>
        ${columns.map((run, index) => html`<${Head} key=${run.dagRunId} run=${run} longest=${longest}
          edited=${index > 0 && isEdited(run, columns[index - 1])} />`)}</tr></thead>
    <tbody>${names.map((name) => html`<tr key=${name}><th scope="row" class="cut" title=${name}>${name}</th>
      ${columns.map((run) => html`<${Cell} key=${run.dagRunId} run=${run}
        node=${run.nodes.find((node) => node.step.name === name)} />`)}</tr>`)}</tbody></table></div>
  <p class="faint small grid-legend"><span><i class="grid-bar off"></i> duration, up to ${duration(longest)}</span>
    <span><i class="edited"></i> first run of a revision</span></p>`;
}

/** The days of the columns; a single column of a day has room for the number alone. @param {Run[]} columns */
function daysOf(columns) {
  /** @type {{ day: string, text: string, length: number }[]} */
  const days = [];
  for (const run of columns) {
    const begun = instant(run.startedAt) ?? instant(run.queuedAt);
    const day = begun ? dayOf(begun) : "";
    if (days.at(-1)?.day !== day) days.push({ day, text: "", length: 0 });
    const last = days[days.length - 1];
    last.length += 1;
    last.text = begun ? timeText(begun, last.length > 2 ? { day: "numeric", month: "short" } : { day: "numeric" }) : "";
  }
  return days;
}

/** Whether a run is the first of its revision; imports and texts have none. @param {Run} run @param {Run} before */
const isEdited = (run, before) => run.revision !== undefined && run.revision !== before.revision;

/** @param {{ run: Run, longest: number, edited: boolean }} props */
function Head({ run, longest, edited }) {
  const { word, tone } = lookOfRun(run);
  const seconds = secondsOf(run);
  const about = [word, duration(seconds), exact(run.startedAt), edited && `first of revision ${run.revision}`];
  const title = about.filter(Boolean).join(", ");
  return html`<th scope="col" class=${edited ? "edited" : ""}>
    <a class="grid-run ${tone}" href=${href(pageOf({ name: run.name, runId: run.dagRunId }))} title=${title}
      aria-label=${`Run ${run.dagRunId}: ${title}`}>
    <span class="grid-bar" style=${{ height: `${Math.max(6, ((seconds ?? 0) / longest) * 100)}%` }}></span></a></th>`;
}

/** @param {{ run: Run, node: Api.Node | undefined }} props */
function Cell({ run, node }) {
  if (!node) return html`<td><span class="visually-hidden">not part of this run</span></td>`;
  const { word, icon, tone } = lookOfNode(node, isOver(run.status));
  const seconds = secondsOf(node);
  const about = [word, seconds !== null && duration(seconds), node.retryCount && `retried ${node.retryCount} times`];
  const title = `${node.step.name}: ${about.filter(Boolean).join(", ")}`;
  return html`<td>
    <a class="grid-cell ${tone}" title=${title} aria-label=${title}
      href=${href(pageOf({ name: run.name, runId: run.dagRunId }), { step: node.step.name })}><${Icon} name=${icon} />
      </a></td>`;
}
