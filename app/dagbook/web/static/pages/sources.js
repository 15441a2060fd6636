// Sources of definitions: directories and Git repositories, with the outcome of their last syncs.

import { html, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { plural } from "../lib/format.js";
import { go, href } from "../lib/router.js";
import { useTitle } from "../lib/title.js";
import { useApi } from "../lib/use-api.js";
import { ActionButton, Empty, Table, whenLoaded } from "../parts/basic.js";
import { FormDialog } from "../parts/form.js";
import { attempt } from "../parts/notice.js";
import { Place, SyncState, usePolling } from "../parts/origin.js";

/** @type {Concerns} */
const onDag = (change) => change.kind === "dag";

export default function Sources() {
  useTitle("Sources");
  const loaded = useApi("sources", {}, onDag);
  const [asked, setAsked] = useState(false);
  usePolling(loaded.data?.sources.some((source) => source.syncing) ?? false, loaded.reload);
  return html`<div class="row"><h1>Sources</h1><span class="grow"></span>
      <${ActionButton} right="admin" class="primary" onClick=${() => setAsked(true)}>Add source<//></div>
    ${whenLoaded(loaded, "sources", ({ sources }) =>
      sources.length
        ? html`<${List} sources=${sources} reload=${loaded.reload} />`
        : html`<${Empty} title="No sources">
          <p>A source reads DAGs from a directory or a Git repository. Add one here, or with
            ${" "}<code>dagbook source add NAME PLACE</code>.</p><//>`)}
    ${asked && html`<${NewSource} onClose=${() => setAsked(false)} />`}`;
}

/** @param {{ sources: Api.Source[], reload: Reload }} props */
function List({ sources, reload }) {
  return html`<${Table} heads=${["Name", "Place", "#Files", "Problems", "Synced", "-Actions"]}>
      ${sources.map((source) => html`<tr key=${source.name}>
        <td class="whole"><a href=${href(["sources", source.name])}>${source.name}</a></td>
        <td class="wide-text"><${Place} source=${source} /></td>
        <td class="number" data-label="files">${source.files}</td>
        <td data-label="problems">${source.broken > 0 ? html`<span class="bad">${plural(source.broken, "file")}</span>`
          : html`<span class="faint">none</span>`}
          ${source.removed > 0 && html` <span class="wait">${source.removed} removed</span>`}</td>
        <td data-label="synced"><${SyncState} source=${source} /></td>
        <td class="actions"><${ActionButton} right="write" aria-label=${`Sync ${source.name} now`}
          onClick=${() => attempt(() => post(["sources", source.name, "sync"]).then(reload))}>Sync now<//></td>
      </tr>`)}<//>`;
}

/** @param {{ onClose: () => void }} props */
function NewSource({ onClose }) {
  const save = async (/** @type {Fields} */ { name, place, writable, adopt, ...others }) => {
    const given = Object.fromEntries(Object.entries(others).filter(([, text]) => text)); // an empty field is none
    await post("sources", { name, place, writable: writable === "on", adopt: adopt === "on", ...given });
    go(href(["sources", name]));
  };
  return html`<${FormDialog} title="Add a source" action="Add" onClose=${onClose} onSave=${save}>
    <p class="faint">Anyone who can write to it can run commands as the server.</p>
    <label>Name<input name="name" required maxlength="64" pattern="[A-Za-z0-9_][A-Za-z0-9_.\\-]*"
      autocomplete="off" /></label>
    <label>Place<input name="place" required placeholder="/srv/dags or https://git.example.org/team/dags.git"
      autocomplete="off" /><small>A directory on the server, or the address of a Git repository</small></label>
    <label>Branch<input name="branch" placeholder="default branch" autocomplete="off" /></label>
    <label>Subdirectory<input name="path" placeholder="whole repository" autocomplete="off" /></label>
    <label>Credentials<input name="credentials" placeholder="/etc/dagbook/deploy-key" autocomplete="off" />
      <small>A file on the server: a key for SSH, else username=… and password=… on two lines</small></label>
    <label>Webhook secret<input name="hookSecret" type="password" autocomplete="new-password" /></label>
    <label class="inline"><input type="checkbox" name="writable" />Write saves into the files (directories only)</label>
    <br /><label class="inline"><input type="checkbox" name="adopt" />Adopt stored DAGs that have the name of a file
    </label><//>`;
}
