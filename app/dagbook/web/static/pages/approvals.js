// Inbox: the approvals that runs wait for.

import { html } from "../vendor/core.js";
import { short } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { href } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { useTitle } from "../lib/title.js";
import { ApprovalButtons } from "../parts/approval.js";
import { Empty, Time, whenLoaded } from "../parts/basic.js";

/** @type {Concerns} */
const onRun = (change) => change.kind === "run";

export default function Approvals() {
  useTitle("Approvals");
  const inbox = useApi("approvals", {}, onRun);
  return html`<h1>Approvals</h1>
    ${whenLoaded(inbox, "approvals", ({ approvals, hasMore }) => approvals.length ? html`
      <div class="scroll"><table class="stack">
        <thead><tr><th>Run</th><th>Step</th><th>Question</th><th>Waiting since</th>
          <th><span class="visually-hidden">Decision</span></th></tr></thead>
        <tbody>${approvals.map((one) => html`<${Row} key=${`${one.dagRunId}/${one.stepName}`} one=${one}
          reload=${inbox.reload} />`)}</tbody></table></div>
      ${hasMore && html`<p class="faint">Only the oldest approvals are shown.</p>`}`
      : html`<${Empty} title="Nothing to approve">
        <p>Steps of type <code>hitl</code> appear here and wait until a user approves or rejects them.</p><//>`)}`;
}

/** @param {{ one: Api.ApprovalItem, reload: Reload }} props */
function Row({ one, reload }) {
  const below = one.rootDAGRunName && one.rootDAGRunId;
  const address = below
    ? { name: one.rootDAGRunName ?? "", runId: one.rootDAGRunId ?? "", subRunId: one.dagRunId }
    : { name: one.dagName, runId: one.dagRunId };
  return html`<tr>
    <td><a href=${href(pageOf(address), { step: one.stepName })}>
      ${one.dagName}</a> <code class="faint" title=${one.dagRunId}>${short(one.dagRunId)}</code></td>
    <td data-label="step">${one.stepName}</td>
    <td class="wide-text">${one.prompt}</td>
    <td data-label="waiting since"><${Time} at=${one.since} /></td>
    <td><${ApprovalButtons} address=${address} step=${one.stepName} waiting=${one} reload=${reload} /></td></tr>`;
}
