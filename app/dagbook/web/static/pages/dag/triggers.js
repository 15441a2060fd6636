// Triggers of a DAG: what starts it from outside.

import { html, useState } from "../../vendor/core.js";
import { useApi } from "../../lib/use-api.js";
import { ActionButton, Empty, whenLoaded } from "../../parts/basic.js";
import { usePolling } from "../../parts/origin.js";
import { TriggerForm } from "../../parts/triggerform.js";
import { TriggerList } from "../../parts/triggerlist.js";

/** @param {{ name: string, concerns: Concerns }} props */
export function TriggersTab({ name, concerns }) {
  const loaded = useApi(["dags", name, "triggers"], {}, concerns);
  const [asked, setAsked] = useState(false);
  usePolling(false, loaded.reload);
  return whenLoaded(loaded, "triggers", ({ triggers }) => html`
    <div class="row"><h2>Triggers</h2><span class="grow"></span>
      <${ActionButton} right="manage" onClick=${() => setAsked(true)}>Add webhook<//></div>
    ${triggers.length ? html`<${TriggerList} triggers=${triggers} ofDag />` : html`<${Empty} title="No triggers">
      <p>Nothing from outside starts this DAG: no request of a program, no file, no end of another DAG.</p><//>`}
    ${asked && html`<${TriggerForm} dag=${name} onClose=${() => setAsked(false)} />`}`);
}
