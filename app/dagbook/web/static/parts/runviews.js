// Saved views and additional columns of the list of runs. Both are in the address, so that a link shows the same.

import { html, signal, useState } from "../vendor/core.js";
import { plural } from "../lib/format.js";
import { written } from "../lib/params.js";
import { href, query, setQuery } from "../lib/router.js";
import { store, storedValue } from "../lib/stored.js";
import { Icon, Time } from "./basic.js";
import { FormDialog, valuesOf } from "./form.js";

/** A named query string. @typedef {{ name: string, search: string }} SavedView */

const KEY = "dagbook.views.runs";
const MOST = 50; // views
/** @type {Record<string, { title: string, cell: (run: RunSummary) => Children }>} */
const COLUMNS = {
  queued: { title: "Queued", cell: (run) => html`<${Time} at=${run.queuedAt} />` },
  finished: { title: "Ended", cell: (run) => html`<${Time} at=${run.finishedAt} />` },
  revision: { title: "Revision", cell: (run) => run.revision && html`<a
    href=${href(["dags", run.name, "revisions"], { number: run.revision })}>${run.revision}</a>` },
};
const PARAM = "param:";
/** The saved views of this browser by name. */
const views = signal(load());

/** @returns {SavedView[]} */
function load() {
  const kept = storedValue(KEY);
  if (!Array.isArray(kept)) return [];
  return kept.filter((view) => typeof view?.name === "string" && typeof view.search === "string").slice(0, MOST);
}

/** Replace the view of a name, or remove it without another. @param {string} name @param {SavedView[]} [others] */
function replaceView(name, others = []) {
  const all = [...views.value.filter((view) => view.name !== name), ...others];
  views.value = all.sort((one, other) => one.name.localeCompare(other.name)).slice(0, MOST);
  store(KEY, JSON.stringify(views.value));
}

/** The columns in the address: ids, and "param:NAME" for a parameter. */
const chosen = () =>
  (query.value.get("columns") ?? "")
    .split(",")
    .filter((id) => Object.hasOwn(COLUMNS, id) || (id.length > PARAM.length && id.startsWith(PARAM)));

const titleOf = (/** @type {string} */ id) => COLUMNS[id]?.title ?? id.slice(PARAM.length);

export const ExtraHeads = () => chosen().map((id) => html`<th key=${id}>${titleOf(id)}</th>`);

/** @param {{ run: RunSummary }} props */
export const ExtraCells = ({ run }) => chosen().map((id) => html`<td key=${id} class="wide-text"
  data-label=${titleOf(id)}>${COLUMNS[id] ? COLUMNS[id].cell(run) : valueOf(run, titleOf(id))}</td>`);

/** @param {RunSummary} run @param {string} name */
function valueOf(run, name) {
  const found = written(run.params);
  const place = Number(name);
  const named = found.find((one) => one.name === name);
  return named?.value ?? (place > 0 ? found.filter((one) => !one.name)[place - 1]?.value : null) ?? html`<span
    class="faint">–</span>`;
}

export function RunViews() {
  const [asked, setAsked] = useState(false);
  const here = query.value.toString();
  const save = (/** @type {Fields} */ { name }) => replaceView(name.trim(), [{ name: name.trim(), search: here }]);
  return html`<div class="row run-views">
    ${views.value.length > 0 && html`<ul aria-label="Saved views">
      ${views.value.map((view) => html`<${View} key=${view.name} view=${view} here=${here} />`)}</ul>`}
    ${here && html`<button type="button" onClick=${() => setAsked(true)}>Save this view</button>`}
    <${Columns} />
    ${asked && html`<${FormDialog} title="Save this view" action="Save" onSave=${save} onClose=${() => setAsked(false)}>
      <p>Filters and columns as they are now, in this browser. For others, send them the address of the page.</p>
      <label>Name<input name="name" required maxlength="60" pattern=".*\\S.*" autocomplete="off" /></label><//>`}
  </div>`;
}

/** @param {{ view: SavedView, here: string }} props */
function View({ view, here }) {
  const to = href("/dag-runs") + (view.search && `?${view.search}`);
  return html`<li><a href=${to} aria-current=${view.search === here ? "true" : null}>${view.name}</a>
    <button type="button" class="quiet" aria-label=${`Forget view ${view.name}`}
      onClick=${() => replaceView(view.name)}><${Icon} name="close" /></button></li>`;
}

function Columns() {
  const now = chosen();
  const set = (/** @type {string[]} */ ids) => setQuery({ columns: ids.join(",") });
  const toggle = (/** @type {string} */ id) => set(now.includes(id) ? now.filter((one) => one !== id) : [...now, id]);
  const add = (/** @type {FormSubmit} */ event) => {
    event.preventDefault();
    const id = PARAM + valuesOf(event.target).name.trim();
    if (!now.includes(id)) set([...now, id]);
    event.target.reset();
  };
  return html`<details class="columns"><summary>${now.length ? plural(now.length, "more column") : "More columns"}
    </summary>
    <div class="card">
      ${[...Object.keys(COLUMNS), ...now.filter((id) => id.startsWith(PARAM))].map((id) => html`<label class="inline"
        key=${id}><input type="checkbox" checked=${now.includes(id)} onChange=${() => toggle(id)} />
        ${COLUMNS[id] ? "" : "parameter "}${titleOf(id)}</label>`)}
      <form class="row" onSubmit=${add}>
        <label class="inline">
          Parameter<input name="name" size="10" required pattern="[^,\\s]+" title="one name, or a place such as 1" />
          </label><button type="submit">Add</button></form></div></details>`;
}
