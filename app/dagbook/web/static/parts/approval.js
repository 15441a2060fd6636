// What a step asks, and the decision about it.

import { html, useState } from "../vendor/core.js";
import { approve, reject } from "../lib/run-actions.js";
import { ActionButton, Time } from "./basic.js";
import { FormDialog } from "./form.js";

/**
 * @param {{ address: RunAddress, step: string, waiting: Api.WaitingForApproval, reload: Reload }} props
 */
export function ApprovalCard({ address, step, waiting, reload }) {
  return html`<section class="card" aria-label=${`Approval of ${step}`}>
    <p class="wait">Waits for approval since <${Time} at=${waiting.since} words=${false} /></p>
    ${waiting.prompt && html`<p class="wide-text">${waiting.prompt}</p>`}
    ${waiting.approvers && html`<p class="faint">Only ${waiting.approvers.join(", ")} can approve or reject.</p>`}
    <${ApprovalButtons} address=${address} step=${step} waiting=${waiting} reload=${reload} />
  </section>`;
}

/**
 * @param {{ address: RunAddress, step: string, waiting: Api.WaitingForApproval, reload: Reload }} props
 */
export function ApprovalButtons({ address, step, waiting, reload }) {
  const [asked, setAsked] = useState(/** @type {"approve" | "reject" | null} */ (null));
  const close = () => setAsked(null);
  const inputsOf = (/** @type {Fields} */ fields) =>
    Object.fromEntries(waiting.input.map((name) => [name, fields[name] ?? ""]).filter(([, value]) => value));
  return html`<span class="row">
    <${ActionButton} right="run" class="primary" onClick=${() => setAsked("approve")}>Approve<//>
    <${ActionButton} right="run" class="danger" onClick=${() => setAsked("reject")}>Reject<//>
    ${asked === "approve" && html`<${FormDialog} title=${`Approve ${step}?`} action="Approve" onClose=${close}
      onSave=${(/** @type {Fields} */ fields) => approve(address, step, inputsOf(fields)).then(reload)}>
      ${waiting.prompt && html`<p class="wide-text">${waiting.prompt}</p>`}
      ${waiting.input.map((name) => html`<label key=${name}>
        <span>${name}${!waiting.required.includes(name) && html` <span class="faint">(optional)</span>`}</span>
        <input name=${name} required=${waiting.required.includes(name)} autocomplete="off" /></label>`)}
      ${!waiting.input.length && html`<p class="faint">The run continues.</p>`}<//>`}
    ${asked === "reject" && html`<${FormDialog} title=${`Reject ${step}?`} action="Reject" onClose=${close}
      onSave=${(/** @type {Fields} */ fields) => reject(address, step, fields.reason ?? "").then(reload)}>
      <p>The step fails, and steps that depend on it do not run.</p>
      <label><span>Reason <span class="faint">(optional)</span></span>
        <input name="reason" autocomplete="off" /></label><//>`}
  </span>`;
}
