// One source of definitions: its state, the problems of its files, and all files with their DAGs.

import { html, useState } from "../vendor/core.js";
import { post, remove } from "../lib/api.js";
import { plural } from "../lib/format.js";
import { go, href, query, setQuery } from "../lib/router.js";
import { useTitle } from "../lib/title.js";
import { useApi } from "../lib/use-api.js";
import { ActionButton, Empty, NotThere, Pages, Table, Time, Toggle, whenLoaded } from "../parts/basic.js";
import { Confirm } from "../parts/form.js";
import { attempt } from "../parts/notice.js";
import { Commit, Place, Problems, SyncState, usePolling } from "../parts/origin.js";

const SIZE = 100; // files of one page

/** @param {{ params: { name: string } }} props */
export default function SourcePage({ params: { name } }) {
  useTitle(name, "Source");
  const page = Number(query.value.get("page") ?? 1);
  const only = query.value.get("problems") === "true";
  /** @type {Concerns} */
  const concerns = (change) => change.kind === "dag";
  const loaded = useApi(["sources", name], { page, perPage: SIZE, ...(only && { problems: true }) }, concerns);
  usePolling(Boolean(loaded.data?.syncing), loaded.reload);
  const missing = (/** @type {Failed} */ error) => html`<${NotThere} title="There is no such source" error=${error}>
    <a href=${href("/sources")}>All sources</a><//>`;
  return whenLoaded(loaded, "source", (source) => html`
    <${Head} source=${source} reload=${loaded.reload} />
    <div class="row"><h2>${only ? "Problems" : "Files"}</h2><span class="grow"></span>
      <${Toggle} name="Only problems and removed files" on=${only}
        onSet=${(/** @type {boolean} */ on) => setQuery({ problems: on ? "true" : null, page: null })} /></div>
    ${source.sourcedFiles.length ? html`<${Files} files=${source.sourcedFiles} />`
      : html`<${Empty} title=${only ? "No problems" : "No definitions"}>
        ${!only && html`<p>Files that end in <code>.yaml</code> or <code>.yml</code> are DAGs.</p>`}<//>`}
    <${Pages} page=${page} pagination=${source.pagination} />`, missing);
}

/** @param {{ source: Api.SourceDetails, reload: Reload }} props */
function Head({ source, reload }) {
  const [asked, setAsked] = useState(false);
  const { name, commit } = source;
  return html`<header>
    <div class="row"><h1 class="wide-text">${name}</h1><span class="grow"></span>
      <${ActionButton} right="write" class="primary"
        onClick=${() => attempt(() => post(["sources", name, "sync"]).then(reload))}>Sync now<//>
      <${ActionButton} right="admin" class="danger" disabled=${source.configured}
        title=${source.configured ? "Remove it from the setting sources" : ""}
        onClick=${() => setAsked(true)}>Remove<//></div>
    <dl class="facts card">
      <div><dt>Place</dt><dd class="wide-text"><${Place} source=${source} /></dd></div>
      <div><dt>Synced</dt><dd><${SyncState} source=${source} />
        ${source.problem && source.syncedAt && html`<br /><span class="faint">
          last success <${Time} at=${source.syncedAt} /></span>`}</dd></div>
      ${commit && html`<div><dt>Commit</dt><dd><${Commit} id=${commit} /></dd></div>`}
      <div><dt>Files</dt><dd>${plural(source.files, "definition")}${source.broken > 0 && html`, <span class="bad">
        ${source.broken} with problems</span>`}
        ${source.removed > 0 && html`, <span class="wait">${source.removed} removed</span>`}</dd></div>
      <div><dt>Editing</dt><dd>${source.writable ? "here: a save writes the file" : "in the files, not here"}</dd></div>
      <div><dt>Webhook</dt><dd>${source.hasHookSecret ? html`<code>POST …/api/v2/sources/${name}/fetch</code>`
        : html`<span class="faint">off: it has no secret</span>`}</dd></div>
      <div><dt>Added</dt><dd><${Time} at=${source.createdAt} />${source.configured ? " by the settings"
        : source.createdBy && ` by ${source.createdBy}`}</dd></div></dl>
    ${asked && html`<${Confirm} title=${`Remove the source ${name}?`} action="Remove" onClose=${() => setAsked(false)}
      onConfirm=${() => remove(["sources", name]).then(() => go("/sources"))}>
      <p>Its DAGs are kept and can then be edited here.</p><//>`}
  </header>`;
}

/** @param {{ files: Api.SourceFile[] }} props */
function Files({ files }) {
  return html`<${Table} heads=${["File", "DAG", "Changed", "Problems"]}>
      ${files.map((file) => html`<tr key=${file.path}>
        <td class="whole wide-text"><code>${file.path}</code></td>
        <td data-label="DAG">${file.fileName ? html`<a href=${href(["dags", file.fileName])}>${file.fileName}</a>`
          : html`<span class="faint">none</span>`}</td>
        <td data-label="changed"><${Time} at=${file.changedAt} />
          ${file.commit && html` <${Commit} id=${file.commit} />`}</td>
        <td class="wide-text">${file.removedAt && html`<span class="wait">removed: its DAG is suspended</span>`}
          <${Problems} problems=${file.problems} /></td></tr>`)}<//>`;
}
