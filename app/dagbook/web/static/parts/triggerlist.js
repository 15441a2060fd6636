// A table of triggers: what they start, whether they work, and how many of their events wait or are dead.

import { html } from "../vendor/core.js";
import { href } from "../lib/router.js";
import { kindOf, lookOfTrigger, reasonOfTrigger } from "../lib/triggers.js";
import { Status, Table, Time } from "./basic.js";

/** @param {{ triggers: Api.Trigger[], ofDag?: boolean }} props */
export function TriggerList({ triggers, ofDag }) {
  return html`<${Table} heads=${["Trigger", ...(ofDag ? [] : ["DAG"]), "Kind", "State", "#Waiting", "#Dead",
      "Last event"]}>
    ${triggers.map((trigger) => html`<tr key=${trigger.name}>
      <td class="whole wide-text"><a href=${href(["triggers", trigger.name])}>${trigger.name}</a></td>
      ${!ofDag && html`<td class="wide-text" data-label="DAG"><${DagOf} trigger=${trigger} /></td>`}
      <td data-label="kind">${kindOf(trigger)}</td>
      <td class="wide-text" data-label="state"><${TriggerState} trigger=${trigger} /></td>
      <td class="number" data-label="waiting"><${Count} trigger=${trigger} state="waiting" /></td>
      <td class="number" data-label="dead"><${Count} trigger=${trigger} state="dead" /></td>
      <td data-label="last event"><${Time} at=${trigger.lastEventAt} /></td></tr>`)}<//>`;
}

/** @param {{ trigger: Api.Trigger }} props */
export const DagOf = ({ trigger: { dag } }) =>
  dag ? html`<a href=${href(["dags", dag])}>${dag}</a>` : html`<span class="faint">none</span>`;

/** @param {{ trigger: Api.Trigger }} props */
export function TriggerState({ trigger }) {
  const reason = reasonOfTrigger(trigger);
  return html`<${Status} look=${lookOfTrigger(trigger)} />${reason && html`<div class="sub">${reason}</div>`}`;
}

/** Leads to the events in a state. @param {{ trigger: Api.Trigger, state: "waiting" | "dead" }} props */
function Count({ trigger, state }) {
  const count = trigger[state];
  return count ? html`<a class=${state === "dead" ? "bad" : "wait"} aria-label=${`${count} ${state} of ${trigger.name}`}
    href=${href(["triggers", trigger.name], { state })}>${count}</a>` : html`<span class="faint">0</span>`;
}
