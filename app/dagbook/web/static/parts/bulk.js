// What is done to many runs at once: which these are, how, and the batch that does it.

import { html, useEffect, useState } from "../vendor/core.js";
import { HTTP, post } from "../lib/api.js";
import { BULK, planText } from "../lib/bulk.js";
import { plural } from "../lib/format.js";
import { go, href } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { useAnswer } from "../lib/use-api.js";
import { Failure, Id, Loading, Select, Table } from "./basic.js";
import { FormDialog } from "./form.js";
import { notify } from "./notice.js";

const MANY = 10; // from then on the number is typed before runs are stopped or deleted
const TEXTS = [["current", "the current text"], ["original", "the text that each run had"]];

/**
 * Asks for the runs of a filter, of one DAG or of all. The batch has what is shown, or is not made: runs that begin to
 * match later are not in it.
 * @param {{ action: import("../lib/bulk.js").BulkAction, filter: Api.RunsFilter, dag?: string,
 *   onClose: () => void }} props
 */
export function BulkDialog({ action, filter, dag, onClose }) {
  const { title, about, parallel } = BULK[action];
  const [text, setText] = useState("current");
  const [leaveOut, setLeaveOut] = useState(/** @type {string[]} */ ([]));
  const [typed, setTyped] = useState("");
  const body = { action, filter, ...(dag && { dag }), ...(parallel && { text: /** @type {"current"} */ (text) }) };
  const { data, failure, ask } = useAnswer(() => post("batches", { ...body, dryRun: true }));
  useEffect(() => void ask(), [text]);
  const count = Math.max((data?.counts.planned ?? 0) - leaveOut.length, 0);
  const asksNumber = !parallel && count > MANY;
  const make = async (/** @type {Fields} */ fields) => {
    try {
      const options = parallel ? { parallel: Number(fields.parallel) } : {};
      const made = await post("batches", { ...body, ...options, leaveOut, expect: count, reason: fields.reason });
      notify(`Batch ${made.batchId} has begun.`);
      go(["batches", String(made.batchId)]);
    } catch (error) {
      const { status } = /** @type {import("../lib/api.js").ApiError} */ (error);
      if (status === HTTP.PRECONDITION_FAILED) await ask(); // other runs match by now
      throw error;
    }
  };
  const toggle = (/** @type {string} */ key) =>
    setLeaveOut(leaveOut.includes(key) ? leaveOut.filter((each) => each !== key) : [...leaveOut, key]);
  return html`<${FormDialog} title=${`${title}: ${dag ? `runs of ${dag}` : "runs"}`} wide onClose=${onClose}
    onSave=${make} action=${`${title} ${plural(count, "run")}`} look=${parallel ? "primary" : "danger"}
    disabled=${!count || (asksNumber && typed !== String(count))}>
    <p class="faint">${about}</p>
    <div role="status">${failure && html`<${Failure} error=${failure} />`}
      ${data ? html`<p>${planText(data)}${leaveOut.length > 0 && ` ${plural(leaveOut.length, "run")} left out.`}</p>
        ${data.warnings.map((warning) => html`<p class="wait" key=${warning}>${warning}</p>`)}`
        : !failure && html`<${Loading} what="runs" />`}</div>
    ${data && html`<${Picks} planned=${data} leaveOut=${leaveOut} onToggle=${toggle} />`}
    ${parallel && html`<div class="row">
      <label>Runs at a time<input name="parallel" type="number" min="1" max="100" required value=${parallel} /></label>
      <label>With<${Select} value=${text} options=${TEXTS} onSet=${setText} /></label></div>`}
    <label>Reason<input name="reason" maxlength="500" required=${action === "again"} /></label>
    ${asksNumber && html`<label><span>Type <code>${count}</code> to confirm</span><input value=${typed}
      autocomplete="off" onInput=${(/** @type {InputChange} */ { target }) => setTyped(target.value)} /></label>`}<//>`;
}

/**
 * The first runs of a batch that is planned, from which single ones are taken out.
 * @param {{ planned: Api.CreatedBatch, leaveOut: string[], onToggle: (key: string) => void }} props
 */
function Picks({ planned: { items = [], counts }, leaveOut, onToggle }) {
  if (!items.length) return null;
  const more = (counts.planned ?? 0) - items.length;
  return html`<div class="picks" tabindex="0" role="region" aria-label="Runs of the batch">
    <${Table} class="list" heads=${["-Included", "DAG", "Run"]}>
      ${items.map(({ dagName = "", sourceRunId = "" }) => {
        const key = `${dagName}/${sourceRunId}`;
        return html`<tr key=${key}>
          <td><input type="checkbox" aria-label=${`Include run ${sourceRunId}`} checked=${!leaveOut.includes(key)}
              onChange=${() => onToggle(key)} /></td>
          <td class="wide-text">${dagName}</td>
          <td><${Id} of=${sourceRunId} page=${href(pageOf({ name: dagName, runId: sourceRunId }))} /></td></tr>`;
      })}<//></div>
    ${more > 0 && html`<p class="faint small">And ${plural(more, "more run")}.</p>`}`;
}
