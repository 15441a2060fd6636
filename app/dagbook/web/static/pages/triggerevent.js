// One event of a trigger: what it said, what became of it, and how it starts a run once more.

import { html, useEffect, useState } from "../vendor/core.js";
import { getText, post, url } from "../lib/api.js";
import { bytes, short } from "../lib/format.js";
import { href } from "../lib/router.js";
import { useTitle } from "../lib/title.js";
import { useAnswer, useApi, useReady } from "../lib/use-api.js";
import { Failure, Id, Loading, NotThere, Time, whenLoaded } from "../parts/basic.js";
import { Confirm } from "../parts/form.js";
import { usePolling } from "../parts/origin.js";
import { EventState, Key, RunOf } from "../parts/triggerevents.js";
import { Pairs, ReplayDialog } from "../parts/triggertrial.js";

const MOST_SHOWN = 65_536; // bytes of a body

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
    <${Head} trigger=${of} event=${event} reload=${loaded.reload} />
    <${Content} event=${event} />
    ${(of.path || event.bodyBytes > 0) && html`<h2>Headers</h2>
      <${Pairs} name="Header" pairs=${event.headers} none="None is kept." />
      <h2>Body</h2>
      ${of.mayRun || of.mayChange ? html`<${Body} key=${event.id} event=${event} />`
        : html`<p class="faint">${sizeOf(event)}. Operators of the DAG may read it.</p>`}`}`, missing), missing);
}

/** @param {{ trigger: Api.Trigger, event: Api.TriggerEvent, reload: () => Promise<void> }} props */
function Head({ trigger, event, reload }) {
  const [asked, setAsked] = useState("");
  const { id, state, receivedAt, settledAt, revision, duplicates, replays } = event;
  const close = () => setAsked("");
  return html`<header>
    <div class="row"><h1>Event of <a href=${href(["triggers", trigger.name])}>${trigger.name}</a></h1><${Id} of=${id} />
      <span class="grow"></span>
      ${trigger.mayRun && (state === "dead" || state === "waiting") && html`<button type="button"
        onClick=${() => setAsked("discard")}>Discard</button>`}
      ${trigger.mayRun && state !== "waiting" && html`<button type="button" class="primary"
        disabled=${event.bodyGone} title=${event.bodyGone ? "Its body is gone" : undefined}
        onClick=${() => setAsked("replay")}>Replay</button>`}</div>
    <dl class="facts card">
      <div><dt>State</dt><dd class="wide-text"><${EventState} event=${event} /></dd></div>
      <div><dt>Received</dt><dd><${Time} at=${receivedAt} />${settledAt && html`, settled
        ${" "}<${Time} at=${settledAt} />`}</dd></div>
      <div><dt>Key</dt><dd class="wide-text"><${Key} event=${event} /></dd></div>
      <div><dt>Run</dt><dd><${RunOf} trigger=${trigger} event=${event} />${revision && ` of revision ${revision}`}</dd>
      </div>
      <div><dt>Duplicates</dt><dd>${duplicates}</dd></div>
      <div><dt>Replays</dt><dd>${replays}</dd></div></dl>
    ${asked === "replay" && html`<${ReplayDialog} trigger=${trigger} event=${event} onClose=${close} />`}
    ${asked === "discard" && html`<${Confirm} title="Discard the event?" action="Discard" onClose=${close}
      onConfirm=${() => post(["triggers", trigger.name, "events", id, "discard"]).then(reload)}>
      <p>It starts no run.</p><//>`}</header>`;
}

/** @param {{ event: Api.TriggerEvent }} props */
function Content({ event: { params, item } }) {
  return html`
    <h2>Params</h2>
    ${params ? html`<${Pairs} name="Param" pairs=${params} none="The trigger gives none." />`
      : html`<p class="faint">The trigger gives none: something is missing, or cannot be read.</p>`}
    ${item && html`<h2>Item</h2><${Pairs} name="Name" pairs=${item} none="None" />`}`;
}

/** @param {Api.TriggerEvent} event */
const sizeOf = ({ bodyBytes, contentType }) => [bytes(bodyBytes), contentType].filter(Boolean).join(", ");

/** What was sent, as it is: JSON that was parsed may differ. @param {{ event: Api.TriggerEvent }} props */
function Body({ event }) {
  const path = /** @type {const} */ (["triggers", event.trigger, "events", event.id, "body"]);
  const { data, failure, ask } = useAnswer(() => getText(path));
  const isThere = event.bodyBytes > 0 && !event.bodyGone;
  const isShown = isThere && event.bodyBytes <= MOST_SHOWN;
  useEffect(() => void (isShown && ask()), []);
  if (failure) return html`<${Failure} error=${failure} />`;
  return html`<p class="row"><span class="faint">${sizeOf(event)}${event.bodyGone && ", gone by now"}</span>
      ${isThere && html`<a class="button" download href=${url(path)}>Download</a>`}</p>
    ${data !== null && html`<pre class="events" tabindex="0">${data}</pre>`}`;
}
