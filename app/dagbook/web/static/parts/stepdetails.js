// Details pane of a step: how it ran, its command, and who decided about it.

import { html } from "../vendor/core.js";
import { durationText, secondsOf } from "../lib/durations.js";
import { instant } from "../lib/format.js";
import { nodesOf } from "../lib/runs.js";
import { Empty, Time } from "./basic.js";

/** @typedef {[name: string, value: Children]} Pair */

/** @param {{ run: Run, step: string }} props */
export function StepDetails({ run, step }) {
  const node = nodesOf(run).find((one) => one.step.name === step);
  if (!node) return html`<${Empty} title="No such step"><p>Choose a step from the list.</p><//>`;
  const { depends, description, dir, output } = node.step;
  return html`<div class="pane-scroll step-details" tabindex="0" role="region" aria-label=${`Details of ${step}`}>
    <${Section} title="Step"><${Facts} pairs=${[
      ["Started", instant(node.startedAt) && html`<${Time} at=${node.startedAt} words=${false} />`],
      ["Duration", secondsOf(node) !== null && durationText(node)],
      ["Retries", node.retryCount > 0 && node.retryCount],
      ["Repeated", node.doneCount > 1 && node.doneCount],
      ["Depends on", depends?.join(", ")],
      ["Description", description],
      ["Directory", dir && html`<code>${dir}</code>`],
      ["Output to", output && html`<code>${output}</code>`],
    ]} /><//>
    ${commandOf(node.step) && html`<${Section} title="Command"><pre>${commandOf(node.step)}</pre><//>`}
    <${Decision} node=${node} /></div>`;
}

/** The command of a step as it ran, as far as the run has it. @param {Api.Step} step */
const commandOf = ({ command, args, commands, cmdWithArgs, script }) =>
  [
    commands?.map((one) => [one.command, ...(one.args ?? [])].join(" ")).join("\n") ??
      (command ? [command, ...(args ?? [])].join(" ") : cmdWithArgs),
    script,
  ]
    .filter(Boolean)
    .join("\n");

/** @param {{ title: string, children?: Children }} props */
const Section = ({ title, children }) => html`<section><h3>${title}</h3>${children}</section>`;

/** Names and values; pairs without a value are left out. @param {{ pairs: Pair[] }} props */
function Facts({ pairs }) {
  const shown = pairs.filter(([, value]) => value || value === 0);
  return html`<dl class="facts">${shown.map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}
    </dl>`;
}

/** Who decided about an approval, and with which values. @param {{ node: Api.Node }} props */
function Decision({ node }) {
  const { approvedBy, approvedAt, approvalInputs = {}, rejectedBy, rejectedAt, rejectionReason } = node;
  if (!approvedBy && !rejectedBy) return null;
  return html`<${Section} title="Approval"><${Facts} pairs=${[
    [approvedBy ? "Approved by" : "Rejected by", approvedBy ?? rejectedBy],
    ["At", html`<${Time} at=${approvedAt ?? rejectedAt} words=${false} />`],
    ["Reason", rejectionReason],
    ...Object.entries(approvalInputs),
  ]} /><//>`;
}
