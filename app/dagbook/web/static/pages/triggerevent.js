// One event of a trigger: what it said, and what became of it.

import { html } from "../vendor/core.js";
import { bytes, short } from "../lib/format.js";
import { href } from "../lib/router.js";
import { useTitle } from "../lib/title.js";
import { useApi, useReady } from "../lib/use-api.js";
import { Id, Loading, NotThere, Table, Time, whenLoaded } from "../parts/basic.js";
import { usePolling } from "../parts/origin.js";
import { EventState, Key, RunOf } from "../parts/triggerevents.js";

/** @param {{ params: { name: string, eventId: string } }} props */
export default function TriggerEventPage({ params: { name, eventId } }) {
  useTitle(`Event ${short(eventId)}`, name);
  const trigger = useApi(["triggers", name]);
  const loaded = useApi(["triggers", name, "events", eventId]);
  usePolling(loaded.data?.state === "waiting" && !loaded.data.reason, loaded.reload);
  if (!useReady(trigger, loaded)) return html`<${Loading} what="event" />`;
  const missing = (/** @type {Failed} */ error) => html`<${NotThere} title="There is no such event" error=${error}>
    <a href=${href(["triggers", name])}>Events of ${name}</a> · <a href=${href("/triggers")}>All triggers</a><//>`;
  return whenLoaded(trigger, "trigger", (of) => whenLoaded(loaded, "event", (event) => html`
    <${Head} trigger=${of} event=${event} /><${Content} event=${event} />`, missing), missing);
}

/** @param {{ trigger: Api.Trigger, event: Api.TriggerEvent }} props */
function Head({ trigger, event }) {
  const { id, receivedAt, settledAt, revision, duplicates, replays } = event;
  return html`<header>
    <div class="row"><h1>Event of <a href=${href(["triggers", trigger.name])}>${trigger.name}</a></h1><${Id} of=${id} />
      <span class="grow"></span></div>
    <dl class="facts card">
      <div><dt>State</dt><dd class="wide-text"><${EventState} event=${event} /></dd></div>
      <div><dt>Received</dt><dd><${Time} at=${receivedAt} />${settledAt && html`, settled
        ${" "}<${Time} at=${settledAt} />`}</dd></div>
      <div><dt>Key</dt><dd class="wide-text"><${Key} event=${event} /></dd></div>
      <div><dt>Run</dt><dd><${RunOf} trigger=${trigger} event=${event} />${revision && ` of revision ${revision}`}</dd>
      </div>
      <div><dt>Duplicates</dt><dd>${duplicates}</dd></div>
      <div><dt>Replayed</dt><dd>${replays}</dd></div></dl></header>`;
}

/** @param {{ event: Api.TriggerEvent }} props */
function Content({ event: { params, headers, item, contentType, bodyBytes } }) {
  return html`
    <h2>Params</h2>
    ${params ? html`<${Pairs} heads=${["Param", "Value"]} pairs=${params} none="The mapping gives none." />`
      : html`<p class="faint">The mapping of now gives none: the body is gone, or cannot be read.</p>`}
    ${item && html`<h2>Item</h2><${Pairs} heads=${["Name", "Value"]} pairs=${item} none="None" />`}
    <h2>Headers</h2>
    <${Pairs} heads=${["Header", "Value"]} pairs=${headers} none="None is kept." />
    <h2>Body</h2><p class="faint">${bytes(bodyBytes)}${contentType && `, ${contentType}`}</p>`;
}

/** @param {{ heads: string[], pairs: Record<string, unknown>, none: string }} props */
function Pairs({ heads, pairs, none }) {
  const found = Object.entries(pairs);
  if (!found.length) return html`<p class="faint">${none}</p>`;
  return html`<${Table} heads=${heads}>${found.map(([name, value]) => html`<tr key=${name}>
    <td class="whole wide-text"><code>${name}</code></td>
    <td class="wide-text"><code>${typeof value === "string" ? value : JSON.stringify(value)}</code></td></tr>`)}<//>`;
}
