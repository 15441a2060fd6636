// Audit page: sentences with links, filters in the address, values before and after, and state of the seal.

import { html, useEffect, useState } from "../vendor/core.js";
import { get } from "../lib/api.js";
import { KINDS, changesOf, sentenceOf } from "../lib/audit.js";
import { SPANS, readTime } from "../lib/filter-text.js";
import { exact } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { href } from "../lib/router.js";
import { may } from "../lib/session.js";
import { useTitle } from "../lib/title.js";
import { Empty, Table, Time, whenLoaded } from "../parts/basic.js";
import { FilterBox, NoMatch, useFilter } from "../parts/filterbox.js";
import { attempt } from "../parts/notice.js";

/** @type {{ entries: Api.AuditEntry[], next: number | null | undefined }} */
const NONE = { entries: [], next: undefined };
const LIMIT = 100;
const shortKind = (/** @type {string} */ kind) => kind.replace(/\.$/u, "");
const isoTime = (/** @type {string} */ value, /** @type {Date} */ now) =>
  new Date(Number(readTime(value, now)) * 1000).toISOString();

/** The day after, because an earlier filter included the last day. @param {string} day such as 2030-01-31 */
function dayAfter(day) {
  const time = /^\d{4}-\d\d-\d\d$/u.test(day) ? Date.parse(day) + 86400000 : NaN;
  return Number.isNaN(time) ? day : new Date(time).toISOString().slice(0, 10);
}

/** @type {import("../../types/ui").FilterKeys} */
const KEYS = {
  "": { param: "object", hint: "the name of an object" },
  kind: { param: "action", hint: "run", values: KINDS.map((kind) => [shortKind(kind), shortKind(kind)]), pick: "Kind",
    any: "any kind", read: (value) => (KINDS.includes(`${value}.`) ? `${value}.` : value), old: { action: shortKind } },
  actor: { param: "actor", hint: "ada" },
  after: { param: "from", hint: "yesterday", values: SPANS, read: isoTime, pick: "When", any: "any time",
    drops: "before" },
  before: { param: "to", hint: "2026-11-30", read: isoTime, old: { to: dayAfter } },
  request: { param: "requestId", hint: "5f2a81" },
};

export default function Audit() {
  useTitle("Audit");
  const filter = useFilter(KEYS);
  const asked = { ...filter.params, limit: LIMIT };
  const loaded = useApi(may("admin") ? "audit" : null, asked);
  const [older, setOlder] = useState(NONE);
  useEffect(() => setOlder(NONE), [filter]);
  const more = (/** @type {number} */ before) =>
    attempt(async () => {
      const page = await get("audit", { ...asked, before });
      setOlder({ entries: [...older.entries, ...page.entries], next: page.nextBefore ?? null });
    });
  if (!may("admin")) return html`<h1>Audit</h1><${Empty} title="Only admins can see the audit log">
    <p>It records who changed what.</p><//>`;
  return html`<h1>Audit</h1>
    <${FilterBox} label="Filter the audit log" filter=${filter} />
    ${whenLoaded(loaded, "audit", (page) => {
      const entries = [...page.entries, ...older.entries];
      const next = older.next === undefined ? page.nextBefore : older.next;
      if (!entries.length) return filter.text ? html`<${NoMatch} filter=${filter} what="entry" />`
        : html`<${Empty} title="No entries"><p>Each change by a user appears here.</p><//>`;
      return html`<p class="faint">Sealed up to entry ${page.sealedUpTo}
        . <code>dagbook audit verify</code> checks that nothing before it was changed.</p>
        <${Table} class="audit" heads=${["When", "What", "Details", "#No."]}>
          ${entries.map((entry) => html`<${Entry} key=${entry.id} entry=${entry} />`)}<//>
        ${next && html`<p><button type="button" onClick=${() => more(next)}>Show older entries</button></p>`}`;
    })}`;
}

/** @param {import("../lib/audit.js").Part} part */
const partOf = ({ text, to, search, code }) =>
  to ? html`<a href=${href(to, search)}>${text}</a>` : code ? html`<code>${text}</code>` : text;

/** @param {{ entry: Api.AuditEntry }} props */
function Entry({ entry }) {
  const from = [entry.via, entry.address].filter(Boolean).join(", ");
  return html`<tr>
    <td class="when">${exact(entry.at)} <span class="faint"><${Time} at=${entry.at} /></span></td>
    <td class="wide-text ${entry.outcome === "done" ? "" : "bad"}">${sentenceOf(entry).map(partOf)}</td>
    <td><details><summary data-open>Details</summary><dl class="facts">
      <dt>Action</dt><dd><code>${entry.action}</code>, ${entry.outcome}</dd>
      <dt>Object</dt><dd>${entry.kind} ${entry.object}</dd>
      ${from && html`<dt>From</dt><dd>${from}</dd>`}
      ${entry.requestId && html`<dt>Request</dt><dd><code>${entry.requestId}</code></dd>`}
      ${changesOf(entry).map(([name, was, is]) => html`<dt key=${name}>${name}</dt>
        <dd>${entry.before ? `${was} → ${is}` : is}</dd>`)}</dl></details></td>
    <td class="number">${entry.id}</td></tr>`;
}
