// Past starts by schedule with their outcomes.

import { html } from "../vendor/core.js";
import { href } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { Table, Time } from "./basic.js";

const TONES = { started: "good", queued: "wait", stopped: "good", restarting: "busy", restarted: "good", skipped: "off",
  suspended: "off", missed: "mixed", failed: "bad" };

/** `ofAll`: those of all DAGs, with their names. @param {{ slots: Api.Slot[], ofAll?: boolean }} props */
export function Slots({ slots, ofAll = false }) {
  return html`<${Table} heads=${["Due", ofAll && "DAG", "Outcome", "Reason"]}>
    ${slots.map((slot, index) => html`<tr key=${index}>
      <td><${Time} at=${slot.scheduledAt} words=${false} /></td>
      ${ofAll && html`<td><a class="wide-text" href=${href(["dags", slot.fileName])}>
        ${slot.dagName ?? slot.fileName}</a></td>`}
      <td>${slot.dagRunId ? html`<a class=${TONES[slot.outcome]}
          href=${href(pageOf({ name: slot.dagName ?? slot.fileName, runId: slot.dagRunId }))}>${slot.outcome}</a>`
          : html`<span class=${TONES[slot.outcome]}>${slot.outcome}</span>`}
        ${slot.kind !== "start" && html` <span class="tag">${slot.kind}</span>`}
        ${slot.madeUp && html` <span class="tag">catch-up</span>`}</td>
      <td class="wide-text faint">${slot.reason}</td></tr>`)}<//>`;
}
