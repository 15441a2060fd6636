// Approvals that runs wait for, as cards with what a decision needs; below them those that were decided.

import { html, useState } from "../vendor/core.js";
import { get } from "../lib/api.js";
import { short } from "../lib/format.js";
import { href } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { useTitle } from "../lib/title.js";
import { useApi, useReady } from "../lib/use-api.js";
import { ApprovalButtons, approverText } from "../parts/approval.js";
import { Empty, Loading, StatusIcon, Table, Time, whenLoaded } from "../parts/basic.js";
import { attempt } from "../parts/notice.js";

const PAGE = 20; // decisions
/** @type {Concerns} */
const onRun = (change) => change.kind === "run";

/** @param {Api.ApprovalItem | Api.DecidedApproval} one */
const addressOf = ({ dagName, dagRunId, rootDAGRunName, rootDAGRunId }) =>
  rootDAGRunName && rootDAGRunId
    ? { name: rootDAGRunName, runId: rootDAGRunId, subRunId: dagRunId }
    : { name: dagName, runId: dagRunId };

/** Ids of runs are unique within a DAG only. @param {Api.ApprovalItem | Api.DecidedApproval} one */
const keyOf = ({ dagName, dagRunId, stepName, since }) => `${dagName}/${dagRunId}/${stepName}/${since}`;

export default function Approvals() {
  useTitle("Approvals");
  const inbox = useApi("approvals", {}, onRun);
  const newest = useApi("approvals/decided", { perPage: PAGE }, onRun);
  if (!useReady(inbox, newest)) return html`<h1>Approvals</h1><${Loading} what="approvals" />`;
  return html`<h1>Approvals</h1>
    ${whenLoaded(inbox, "approvals", ({ approvals, hasMore }) => approvals.length ? html`
      <div class="approvals">${approvals.map((one) => html`<${Card} key=${keyOf(one)} one=${one}
        reload=${inbox.reload} />`)}</div>
      ${hasMore && html`<p class="faint">Only the oldest approvals are shown.</p>`}`
      : html`<${Empty} title="Nothing to approve">
        <p>Steps of type <code>hitl</code> appear here and wait until a user approves or rejects them.</p><//>`)}
    <${Decided} newest=${newest} />`;
}

/** @param {{ one: Api.ApprovalItem, reload: Reload }} props */
function Card({ one, reload }) {
  const address = addressOf(one);
  const step = (/** @type {string} */ name) => href(pageOf(address), { step: name });
  const who = one.actor ? `${one.actor} (${one.trigger})` : one.trigger;
  const wants = one.input.map((name) => `${name}${one.required.includes(name) ? " (required)" : ""}`);
  return html`<article class="card approval" aria-label=${`Approval of ${one.stepName} of ${one.dagName}`}>
    <p class="question wide-text">${one.prompt || `May ${one.dagName} continue after the step ${one.stepName}?`}</p>
    <dl class="facts">
      <dt>Asked by</dt><dd><a href=${step(one.stepName)}>${one.dagName}</a>, step ${one.stepName}${" "}
        <code class="faint" title=${one.dagRunId}>${short(one.dagRunId)}</code>, <${Time} at=${one.since} /></dd>
      <dt>Started by</dt><dd>${who}</dd>
      ${one.params && html`<dt>Parameters</dt><dd class="wide-text"><code>${one.params}</code></dd>`}
      ${one.before.length > 0 && html`<dt>Ran before</dt><dd>${one.before.map(({ name, status }) => html`
        <a class="plain" key=${name} href=${step(name)}><${StatusIcon} of=${status} node /> ${name}</a>${" "}`)}</dd>`}
      <dt>If approved</dt><dd>${one.next.length ? `${one.next.join(", ")} can run.` : "The run continues."}</dd>
      <dt>If rejected</dt><dd>The step fails${one.next.length > 0 && `, ${one.next.join(", ")} will not run`}
        ${one.onFailure && `, and the handler ${one.onFailure} runs if the run fails`}.</dd>
      ${one.deadline && html`<dt>Deadline</dt>
        <dd class="wait"><${Time} at=${one.deadline} />, then the step fails</dd>`}
      <dt>Who decides</dt>
      <dd>${one.approvers ? approverText(one.approvers) : "everyone who may run this DAG"}</dd>
      ${wants.length > 0 && html`<dt>Asks for</dt><dd>${wants.join(", ")}</dd>`}
    </dl>
    <${ApprovalButtons} address=${address} step=${one.stepName} waiting=${one} reload=${reload} /></article>`;
}

/** @param {{ newest: import("../lib/use-api.js").Loading<Api.DecidedApprovals> }} props */
function Decided({ newest }) {
  const [older, setOlder] = useState({ page: 1, found: /** @type {Api.DecidedApproval[]} */ ([]), more: true });
  const more = () => attempt(async () => {
    const next = await get("approvals/decided", { perPage: PAGE, page: older.page + 1 });
    setOlder({ page: older.page + 1, found: [...older.found, ...next.approvals], more: next.hasMore });
  });
  return whenLoaded(newest, "decisions", ({ approvals, hasMore }) => {
    // A decision since the first page was loaded moves the others to the next page.
    const byKey = new Map([...approvals, ...older.found].map((one) => [keyOf(one), one]));
    if (!byKey.size) return null;
    return html`<h2>Decided</h2>
      <${Table} heads=${["When", "Decision", "Step", "Question", "Values or reason"]}>
      ${[...byKey].map(([key, one]) => html`<tr key=${key}>
        <td><${Time} at=${one.decidedAt} /></td>
        <td class="wide-text"><span class=${one.approved ? "good" : "bad"}>
          ${one.approved ? "approved" : "rejected"}</span> by ${one.decidedBy}</td>
        <td class="wide-text"><a href=${href(pageOf(addressOf(one)), { step: one.stepName })}>
          ${one.dagName}, ${one.stepName}</a></td>
        <td class="wide-text">${one.prompt}</td>
        <td class="wide-text">${one.reason ?? Object.entries(one.inputs ?? {})
          .map(([name, value]) => `${name}=${value}`).join(", ")}</td></tr>`)}<//>
      ${(older.page === 1 ? hasMore : older.more) && html`<p><button type="button" onClick=${more}>
        Show older decisions</button></p>`}`;
  });
}
