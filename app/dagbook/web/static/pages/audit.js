// Audit page: filters in the address, before and after of each entry, and state of the seal.

import { html, useEffect, useState } from "../vendor/core.js";
import { get } from "../lib/api.js";
import { useApi } from "../lib/use-api.js";
import { href, query, setQuery } from "../lib/router.js";
import { may } from "../lib/session.js";
import { useTitle } from "../lib/title.js";
import { Empty, whenLoaded, Time } from "../parts/basic.js";
import { valuesOf } from "../parts/form.js";
import { attempt } from "../parts/notice.js";

/** @type {{ entries: Api.AuditEntry[], next: number | null | undefined }} */
const NONE = { entries: [], next: undefined };
const FIELDS = [
  ["actor", "User", "ada"],
  ["action", "Action", "dag. or run.stop"],
  ["object", "Object", "etl"],
  ["requestId", "Request", "id"],
];

export default function Audit() {
  useTitle("Audit");
  const filters = Object.fromEntries(query.value);
  const key = JSON.stringify(filters);
  const loaded = useApi(may("admin") ? "audit" : null, { ...filters, limit: 100 });
  const [older, setOlder] = useState(NONE);
  useEffect(() => setOlder(NONE), [key]);
  const more = (/** @type {number} */ before) =>
    attempt(async () => {
      const page = await get("audit", { ...filters, limit: 100, before });
      setOlder({ entries: [...older.entries, ...page.entries], next: page.nextBefore ?? null });
    });
  const submit = (/** @type {FormSubmit} */ event) => {
    event.preventDefault();
    setQuery(valuesOf(event.target), { replace: false });
  };
  if (!may("admin")) return html`<h1>Audit</h1><${Empty} title="Only admins can see the audit log">
    <p>It records who changed what.</p><//>`;
  return html`<h1>Audit</h1>
    <form class="filters" key=${key} role="search" aria-label="Filter the audit log" onSubmit=${submit}>
      ${FIELDS.map(([name, label, hint]) => html`<label key=${name}>${label}
        <input name=${name} value=${filters[name] ?? ""} placeholder=${hint} size="14" /></label>`)}
      <button type="submit">Filter</button>
    </form>
    ${whenLoaded(loaded, "audit", (page) => {
      const entries = [...page.entries, ...older.entries];
      const next = older.next === undefined ? page.nextBefore : older.next;
      if (!entries.length) return html`<${Empty} title="No entries">
        <p>${query.value.size ? "No entry matches these filters." : "Each change by a user appears here."}</p><//>`;
      return html`<p class="faint">Sealed up to entry ${page.sealedUpTo}
        . <code>dagbook audit verify</code> checks that nothing before it was changed.</p>
        <div class="scroll">
          <table class="stack">
            <thead>
              <tr><th class="number">No.</th><th>When</th><th>User</th><th>Action</th><th>Object</th><th>Outcome</th>
                <th>Change</th></tr></thead>
          <tbody>${entries.map((entry) => html`<${Entry} key=${entry.id} entry=${entry} />`)}</tbody></table></div>
        ${next && html`<p><button type="button" onClick=${() => more(next)}>Show older entries</button></p>`}`;
    })}`;
}

/** @param {{ entry: Api.AuditEntry }} props */
function Entry({ entry }) {
  const who = [entry.actor ?? "unknown", entry.tokenName && `token ${entry.tokenName}`].filter(Boolean).join(", ");
  const page = placeOf(entry);
  return html`<tr>
    <td class="number">${entry.id}</td>
    <td><${Time} at=${entry.at} /></td>
    <td class="wide-text" title=${[entry.address, entry.via].filter(Boolean).join(", ")}>${who}</td>
    <td>${entry.action}</td>
    <td class="wide-text">${page ? html`<a href=${page}>${entry.object}</a>` : entry.object}</td>
    <td class=${entry.outcome === "success" || entry.outcome === "done" ? "" : "bad"}>${entry.outcome}</td>
    <td>${(entry.before || entry.after) && html`<details><summary>Show</summary>
        <${Difference} before=${entry.before} after=${entry.after} /></details>`}</td>
  </tr>`;
}

/**
 * The path of the page of an entry's object, which may have been deleted since.
 * @param {{ action: string, object: string, outcome: string }} entry
 */
function placeOf({ action, object, outcome }) {
  if (outcome === "refused" || !object) return null;
  if (action === "run.cleanup") return null;
  if (action.startsWith("run.")) {
    return object.includes("/") ? href(["dag-runs", ...object.split("/").slice(0, 3)]) : null;
  }
  return action.startsWith("dag.") && !object.includes("/") ? href(["dags", object]) : null;
}

/** @param {{ before?: Record<string, unknown>, after?: Record<string, unknown> }} props */
function Difference({ before = {}, after = {} }) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return html`<dl class="facts">${names.map((name) => html`<dt key=${name}>${name}
    </dt><dd>${shown(before[name])}${name in before && name in after ? " → " : ""}
      ${name in after ? shown(after[name]) : ""}</dd>`)}</dl>`;
}

/** @param {unknown} value */
function shown(value) {
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
