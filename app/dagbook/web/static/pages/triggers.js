// Triggers: what starts runs from outside, and whether it works.

import { html, useState } from "../vendor/core.js";
import { useTitle } from "../lib/title.js";
import { useApi } from "../lib/use-api.js";
import { ActionButton, Empty, whenLoaded } from "../parts/basic.js";
import { usePolling } from "../parts/origin.js";
import { TriggerForm } from "../parts/triggerform.js";
import { TriggerList } from "../parts/triggerlist.js";

/** @type {Concerns} */
const onRun = (change) => change.kind === "run" && !change.root;

export default function Triggers() {
  useTitle("Triggers");
  const loaded = useApi("triggers", {}, onRun);
  const [asked, setAsked] = useState(false);
  usePolling(false, loaded.reload);
  return html`<div class="row"><h1>Triggers</h1><span class="grow"></span>
      <${ActionButton} right="manage" class="primary" onClick=${() => setAsked(true)}>Add webhook<//></div>
    ${whenLoaded(loaded, "triggers", ({ triggers }) => triggers.length ? html`<${TriggerList} triggers=${triggers} />`
      : html`<${Empty} title="No triggers">
        <p>A trigger starts a DAG when something happens elsewhere: a program sends a request, a file arrives, another
          DAG ends. Managers add webhooks here, and all kinds with <code>dagbook triggers add</code>.</p><//>`)}
    ${asked && html`<${TriggerForm} onClose=${() => setAsked(false)} />`}`;
}
