// Events of a trigger, the newest first, with what became of each.

import { html } from "../vendor/core.js";
import { plural } from "../lib/format.js";
import { href, setQuery } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { EVENT_STATES, lookOfEvent } from "../lib/triggers.js";
import { Empty, Id, Select, Status, Table, Time, whenLoaded } from "./basic.js";

const OPTIONS = [["", "any state"], ...EVENT_STATES.map((state) => [state, state])];

/**
 * `state` and `cursor` are those of the address.
 * @param {{ trigger: Api.Trigger, loaded: import("../lib/use-api.js").Loading<Api.TriggerEvents>, state: string,
 *   cursor: string | null }} props
 */
export function TriggerEvents({ trigger, loaded, state, cursor }) {
  const turn = (/** @type {string | null} */ to) => setQuery({ cursor: to }, { replace: false });
  return html`<div class="row"><h2>Events</h2><span class="grow"></span>
      <${Select} aria-label="State" value=${state} options=${OPTIONS}
        onSet=${(/** @type {string} */ chosen) => setQuery({ state: chosen, cursor: null })} /></div>
    ${whenLoaded(loaded, "events", ({ events, nextCursor }) => html`
      ${events.length ? html`<${Table} heads=${["Event", "State", "Received", "Key", "Run"]}>
        ${events.map((event) => html`<${Row} key=${event.id} trigger=${trigger} event=${event} />`)}<//>`
        : html`<${Empty} title=${state ? `No event is ${state}` : "No event yet"}>
          ${!state && trigger.path && html`<p>The first request to its address appears here.</p>`}<//>`}
      ${(cursor || nextCursor) && html`<p class="row">
        <button type="button" disabled=${!cursor} onClick=${() => turn(null)}>Newest</button>
        <button type="button" disabled=${!nextCursor} onClick=${() => turn(nextCursor ?? null)}>Older</button>
        </p>`}`)}`;
}

/** @param {{ trigger: Api.Trigger, event: Api.TriggerEvent }} props */
function Row({ trigger, event }) {
  const { id, receivedAt, duplicates } = event;
  return html`<tr>
    <td class="whole"><${Id} of=${id} page=${href(["triggers", trigger.name, "events", id])} /></td>
    <td class="wide-text" data-label="state"><${EventState} event=${event} /></td>
    <td data-label="received"><${Time} at=${receivedAt} />
      ${duplicates > 0 && html`<div class="sub">${plural(duplicates, "duplicate")}</div>`}</td>
    <td class="wide-text" data-label="key"><${Key} event=${event} /></td>
    <td data-label="run"><${RunOf} trigger=${trigger} event=${event} /></td></tr>`;
}

/** @param {{ event: Api.TriggerEvent }} props */
export const EventState = ({ event }) => html`<${Status} look=${lookOfEvent(event)} />
  ${event.reason && html`<div class="sub">${event.reason}</div>`}`;

/** By what a sender repeats an event, if it has said that. @param {{ event: Api.TriggerEvent }} props */
export const Key = ({ event: { id, key } }) =>
  key === id ? html`<span class="faint">none</span>` : html`<code>${key}</code>`;

/** The run of an event, if it has started. @param {{ trigger: Api.Trigger, event: Api.TriggerEvent }} props */
export function RunOf({ trigger: { dagName }, event: { state, dagRunId } }) {
  if (!dagName || !dagRunId || state !== "started") return html`<span class="faint">none</span>`;
  return html`<a href=${href(pageOf({ name: dagName, runId: dagRunId }))}>run of ${dagName}</a>`;
}
