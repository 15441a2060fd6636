// Map of the scheduled times of a DAG by day and time: their outcomes, and a backfill of those that a drag selects.

import { html, useEffect, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { arrowNavigation, SIDEWAYS } from "../lib/arrow-nav.js";
import { plural } from "../lib/format.js";
import { backfillOf, lookOfSlot, mapOf, slotsBetween } from "../lib/slots.js";
import { useAnswer } from "../lib/use-api.js";
import { ActionButton, Failure, Icon } from "./basic.js";
import { FormDialog } from "./form.js";
import { notify } from "./notice.js";
import "./tooltip.js";

const moveAlong = arrowNavigation("button", SIDEWAYS);
/** @typedef {{ from: [number, number], to: [number, number], isOpen: boolean }} Selection */

/** @param {{ name: string, slots: Api.DagSlot[], reload: Reload }} props */
export function SlotMatrix({ name, slots, reload }) {
  const [selection, setSelection] = useState(/** @type {Selection | null} */ (null));
  const [asks, setAsks] = useState(false);
  const map = mapOf(slots);
  const selected = selection ? slotsBetween(map, selection.from, selection.to) : [];
  const isSelected = new Set(selected);
  const backfill = backfillOf(name, slots, selected);
  useEffect(() => {
    const end = () => setSelection((before) => before && { ...before, isOpen: false });
    window.addEventListener("pointerup", end);
    return () => window.removeEventListener("pointerup", end);
  }, []);
  const begin = (/** @type {[number, number]} */ at, isOpen = false) => setSelection({ from: at, to: at, isOpen });
  const extend = (/** @type {[number, number]} */ at) =>
    setSelection((before) => (before?.isOpen ? { ...before, to: at } : before));
  return html`<div class="card heat-card"><table class="heat slot-map">
    <caption class="visually-hidden">Scheduled times by day: ${plural(slots.length, "time")}</caption>
    <thead><tr><td></td>${map.days.map((day) => html`<th key=${day} scope="col">${day.slice(8)}</th>`)}</tr></thead>
    <tbody>${map.rows.map((row, top) => html`<tr key=${row.name} onKeyDown=${moveAlong}>
      <th scope="row">${row.name}</th>
      ${row.cells.map((cell, left) => html`<td key=${map.days[left]}>${cell && html`<${Cell} cell=${cell}
        isSelected=${cell.slots.every((slot) => isSelected.has(slot))} tab=${left === row.cells.length - 1}
        onBegin=${(/** @type {boolean} */ isOpen) => begin([top, left], isOpen)}
        onExtend=${() => extend([top, left])} />`}</td>`)}</tr>`)}</tbody></table>
    <div class="row">
      <${ActionButton} right="run" class="primary" disabled=${!backfill} onClick=${() => setAsks(true)}>
        ${backfill?.text ?? "Nothing to run"}<//>
      ${selection && html`<button type="button" onClick=${() => setSelection(null)}>Clear the selection</button>`}
      <p class="faint small">Drag over times to select them.</p></div></div>
    ${asks && backfill && html`<${BackfillDialog} title=${backfill.text} body=${backfill.body}
      onClose=${() => setAsks(false)} onDone=${() => (setSelection(null), reload())} />`}`;
}

/** @param {{ cell: import("../lib/slots.js").Cell, isSelected: boolean, tab: boolean,
 *   onBegin: (isOpen: boolean) => void, onExtend: () => void }} props */
function Cell({ cell: { day, row, slots, outcome }, isSelected, tab, onBegin, onExtend }) {
  const look = lookOfSlot(outcome);
  const batch = slots.find(({ batchId }) => batchId !== undefined)?.batchId;
  const text = `${day} ${row}: ${look.word}${slots.length > 1 ? ` (of ${slots.length})` : ""}${
    batch === undefined ? "" : `, batch ${batch} has it`}`;
  return html`<button type="button" class=${`slot-cell ${look.tone}`} data-tip=${text} aria-label=${text}
    aria-pressed=${isSelected} tabindex=${tab ? 0 : -1} onPointerDown=${() => onBegin(true)} onPointerEnter=${onExtend}
    onKeyDown=${(/** @type {KeyboardEvent} */ { key }) => (key === "Enter" || key === " ") && onBegin(false)}>
    <${Icon} name=${look.icon} /></button>`;
}

/** @param {{ title: string, body: Api.NewBatch, onClose: () => void, onDone: () => void }} props */
function BackfillDialog({ title, body, onClose, onDone }) {
  const start = async (/** @type {Fields} */ { parallel, reason }) => {
    const made = await post("batches", { ...body, parallel: Number(parallel) || 1, reason });
    notify(made.batchId === undefined ? "Nothing is left to do." : `Batch ${made.batchId} has begun.`);
    onDone();
  };
  return html`<${FormDialog} title=${title} action="Start" onClose=${onClose} onSave=${start}>
    <${Preview} body=${body} />
    <label>Runs at a time<input name="parallel" inputmode="numeric" size="4" value="1" /></label>
    <label>Reason<input name="reason" maxlength="500" /></label><//>`;
}

/** @param {{ body: Api.NewBatch }} props */
function Preview({ body }) {
  const { data, failure, ask } = useAnswer(() => post("batches", { ...body, dryRun: true }));
  useEffect(() => void ask(), []);
  const { start = 0, retry = 0, again = 0 } = data?.steps ?? {};
  return html`<div role="status">${failure && html`<${Failure} error=${failure} />`}
    ${data && html`<p>${plural(start, "run")} will start, ${retry} will be retried, and ${again} replaced by runs of
      revision ${data.revision}. They wait behind all other runs of the DAG.</p>`}</div>`;
}
