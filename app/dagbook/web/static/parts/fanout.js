// The sub-runs of a step: a cell for each, counts that filter, and a list with the failed ones first.

import { html, useId, useMemo, useState } from "../vendor/core.js";
import { cellAfter } from "../lib/arrow-nav.js";
import { durationText, instant, plural } from "../lib/format.js";
import { useSubRuns } from "../lib/sub-runs.js";
import { useApi } from "../lib/use-api.js";
import { useNow } from "../lib/clock.js";
import { go, href } from "../lib/router.js";
import { retry } from "../lib/run-actions.js";
import { calledBy, itemOf, pageOf, pathOf, reasonOf } from "../lib/runs.js";
import { may } from "../lib/session.js";
import { RUN, isActive, isOver } from "../lib/status.js";
import { Loading, StatusIcon } from "./basic.js";
import { Chunks } from "./chunks.js";
import { Confirm } from "./form.js";
import { Counts, lookOfSubRun } from "./steplist.js";

/** @import { Known } from "../../types/ui" */

/** @typedef {{ id: string, item: string, sub?: Api.SubDAGRunDetail, look: import("../../types/ui").Look }} Row */

const EXPLAINED = 20; // failed sub-runs whose last line is read for the list
const [FEW, MANY] = [150, 800]; // cells, from which they are smaller

/**
 * `address` is that of the run whose step it is; `known` are the runs that it called, null until they are loaded, and
 * undefined to load them.
 * @param {{ address: RunAddress, run: Run, node: Api.Node, known?: Known | null, reload: Reload }} props
 */
export function FanOut({ address, run, node, known: given, reload }) {
  const loaded = useSubRuns(given === undefined ? address : null);
  const known = given === undefined ? loaded : given;
  const [word, setWord] = useState(/** @type {string | null} */ (null));
  const rows = useMemo(() => rowsOf(node, known), [node, known]);
  if (!known) return html`<${Loading} what="the sub-runs" />`; // with their statuses the rows take another order
  const kept = rows.some(({ look }) => look.word === word) ? word : null;
  const shown = kept ? rows.filter(({ look }) => look.word === kept) : rows;
  const failed = rows.filter(isFailed).length;
  const canRetry = failed > 0 && isOver(run.status) && !address.subRunId && may("run");
  return html`<div class="pane-bar">
      <${Counts} label="Show sub-runs that are" looks=${rows.map(({ look }) => look)} chosen=${kept}
        onChoose=${setWord} />
      ${canRetry && html`<${RetryFailed} address=${address} failed=${failed} total=${rows.length} reload=${reload} />`}
    </div>
    <div class="pane-scroll">
      ${rows.length > 1 && html`<${Strip} address=${address} rows=${shown} />`}
      <${List} address=${address} rows=${[...shown].sort((a, b) => Number(isFailed(b)) - Number(isFailed(a)))} />
    </div>`;
}

/** @param {Api.Node} node @param {Known | null} known @returns {Row[]} */
const rowsOf = (node, known) =>
  calledBy(node).map((called) => {
    const sub = known?.get(called.dagRunId);
    return { id: called.dagRunId, item: itemOf(called), sub, look: lookOfSubRun(sub) };
  });

/** @param {Row} row */
const isFailed = ({ sub }) => sub?.status === RUN.FAILED;

/** @param {RunAddress} address @param {string} id */
const placeOf = (address, id) => href(pageOf(address), { in: id });

/** @param {Row} row @param {number} now */
const tookText = ({ sub }, now) => (sub && instant(sub.startedAt) ? durationText(sub, now) : "");

/**
 * One cell for each sub-run in the order of the items; arrow keys move among them, Enter opens one.
 * @param {{ address: RunAddress, rows: Row[] }} props
 */
function Strip({ address, rows }) {
  const id = useId();
  const [place, setPlace] = useState(0);
  const at = Math.min(place, rows.length - 1);
  const row = rows[at];
  const press = (/** @type {Targeted<KeyboardEvent, HTMLElement>} */ event) => {
    const to = cellAfter(event.key, at, rows.length, columnsOf(event.currentTarget));
    if (to !== null) setPlace(to);
    else if (event.key === "Enter") go(placeOf(address, row.id));
    else return;
    event.preventDefault();
  };
  const click = (/** @type {Targeted<MouseEvent, HTMLElement>} */ event) => {
    const { at: clicked } = event.target.dataset;
    if (clicked !== undefined) go(placeOf(address, rows[Number(clicked)].id));
  };
  const size = rows.length >= MANY ? "small" : rows.length >= FEW ? "middle" : "large";
  return html`<div class="fan-strip ${size}" role="listbox" tabindex="0" aria-label="Sub-runs, a cell for each"
      aria-activedescendant=${`${id}-${at}`} onKeyDown=${press} onClick=${click}>
      ${rows.map(({ id: key, item, look }, index) => html`<span key=${key} id=${`${id}-${index}`} role="option"
        class="fan-cell ${look.tone}" data-at=${index} aria-selected=${index === at} title=${`${item}: ${look.word}`}
        aria-label=${`${item}: ${look.word}`}></span>`)}</div>
    <p class="fan-about" aria-hidden="true"><${StatusIcon} look=${row.look} />
      <strong class="cut">${row.item}</strong> <span class="faint">${row.look.word}</span></p>`;
}

/** The number of cells in a row. @param {HTMLElement} strip */
function columnsOf({ children }) {
  const top = /** @type {HTMLElement} */ (children[0]).offsetTop;
  const next = [...children].findIndex((cell) => /** @type {HTMLElement} */ (cell).offsetTop !== top);
  return next < 0 ? children.length : next;
}

/** @param {{ address: RunAddress, rows: Row[] }} props */
function List({ address, rows }) {
  const now = useNow(1, rows.some(({ sub }) => sub && isActive(sub.status)));
  return html`<${Chunks} class="fan-list" label="Sub-runs of the step" rows=${rows}
    draw=${(/** @type {Row} */ row, /** @type {number} */ index) => html`<li key=${row.id}>
      <${StatusIcon} look=${row.look} />
      <a class="cut" href=${placeOf(address, row.id)} title=${`${row.item} (sub-run ${row.id})`}>${row.item}</a>
      <span class="number faint">${tookText(row, now)}</span>
      ${isFailed(row) && index < EXPLAINED
        ? html`<${LastLine} address=${{ ...address, subRunId: row.id }} />`
        : html`<span class="cut faint" title=${row.sub?.error}>${row.sub?.error}</span>`}</li>`} />`;
}

/** Why a sub-run failed. @param {{ address: RunAddress }} props */
function LastLine({ address }) {
  const { data } = useApi(pathOf(address));
  const reason = data && reasonOf(data.dagRunDetails);
  return html`<code class="cut bad" title=${reason?.text}>${reason && [reason.step, reason.text].filter(Boolean)
    .join(": ")}</code>`;
}

/** @param {{ address: RunAddress, failed: number, total: number, reload: Reload }} props */
function RetryFailed({ address, failed, total, reload }) {
  const [asked, setAsked] = useState(false);
  const title = `Retry the ${failed.toLocaleString("en")} failed`;
  return html`<button type="button" onClick=${() => setAsked(true)}>${title}</button>
    ${asked && html`<${Confirm} title=${`${title}?`} action=${title} danger=${false} onClose=${() => setAsked(false)}
      onConfirm=${() => retry(address).then(reload)}>
      <p>The run is retried: of ${plural(total, "sub-run")} the ${failed.toLocaleString("en")} that failed run again
        from the step that failed, and then the steps of this run that did not succeed. What succeeded keeps its
        results.</p><//>`}`;
}
