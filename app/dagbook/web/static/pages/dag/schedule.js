// Schedule of a DAG: next starts, catch-up setting, and past slots.

import { html } from "../../vendor/core.js";
import { put } from "../../lib/api.js";
import { href } from "../../lib/router.js";
import { pageOf } from "../../lib/runs.js";
import { may } from "../../lib/session.js";
import { useApi } from "../../lib/use-api.js";
import { ActionButton, whenLoaded, Time } from "../../parts/basic.js";
import { ClockNote, Expression, zoneOf } from "../../parts/clock.js";
import { valuesOf } from "../../parts/form.js";
import { attempt } from "../../parts/notice.js";
import { NextStarts } from "./nextstarts.js";

/** @param {{ name: string, details: Api.DAGFileDetails, readOnly: string }} props */
export function ScheduleTab({ name, details, readOnly }) {
  const { dag, suspended } = details;
  const schedule = dag?.schedule ?? [];
  const statistics = useApi(schedule.length ? ["dags", name, "statistics"] : null, {});
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
    ${schedule.length > 0 && html`<${ClockNote} zones=${schedule.map(({ expression }) => zoneOf(expression))} />`}
    <div class="row"><h2>Schedule</h2>
      ${may("write") && !readOnly && html`<a class="button" href=${href(["dags", name, "spec"], { key: "schedule" })}>
        ${schedule.length ? "Edit schedule" : "Add a schedule"}</a>`}</div>
    <ul class="plain">
      ${schedule.map((one) => html`<li key=${one.expression}><${Expression} of=${one} /></li>`)}</ul>
    <h2>Next starts</h2><${NextStarts} name=${name} dag=${dag} suspended=${suspended} count=${10}
      usual=${statistics.data?.p50Seconds} />
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
      ? html`<table class="stack">
        <thead><tr><th>Due</th><th>Outcome</th><th>Reason</th></tr></thead>
        <tbody>${slots.map((slot, index) => html`<tr key=${index}>
          <td><${Time} at=${slot.scheduledAt} words=${false} /></td>
          <td>${slot.kind !== "start" && html`<span class="tag">${slot.kind}</span> `}
            ${slot.dagName && slot.dagRunId ? html`<a href=${href(pageOf({ name: slot.dagName,
              runId: slot.dagRunId }))}>${slot.outcome}</a>` : slot.outcome}</td>
          <td class="faint wide-text">${slot.reason}</td></tr>`)}</tbody></table>`
      : html`<p class="faint">Nothing was due yet.</p>`))}`;
}
