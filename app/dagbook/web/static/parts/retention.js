// Preview of the space that the effective retention would free now, and the button that frees it.

import { html, useState } from "../vendor/core.js";
import { get, post } from "../lib/api.js";
import { bytes, plural } from "../lib/format.js";
import { hasGrants, may } from "../lib/session.js";
import { useAnswer } from "../lib/use-api.js";
import { Failure, Table } from "./basic.js";
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

export function Retention() {
  const { data: preview, failure, busy, ask } = useAnswer(() => get("retention/preview"));
  const [asked, setAsked] = useState(false);
  return html`<section aria-label="Space">
    <div class="row"><h2>Space</h2><span class="grow"></span>
      ${!hasGrants.value && html`<button type="button" disabled=${busy} onClick=${ask}>
        ${busy ? "Checking…" : "Preview clean-up"}</button>`}</div>
    <p class="faint">
      Old runs are deleted automatically. To set their age, use <code>histRetentionDays</code> in a DAG,
      or <code>retention_days</code> in <code>dagbook.yaml</code>.</p>
    ${failure && html`<${Failure} error=${failure} />`}
    ${preview && html`<${Going} preview=${preview} onClean=${() => setAsked(true)} />`}
    ${asked && preview && html`<${Confirm} title="Delete these runs?" action="Delete runs" typed=${WORD}
      onClose=${() => setAsked(false)} onConfirm=${() => clean().then(ask)}>
      <p>This deletes ${sum(preview)}. It cannot be undone.</p><//>`}
  </section>`;
}

/** @param {{ preview: Api.RetentionPreview, onClean: () => void }} props */
function Going({ preview, onClean }) {
  if (!preview.runs) return html`<p class="good">Nothing to clean up: all runs are within their limits.</p>`;
  return html`<div class="row"><strong>A clean-up deletes ${sum(preview)}.</strong><span class="grow"></span>
    ${may("admin") && html`<button type="button" class="danger" onClick=${onClean}>Clean up</button>`}</div>
    <${Table} heads=${["DAG", "Runs", "Logs", "Reason"]}>
      ${preview.dags.map((one) => html`<tr key=${one.name}><td class="wide-text">${one.name}</td>
        <td data-label="runs" class="number">${one.runs.toLocaleString("en")}</td>
        <td data-label="logs" class="number">${bytes(one.logBytes)}</td>
        <td>${Object.entries(one.reasons).map(([reason, count]) => `${REASONS[reason] ?? reason}: ${count}`).join(", ")}
        </td></tr>`)}<//>`;
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
