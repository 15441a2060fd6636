// Batches in a table, each with its bar; and the items of one.

import { html } from "../vendor/core.js";
import { ITEM_LOOKS, STATE_OPTIONS, actionOf, countText, lookOfBatch, partsOf, reasonOfBatch, subjectOf }
  from "../lib/batches.js";
import { short } from "../lib/format.js";
import { href, setQuery } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { Empty, Id, Select, Status, Table, Time, whenLoaded } from "./basic.js";

/** @param {{ batches: Api.Batch[] }} props */
export function BatchTable({ batches }) {
  return html`<${Table} heads=${["Batch", "DAG", "State", "Progress", "Made"]}>
    ${batches.map((batch) => html`<tr key=${batch.id}>
      <td class="whole"><a href=${href(["batches", String(batch.id)])}>${batch.id} ${actionOf(batch)}</a></td>
      <td class="wide-text" data-label="DAG"><${DagOf} batch=${batch} />
        <div class="sub">${subjectOf(batch)}</div></td>
      <td class="wide-text" data-label="state"><${BatchState} batch=${batch} /></td>
      <td class="whole"><${BatchBar} counts=${batch.counts} /></td>
      <td class="wide-text" data-label="made"><${Time} at=${batch.createdAt} />
        ${batch.createdBy && html`<div class="sub">by ${batch.createdBy}</div>`}
        ${batch.reason && html`<div class="sub">${batch.reason}</div>`}</td></tr>`)}<//>`;
}

/** @param {{ batch: Api.Batch }} props */
export function DagOf({ batch: { dag, filter } }) {
  if (dag) return html`<a href=${href(["dags", dag])}>${dag}</a>`;
  return html`<span class="faint">${filter.dag ? `${filter.dag}, which was deleted` : "several"}</span>`;
}

/** @param {{ batch: Api.Batch }} props */
export function BatchState({ batch }) {
  const reason = reasonOfBatch(batch);
  return html`<${Status} look=${lookOfBatch(batch)} />${reason && html`<div class="sub">${reason}</div>`}`;
}

/** The items by their states; the words say what the bar shows. @param {{ counts: Api.BatchCounts }} props */
export function BatchBar({ counts }) {
  return html`<div class="batch-bar" aria-hidden="true">${partsOf(counts).map(({ state, look, count }) => html`<span
      key=${state} class=${look.tone} style=${{ flexGrow: count }}></span>`)}</div>
    <div class="sub">${countText(counts)}</div>`;
}

/**
 * The page of a list by cursor, which is in the address; nothing where one page is all.
 * @param {{ cursor: string | null, next?: string, names: [first: string, next: string] }} props
 */
export function Turn({ cursor, next, names: [first, after] }) {
  if (!cursor && !next) return null;
  const turn = (/** @type {string | null} */ to) => setQuery({ cursor: to }, { replace: false });
  return html`<p class="row">
    <button type="button" disabled=${!cursor} onClick=${() => turn(null)}>${first}</button>
    <button type="button" disabled=${!next} onClick=${() => turn(next ?? null)}>${after}</button></p>`;
}

/**
 * `state` and `cursor` are those of the address.
 * @param {{ batch: Api.Batch, loaded: import("../lib/use-api.js").Loading<Api.BatchItems>, state: string,
 *   cursor: string | null }} props
 */
export function BatchItems({ batch, loaded, state, cursor }) {
  const word = ITEM_LOOKS[/** @type {Api.BatchItem["state"]} */ (state)]?.word;
  return html`<div class="row"><h2>Items</h2><span class="grow"></span>
      <${Select} aria-label="State" value=${state} options=${STATE_OPTIONS}
        onSet=${(/** @type {string} */ chosen) => setQuery({ state: chosen, cursor: null })} /></div>
    ${whenLoaded(loaded, "items", ({ items, nextCursor }) => html`
      ${items.length ? html`<${Table} heads=${["Item", ...(batch.dagName ? [] : ["DAG"]), "State", "Run", "Why"]}>
        ${items.map((item) => html`<${Row} key=${item.place} item=${item} ofDag=${Boolean(batch.dagName)} />`)}<//>`
        : html`<${Empty} title=${word ? `No item is ${word}` : "No items"} />`}
      <${Turn} cursor=${cursor} next=${nextCursor} names=${["First", "Next"]} />`)}`;
}

/** @param {{ item: Api.BatchItem, ofDag: boolean }} props */
function Row({ item, ofDag }) {
  const { place, scheduledAt, dag, dagName = "", dagRunId, sourceRunId, state, why } = item;
  return html`<tr>
    <td class="whole">${scheduledAt ? html`<${Time} at=${scheduledAt} words=${false} />` : place}</td>
    ${!ofDag && html`<td class="wide-text" data-label="DAG">${dag
      ? html`<a href=${href(["dags", dag])}>${dag}</a>` : dagName}</td>`}
    <td data-label="state"><${Status} look=${ITEM_LOOKS[state]} /></td>
    <td data-label="run">
      ${dagRunId ? html`<${Id} of=${dagRunId} page=${href(pageOf({ name: dagName, runId: dagRunId }))} />`
        : html`<span class="faint">none</span>`}
      ${sourceRunId && sourceRunId !== dagRunId && html`<div class="sub">after <a title=${sourceRunId}
        href=${href(pageOf({ name: dagName, runId: sourceRunId }))}>${short(sourceRunId)}</a></div>`}</td>
    <td class="wide-text" data-label="why">${why}</td></tr>`;
}
