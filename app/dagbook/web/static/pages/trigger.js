// One trigger: its settings, actions on it, and its events.

import { html, useState } from "../vendor/core.js";
import { post, remove } from "../lib/api.js";
import { bytes, plural } from "../lib/format.js";
import { go, href, query } from "../lib/router.js";
import { useTitle } from "../lib/title.js";
import { kindOf, paramLines } from "../lib/triggers.js";
import { useApi, useReady } from "../lib/use-api.js";
import { Loading, NotThere, Time, whenLoaded } from "../parts/basic.js";
import { Choices, Confirm, FormDialog } from "../parts/form.js";
import { Menu } from "../parts/menu.js";
import { attempt } from "../parts/notice.js";
import { usePolling } from "../parts/origin.js";
import { TriggerEvents } from "../parts/triggerevents.js";
import { Rotation, TriggerForm } from "../parts/triggerform.js";
import { DagOf, TriggerState } from "../parts/triggerlist.js";
import { TestDialog } from "../parts/triggertrial.js";

/** @param {{ params: { name: string } }} props */
export default function TriggerPage({ params: { name } }) {
  useTitle(name, "Trigger");
  /** @type {Concerns} */
  const concerns = (change) => change.kind === "run" && !change.root && change.name === loaded.data?.dagName;
  const loaded = useApi(["triggers", name], {}, concerns);
  const [state, cursor] = [query.value.get("state") ?? "", query.value.get("cursor")];
  const events = useApi(["triggers", name, "events"], { state, cursor }, concerns);
  const isMoving = Boolean(loaded.data?.waiting && !loaded.data.waitsFor);
  usePolling(isMoving, loaded.reload);
  usePolling(isMoving, events.reload);
  if (!useReady(loaded, events)) return html`<${Loading} what="trigger" />`;
  const reload = () => Promise.all([loaded.reload(), events.reload()]);
  const missing = (/** @type {Failed} */ error) => html`<${NotThere} title="There is no such trigger" error=${error}>
    <a href=${href("/triggers")}>All triggers</a><//>`;
  return whenLoaded(loaded, "trigger", (trigger) => html`<${Head} trigger=${trigger} reload=${reload} />
    <${TriggerEvents} trigger=${trigger} loaded=${events} state=${state} cursor=${cursor} />`, missing);
}

/** @param {{ trigger: Api.Trigger, reload: () => Promise<unknown> }} props */
function Head({ trigger, reload }) {
  const [asked, setAsked] = useState("");
  const close = () => setAsked("");
  const { name, scheme, pausedAt, waiting, mayChange, mayRun } = trigger;
  const pause = () =>
    attempt(() => post(["triggers", name, "pause"]).then(reload), `${name} is paused: its events wait.`);
  const items = [
    mayRun && scheme && { title: "Test…", onChoose: () => setAsked("test") },
    mayChange && { title: "Edit…", onChoose: () => setAsked("edit") },
    mayChange && scheme && { title: "Rotate secret…", onChoose: () => setAsked("secret") },
    mayChange && { title: "Remove…", danger: true, onChoose: () => setAsked("remove") },
  ];
  return html`<header>
    <div class="row"><h1 class="wide-text">${name}</h1><span class="grow"></span>
      ${mayRun && html`<button type="button" class=${pausedAt ? "primary" : ""}
        onClick=${pausedAt ? () => setAsked("resume") : pause}>${pausedAt ? "Resume" : "Pause"}</button>`}
      <${Menu} label="More actions" items=${items} /></div>
    <${Facts} trigger=${trigger} />
    ${asked === "test" && html`<${TestDialog} trigger=${trigger} onClose=${close} />`}
    ${asked === "edit" && html`<${TriggerForm} trigger=${trigger} onClose=${close} onDone=${reload} />`}
    ${asked === "secret" && html`<${Rotation} trigger=${trigger} onClose=${close} />`}
    ${asked === "resume" && html`<${FormDialog} title=${`Resume ${name}`} action="Resume" onClose=${close}
      onSave=${(/** @type {Fields} */ { what }) =>
        post(["triggers", name, "resume"], { discard: what === "discard" }).then(reload)}>
      ${waiting ? html`<${Waiting} count=${waiting} />` : html`<p>No event waits.</p>`}<//>`}
    ${asked === "remove" && html`<${Confirm} title=${`Remove the trigger ${name}?`} action="Remove" onClose=${close}
      onConfirm=${() => remove(["triggers", name]).then(() => go("/triggers"))}>
      <p>Its events are removed with it. Their runs stay. A sender gets 401 from now on.</p><//>`}</header>`;
}

/** What is to become of the events that wait. @param {{ count: number }} props */
function Waiting({ count }) {
  const [what, setWhat] = useState("start");
  return html`<${Choices} legend=${`${plural(count, "event")} that wait`} name="what" chosen=${what} onChoose=${setWhat}
    options=${[["start", "in their order"], ["discard", "none of them becomes a run"]]} />`;
}

/** @param {{ trigger: Api.Trigger }} props */
function Facts({ trigger }) {
  const { path, settings, params, filters, queue, priority, collapse, together } = trigger;
  const { perMinute, maxBytes, maxWaiting, everySeconds, nextLookAt, host, createdBy } = trigger;
  const { after, ...others } = settings;
  const said = Object.entries(others).map(([name, value]) => `${name}: ${value}`);
  const lines = (/** @type {string[]} */ texts, /** @type {string} */ none) => texts.length
    ? html`<ul class="plain">${texts.map((text) => html`<li key=${text}><code>${text}</code></li>`)}</ul>`
    : html`<span class="faint">${none}</span>`;
  return html`<dl class="facts card">
    <div><dt>State</dt><dd class="wide-text"><${TriggerState} trigger=${trigger} /></dd></div>
    <div><dt>DAG</dt><dd class="wide-text"><${DagOf} trigger=${trigger} /></dd></div>
    <div><dt>Kind</dt><dd>${kindOf(trigger)}</dd></div>
    ${path && html`<div><dt>Address</dt><dd class="wide-text"><code>POST ${path}</code></dd></div>`}
    ${typeof after === "string" && html`<div><dt>Follows</dt><dd class="wide-text"><a
      href=${href(["dags", after])}>${after}</a></dd></div>`}
    ${everySeconds && html`<div><dt>Next look</dt><dd><${Time} at=${nextLookAt} />, every ${everySeconds} s
      ${host && ` on ${host}`}</dd></div>`}
    ${said.length > 0 && html`<div><dt>Settings</dt><dd class="wide-text">${lines(said, "")}</dd></div>`}
    <div><dt>Params</dt><dd class="wide-text">${lines(paramLines(params), path ? "none: the body is WEBHOOK_PAYLOAD"
      : "none")}</dd></div>
    <div><dt>Filters</dt><dd class="wide-text">${lines(filters, "none")}</dd></div>
    <div><dt>Runs</dt><dd class="wide-text">${[queue ? `queue ${queue}` : "queue of the DAG",
      priority && `priority ${priority}`, `at most ${maxWaiting} queued`, collapse && "of several events the newest",
      together && "one for all that a look finds"].filter(Boolean).join(", ")}</dd></div>
    ${path && html`<div><dt>Takes</dt><dd>${plural(perMinute, "request")} in a minute, bodies of up to
      ${` ${bytes(maxBytes)}`}</dd></div>`}
    ${createdBy && html`<div><dt>Added by</dt><dd>${createdBy}</dd></div>`}</dl>`;
}
