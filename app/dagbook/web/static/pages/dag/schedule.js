// Schedule of a DAG: next starts, catch-up setting, and past slots.

import { html } from "../../vendor/core.js";
import { put } from "../../lib/api.js";
import { href } from "../../lib/router.js";
import { pageOf } from "../../lib/runs.js";
import { useApi } from "../../lib/use-api.js";
import { ActionButton, whenLoaded, Time } from "../../parts/basic.js";
import { valuesOf } from "../../parts/form.js";
import { attempt } from "../../parts/notice.js";
import { NextStarts } from "./nextstarts.js";

/** @param {{ name: string, details: Api.DAGFileDetails }} props */
export function ScheduleTab({ name, details }) {
  const { dag, suspended } = details;
  const settings = useApi(["dags", name, "settings"]);
  const past = useApi("schedules/slots", { dag: name, perPage: 20 });
  const save = async (/** @type {FormSubmit} */ event) => {
    event.preventDefault();
    const { catchup, hours } = valuesOf(event.target);
    const body = {
      catchup: /** @type {Api.DagSettings["catchup"]} */ (catchup),
      ...(hours && { catchupWindowSec: Math.round(Number(hours) * 3600) }),
    };
    await attempt(() => put(["dags", name, "settings"], body).then(settings.reload), "Saved.");
  };
  return html`
    <h2>Expressions</h2>
    ${dag?.schedule?.length ? html`<ul class="plain">
      ${dag.schedule.map(({ expression }) => html`<li key=${expression}><code>${expression}</code></li>`)}</ul>`
      : html`<p class="faint">
        No schedule. Add one to the <a href=${href(["dags", name, "spec"])}>definition</a>.</p>`}
    <h2>Next starts</h2><${NextStarts} name=${name} dag=${dag} suspended=${suspended} count=${10} />
    <h2>Missed starts</h2>
    <p class="faint">What is due while no server runs is missed. Catch-up starts it later.</p>
    ${whenLoaded(settings, "settings", (set) => html`<form class="filters" key=${JSON.stringify(set)} onSubmit=${save}>
      <label>
        Catch up<select name="catchup" value=${set.catchup}><option value="none">none</option>
          <option value="latest">the latest</option><option value="all">all</option></select></label>
      <label>
        Up to (hours late)<input name="hours" inputmode="decimal" size="6"
          value=${set.catchupWindowSec / 3600} /></label>
      <${ActionButton} right="write" type="submit">Save<//></form>`)}
    <h2>Past starts</h2>
    ${whenLoaded(past, "slots", ({ slots }) => (slots.length
      ? html`<table class="stack fit">
        <thead><tr><th>Due</th><th>Action</th><th>Outcome</th><th>Reason</th></tr></thead>
        <tbody>${slots.map((slot, index) => html`<tr key=${index}>
          <td><${Time} at=${slot.scheduledAt} /></td><td>${slot.kind}</td>
          <td>${slot.dagName && slot.dagRunId ? html`<a
            href=${href(pageOf({ name: slot.dagName, runId: slot.dagRunId }))}>${slot.outcome}</a>` : slot.outcome}</td>
          <td class="faint wide-text">${slot.reason}</td></tr>`)}</tbody></table>`
      : html`<p class="faint">Nothing was due yet.</p>`))}`;
}
