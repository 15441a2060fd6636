// Audit page: sentences with links, filters in the address, values before and after, and state of the seal.

import { html, useEffect, useState } from "../vendor/core.js";
import { get } from "../lib/api.js";
import { KINDS, changesOf, sentenceOf } from "../lib/audit.js";
import { exact, instant } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { href, query, setQuery } from "../lib/router.js";
import { may } from "../lib/session.js";
import { useTitle } from "../lib/title.js";
import { Empty, whenLoaded, Time } from "../parts/basic.js";
import { Icon } from "../parts/icon.js";
import { valuesOf } from "../parts/form.js";
import { attempt } from "../parts/notice.js";

/** @type {{ entries: Api.AuditEntry[], next: number | null | undefined }} */
const NONE = { entries: [], next: undefined };
const LIMIT = 100;
/** The filters, with their names in chips. @type {Record<string, string>} */
const FILTERS = { actor: "user", action: "kind", object: "object", requestId: "request", from: "from", to: "up to" };

/** The filters of the address as the API takes them: days are those of the viewer, the last one is included. */
function wanted() {
  const { from, to, ...rest } = Object.fromEntries(query.value);
  return { ...rest, from: timeOf(from, 0), to: timeOf(to, 1), limit: LIMIT };
}

/**
 * The start of a day, some days later, as a time of the API.
 * @param {string | undefined} day such as 2030-01-31
 * @param {number} later
 */
function timeOf(day, later) {
  const time = new Date(`${day}T00:00`);
  if (Number.isNaN(time.getTime())) return undefined;
  time.setDate(time.getDate() + later);
  return time.toISOString();
}

export default function Audit() {
  useTitle("Audit");
  const key = query.value.toString();
  const filters = wanted();
  const loaded = useApi(may("admin") ? "audit" : null, filters);
  const [older, setOlder] = useState(NONE);
  useEffect(() => setOlder(NONE), [key]);
  const more = (/** @type {number} */ before) =>
    attempt(async () => {
      const page = await get("audit", { ...filters, before });
      setOlder({ entries: [...older.entries, ...page.entries], next: page.nextBefore ?? null });
    });
  if (!may("admin")) return html`<h1>Audit</h1><${Empty} title="Only admins can see the audit log">
    <p>It records who changed what.</p><//>`;
  return html`<h1>Audit</h1>
    <${Filters} />
    ${whenLoaded(loaded, "audit", (page) => {
      const entries = [...page.entries, ...older.entries];
      const next = older.next === undefined ? page.nextBefore : older.next;
      if (!entries.length) return html`<${Empty} title="No entries">
        <p>${query.value.size ? "No entry matches these filters." : "Each change by a user appears here."}</p><//>`;
      return html`<p class="faint">Sealed up to entry ${page.sealedUpTo}
        . <code>dagbook audit verify</code> checks that nothing before it was changed.</p>
        <div class="scroll">
          <table class="stack audit">
            <thead><tr><th>When</th><th>What</th><th>Details</th><th class="number">No.</th></tr></thead>
          <tbody>${entries.map((entry) => html`<${Entry} key=${entry.id} entry=${entry} />`)}</tbody></table></div>
        ${next && html`<p><button type="button" onClick=${() => more(next)}>Show older entries</button></p>`}`;
    })}`;
}

function Filters() {
  const value = (/** @type {string} */ name) => query.value.get(name) ?? "";
  const apply = (/** @type {Targeted<Event, HTMLFormElement>} */ event) => {
    event.preventDefault();
    setQuery(valuesOf(event.currentTarget), { replace: false });
  };
  const kinds = KINDS.includes(value("action")) ? KINDS : [...KINDS, value("action")].filter(Boolean);
  const chips = Object.entries(FILTERS).filter(([name]) => value(name));
  return html`<form class="filters" role="search" aria-label="Filter the audit log" onSubmit=${apply} onChange=${apply}>
      <label>Kind<select name="action" value=${value("action")}><option value="">all</option>
        ${kinds.map((kind) => html`<option key=${kind} value=${kind}>${kind.replace(/\.$/, "")}</option>`)}
        </select></label>
      <label>User<input name="actor" value=${value("actor")} placeholder="ada" size="12" /></label>
      <label>Object<input name="object" value=${value("object")} placeholder="etl" size="14" /></label>
      <label>From<input type="date" name="from" value=${value("from")} /></label>
      <label>Up to<input type="date" name="to" value=${value("to")} /></label>
    </form>
    <p class="row chips">${chips.map(([name, word]) => html`<button type="button" class="tag" key=${name}
      title="Remove this filter" onClick=${() => setQuery({ [name]: null })}>${word}: ${value(name).replace(/\.$/, "")}
      <${Icon} name="close" /></button>`)}</p>`;
}

/** @param {import("../lib/audit.js").Part} part */
const partOf = ({ text, to, search, code }) =>
  to ? html`<a href=${href(to, search)}>${text}</a>` : code ? html`<code>${text}</code>` : text;

/** @param {{ entry: Api.AuditEntry }} props */
function Entry({ entry }) {
  const time = instant(entry.at);
  const from = [entry.via, entry.address].filter(Boolean).join(", ");
  return html`<tr>
    <td class="when">${time && exact(time)} <span class="faint"><${Time} at=${entry.at} /></span></td>
    <td class="wide-text ${entry.outcome === "done" ? "" : "bad"}">${sentenceOf(entry).map(partOf)}</td>
    <td><details><summary>Details</summary><dl class="facts">
      <dt>Action</dt><dd><code>${entry.action}</code>, ${entry.outcome}</dd>
      <dt>Object</dt><dd>${entry.kind} ${entry.object}</dd>
      ${from && html`<dt>From</dt><dd>${from}</dd>`}
      ${entry.requestId && html`<dt>Request</dt><dd><code>${entry.requestId}</code></dd>`}
      ${changesOf(entry).map(([name, was, is]) => html`<dt key=${name}>${name}</dt>
        <dd>${entry.before ? `${was} → ${is}` : is}</dd>`)}</dl></details></td>
    <td class="number">${entry.id}</td>
  </tr>`;
}
