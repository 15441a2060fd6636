// What would become of an event: of a sample that is tried out, and of one that is to start a run once more.

import { html, useEffect, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { plural } from "../lib/format.js";
import { go } from "../lib/router.js";
import { sampleOf } from "../lib/triggers.js";
import { useAnswer, useApi } from "../lib/use-api.js";
import { Failure, Select, Table } from "./basic.js";
import { FormDialog } from "./form.js";

/** Names and values, as they are. @param {{ name: string, pairs: Record<string, unknown>, none: string }} props */
export function Pairs({ name, pairs, none }) {
  const found = Object.entries(pairs);
  if (!found.length) return html`<p class="faint">${none}</p>`;
  return html`<${Table} heads=${[name, "Value"]}>${found.map(([key, value]) => html`<tr key=${key}>
    <td class="whole wide-text"><code>${key}</code></td>
    <td class="wide-text"><code>${typeof value === "string" ? value : JSON.stringify(value)}</code></td></tr>`)}<//>`;
}

/** @param {{ tried: Api.TriggerTest }} props */
function Trial({ tried: { filter, problem, params, plan } }) {
  return html`${filter && html`<p class="wait">It is filtered: ${filter}.</p>`}
    ${problem && html`<p class="bad">It is dead: ${problem}.</p>`}
    ${plan && html`<p class="good">It starts a run of ${plan.dag}, revision ${plan.revision}, with
      ${` ${plural(plan.steps.length, "step")}`}, in the queue ${plan.queue}${plan.priority !== 0
        && ` with the priority ${plan.priority}`}.</p>`}
    ${!filter && !problem && html`<${Pairs} name="Param" pairs=${plan?.params ?? params} none="It has no params." />`}`;
}

/** Try out a sample; nothing is stored. @param {{ trigger: Api.Trigger, onClose: () => void }} props */
export function TestDialog({ trigger: { name }, onClose }) {
  const [tried, setTried] = useState(/** @type {Api.TriggerTest | null} */ (null));
  const test = async (/** @type {Fields} */ fields) => {
    setTried(null);
    setTried(await post(["triggers", name, "test"], sampleOf(fields)));
    return false;
  };
  return html`<${FormDialog} title=${`Test the trigger ${name}`} action="Test" wide onClose=${onClose} onSave=${test}>
    <label>Body<textarea name="body" rows="6" spellcheck="false" placeholder='{"ref": "refs/heads/main"}'></textarea>
    </label>
    <label>Headers, one a line<textarea name="headers" rows="2" spellcheck="false"
      defaultValue="Content-Type: application/json"></textarea></label>
    <div role="status">${tried && html`<${Trial} tried=${tried} />`}</div><//>`;
}

/** @param {{ trigger: Api.Trigger, event: Api.TriggerEvent, onClose: () => void }} props */
export function ReplayDialog({ trigger: { name, dag }, event: { id }, onClose }) {
  const path = /** @type {const} */ (["triggers", name, "events", id, "replay"]);
  const [revision, setRevision] = useState("");
  const [replayId] = useState(() => `${Date.now()}-${Math.random().toString(36).slice(2)}`); // sent twice it is one
  const { data } = useApi(dag ? ["dags", dag, "revisions"] : null, { perPage: 100 });
  const chosen = revision ? { revision: Number(revision) } : {};
  const replay = async () => {
    const started = /** @type {Api.ReceivedEvent} */ (await post(path, { ...chosen, replayId }));
    go(["triggers", name, "events", started.eventId]);
  };
  const known = data?.revisions.map(({ number }) => [String(number), String(number)]) ?? [];
  return html`<${FormDialog} title="Replay the event" action="Replay" wide onClose=${onClose} onSave=${replay}>
    <p>A new event with the same content starts a run. Filters are not asked again.</p>
    <label>Revision<${Select} value=${revision} options=${[["", "current"], ...known]} onSet=${setRevision} /></label>
    <${Preview} key=${revision} ask=${() => post(path, { ...chosen, dry: true })} /><//>`;
}

/** @param {{ ask: () => Promise<unknown> }} props */
function Preview({ ask }) {
  const { data, failure, ask: load } = useAnswer(ask);
  useEffect(() => void load(), []);
  return html`<div role="status">${failure && html`<${Failure} error=${failure} />`}
    ${data && html`<${Trial} tried=${/** @type {Api.TriggerTest} */ (data)} />`}</div>`;
}
