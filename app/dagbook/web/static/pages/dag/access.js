// Who may do what with the DAG.

import { html, useState } from "../../vendor/core.js";
import { href } from "../../lib/router.js";
import { may } from "../../lib/session.js";
import { useApi } from "../../lib/use-api.js";
import { Empty, Table, whenLoaded } from "../../parts/basic.js";
import { GiveAccess } from "../../parts/giveaccess.js";

/** @param {{ name: string }} props */
export function AccessTab({ name }) {
  const loaded = useApi(["dags", name, "access"]);
  const [asked, setAsked] = useState(false);
  return whenLoaded(loaded, "grants", ({ everywhere, grants }) => html`
    <div class="row"><h2>Access to this DAG</h2><span class="grow"></span>
      <a href=${href("/access")}>Manage access</a>
      ${may("admin") && html`<button type="button" class="primary" onClick=${() => setAsked(true)}>Add</button>`}</div>
    ${grants.length
      ? html`<${Table} heads=${["User or group", "Role", "Granted by"]}>
        ${grants.map((grant) => html`<tr key=${grant.id}>
          <td class="wide-text">${grant.username ?? html`<span class="tag">group</span> ${grant.groupName}`}</td>
          <td data-label="role">${grant.role}</td>
          <td data-label="by">${grant.pattern ? "name" : "tag"} <code>${grant.pattern ?? grant.tag}</code></td>
        </tr>`)}<//>`
      : html`<${Empty} title="No grants for this DAG" />`}
    <p class="faint">Users with access to all DAGs: ${everywhere
      .filter((one) => !one.disabled)
      .map((one) => `${one.username} (${one.role})`)
      .join(", ")}.</p>
    ${asked && html`<${GiveAccess} dag=${name} onClose=${() => setAsked(false)} onDone=${loaded.reload} />`}`);
}
