// Where DAGs come from: sources, their state, and what is wrong with their files.

import { html, useEffect } from "../vendor/core.js";
import { href } from "../lib/router.js";
import { Time } from "./basic.js";

const POLL = 1000; // milliseconds, while a source is read
const REST = 15_000; // the live feed has DAGs, not problems of files without one, nor events

/** Load again and again, more often while something is read. @param {boolean} active @param {Reload} reload */
export function usePolling(active, reload) {
  useEffect(() => {
    const timer = setInterval(reload, active ? POLL : REST);
    return () => clearInterval(timer);
  }, [active, reload]);
}

/** @param {{ source: Api.Source }} props */
export function SyncState({ source }) {
  const { syncing, problem, syncedAt } = source;
  if (syncing) {
    const far = syncing.total > 0 ? ` ${syncing.done} of ${syncing.total}` : "";
    return html`<span class="wait">reading${far}</span>`;
  }
  if (problem) return html`<span class="bad wide-text">${problem}</span>`;
  return syncedAt ? html`<${Time} at=${syncedAt} />` : html`<span class="wait">not yet</span>`;
}

/** @param {{ source: Api.Source }} props */
export function Place({ source: { place, branch, path } }) {
  return html`<code>${place}</code>${branch && html` <span class="tag">${branch}</span>`}
    ${path && html` in <code>${path}</code>`}`;
}

/** @param {{ id: string }} props */
export function Commit({ id }) {
  return html`<code class="faint" title=${id}>${id.slice(0, 12)}</code>`;
}

/** @param {{ problems: Api.SourceProblem[] }} props */
export function Problems({ problems }) {
  if (!problems.length) return null;
  return html`<ul class="plain bad wide-text">
    ${problems.map(({ line, message }, index) => html`<li key=${index}>
      ${line > 0 && html`<span class="number">line ${line}</span>: `}${message}</li>`)}</ul>`;
}

/** Why a DAG cannot be changed here; an empty text if it can. @param {Api.DagSource | undefined} source */
export function whyReadOnly(source) {
  if (!source || (source.writable && !source.removedAt)) return "";
  return `It comes from the source ${source.name}: change ${source.path} there`;
}

/** @param {{ source: Api.DagSource }} props */
export function Origin({ source }) {
  const { name, path, commit, writable, problems, removedAt } = source;
  return html`<section aria-label="Source of the DAG">
    <p>From <code>${path}</code> of the source <a href=${href(["sources", name])}>${name}</a>
      ${commit && html`, commit <${Commit} id=${commit} />`}.
      ${writable ? " A save here writes the file." : " Edit it there."}</p>
    ${removedAt && html`<p class="wait">The file was removed from the source (<${Time} at=${removedAt} />), so this DAG
      was suspended. It can be deleted.</p>`}
    ${problems && html`<p class="bad">The file has problems. The last revision without problems is used.</p>
      <${Problems} problems=${problems} />`}
  </section>`;
}
