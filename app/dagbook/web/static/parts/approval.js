// What a step asks, who may decide, and the decision about it.

import { html, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { config } from "../lib/config.js";
import { pathOf } from "../lib/runs.js";
import { hasGrants, may } from "../lib/session.js";
import { Time } from "./basic.js";
import { FormDialog } from "./form.js";

/** Users and groups who may decide; none is everyone who may run the DAG. @param {string[]} names */
export const approverText = (names) => names.map((name) => name.replace(/^group:/, "group ")).join(", ");

/** @param {{ address: RunAddress, step: string, waiting: Api.WaitingForApproval, reload: Reload }} props */
export function ApprovalCard({ address, step, waiting, reload }) {
  return html`<section class="card" aria-label=${`Approval of ${step}`}>
    <p class="wait">Waits for approval since <${Time} at=${waiting.since} words=${false} /></p>
    ${waiting.prompt && html`<p class="wide-text">${waiting.prompt}</p>`}
    <${ApprovalButtons} address=${address} step=${step} waiting=${waiting} reload=${reload} /></section>`;
}

/** Why the user cannot decide; null for one who can. @param {Api.WaitingForApproval} waiting */
function reasonAgainst({ approvers, mayDecide }) {
  if (mayDecide ?? may("run")) return null;
  if (!config.runs) return "This server does not allow it: permissions_run_dags is false.";
  if (approvers) return `Only ${approverText(approvers)} can approve or reject.`;
  return hasGrants.value ? "Only operators of the DAG can approve or reject." : "Only operators and above may do this.";
}

/**
 * The buttons; in their place the reason for a user who cannot decide.
 * @param {{ address: RunAddress, step: string, waiting: Api.WaitingForApproval, reload: Reload }} props
 */
export function ApprovalButtons({ address, step, waiting, reload }) {
  const [asked, setAsked] = useState(/** @type {"approve" | "reject" | null} */ (null));
  const close = () => setAsked(null);
  const path = /** @type {const} */ ([...pathOf(address), "steps", step]);
  const inputsOf = (/** @type {Fields} */ fields) =>
    Object.fromEntries(waiting.input.map((name) => [name, fields[name] ?? ""]).filter(([, value]) => value));
  const against = reasonAgainst(waiting);
  if (against) return html`<p class="faint">${against}</p>`;
  return html`<span class="row">
    <button type="button" class="primary" onClick=${() => setAsked("approve")}>Approve</button>
    <button type="button" class="danger" onClick=${() => setAsked("reject")}>Reject</button>
    ${asked === "approve" && html`<${FormDialog} title=${`Approve the step “${step}”?`} action="Approve"
      onClose=${close}
      onSave=${(/** @type {Fields} */ fields) =>
        post([...path, "approve"], { inputs: inputsOf(fields) }).then(reload)}>
      ${waiting.prompt && html`<p class="wide-text">${waiting.prompt}</p>`}
      ${waiting.input.map((name) => html`<label key=${name}>
        <span>${name}${!waiting.required.includes(name) && html` <span class="faint">(optional)</span>`}</span>
        <input name=${name} required=${waiting.required.includes(name)} autocomplete="off" /></label>`)}
      ${!waiting.input.length && html`<p class="faint">The run continues.</p>`}<//>`}
    ${asked === "reject" && html`<${FormDialog} title=${`Reject the step “${step}”?`} action="Reject" onClose=${close}
      onSave=${(/** @type {Fields} */ { reason = "" }) => post([...path, "reject"], { reason }).then(reload)}>
      <p>The step fails, and steps that depend on it do not run.</p>
      <label><span>Reason <span class="faint">(optional)</span></span>
        <input name="reason" autocomplete="off" /></label><//>`}
  </span>`;
}
