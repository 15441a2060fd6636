// Preview of the space that the effective retention would free now, and the button that frees it.

import { html, useState } from "../vendor/core.js";
import { asError, get, post } from "../lib/api.js";
import { bytes, plural } from "../lib/format.js";
import { hasGrants, may } from "../lib/session.js";
import { Failure } from "./basic.js";
import { Confirm } from "./form.js";
import { notify } from "./notice.js";

const WORD = "clean up";
/** @type {Record<string, string>} */
const REASONS = {
  age: "older than the limit",
  runs: "more runs than the DAG keeps",
  logBytes: "logs of the DAG too large",
  totalRuns: "more runs than the server keeps",
  totalLogBytes: "all logs too large",
};

/** @typedef {{ preview: Api.RetentionPreview | null, failure: Failed | null, busy: boolean }} Previewed */

export function Retention() {
  const [state, setState] = useState(/** @type {Previewed} */ ({ preview: null, failure: null, busy: false }));
  const [asked, setAsked] = useState(false);
  const look = async () => {
    setState((before) => ({ ...before, failure: null, busy: true }));
    try {
      setState({ preview: await get("retention/preview"), failure: null, busy: false });
    } catch (failure) {
      setState({ preview: null, failure: asError(failure), busy: false });
    }
  };
  const { preview, failure, busy } = state;
  return html`<section aria-label="Space">
    <div class="row"><h2>Space</h2><span class="grow"></span>
      ${!hasGrants.value && html`<button type="button" disabled=${busy} onClick=${look}>
        ${busy ? "Checking…" : "Preview clean-up"}</button>`}</div>
    <p class="faint">
      Old runs are deleted automatically. To set their age, use <code>histRetentionDays</code> in a DAG,
      or <code>retention_days</code> in <code>dagbook.yaml</code>.</p>
    ${failure && html`<${Failure} error=${failure} />`}
    ${preview && html`<${Going} preview=${preview} onClean=${() => setAsked(true)} />`}
    ${asked && preview && html`<${Confirm} title="Delete these runs?" action="Delete runs" typed=${WORD}
      onClose=${() => setAsked(false)} onConfirm=${() => clean().then(look)}>
      <p>This deletes ${sum(preview)}. It cannot be undone.</p><//>`}
  </section>`;
}

/** @param {{ preview: Api.RetentionPreview, onClean: () => void }} props */
function Going({ preview, onClean }) {
  if (!preview.runs) return html`<p class="good">Nothing to clean up: all runs are within their limits.</p>`;
  return html`<div class="row"><strong>A clean-up deletes ${sum(preview)}.</strong><span class="grow"></span>
    ${may("admin") && html`<button type="button" class="danger" onClick=${onClean}>Clean up</button>`}</div>
    <table class="stack"><thead><tr><th>DAG</th><th>Runs</th><th>Logs</th><th>Reason</th></tr></thead>
      <tbody>
        ${preview.dags.map((one) => html`<tr key=${one.name}><td class="wide-text">${one.name}</td>
          <td data-label="runs" class="number">${one.runs.toLocaleString("en")}</td>
          <td data-label="logs" class="number">${bytes(one.logBytes)}</td>
        <td>${Object.entries(one.reasons).map(([reason, count]) => `${REASONS[reason] ?? reason}: ${count}`).join(", ")}
        </td></tr>`)}</tbody></table>`;
}

/** @param {{ runs: number, logBytes: number, more?: boolean }} counted */
const sum = ({ runs, logBytes, more }) =>
  `${more ? "more than " : ""}${plural(runs, "run")} with ${bytes(logBytes)} of logs`;

/** Repeat the cleanup while there is more: the server works for some seconds per request. */
async function clean() {
  const gone = { runs: 0, logBytes: 0 };
  for (let more = true; more; ) {
    const answer = await post("retention/cleanup");
    gone.runs += answer.runs;
    gone.logBytes += answer.logBytes;
    more = answer.more && answer.runs > 0;
  }
  notify(`${sum(gone)} deleted.`);
}
