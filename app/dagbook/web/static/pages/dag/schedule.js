// Schedule of a DAG: next starts, catch-up setting, and past slots.

import { html } from "../../vendor/core.js";
import { put } from "../../lib/api.js";
import { duration, plural } from "../../lib/format.js";
import { href } from "../../lib/router.js";
import { may } from "../../lib/session.js";
import { daysOf } from "../../lib/slots.js";
import { useApi, useReady } from "../../lib/use-api.js";
import { ActionButton, Loading, whenLoaded } from "../../parts/basic.js";
import { ClockNote, Expression, NextTime, zoneOf } from "../../parts/clock.js";
import { valuesOf } from "../../parts/form.js";
import { attempt } from "../../parts/notice.js";
import { SlotMatrix } from "../../parts/slotmatrix.js";
import { Slots } from "../../parts/slots.js";

/** @param {{ name: string, details: Api.DAGFileDetails, readOnly: string }} props */
export function ScheduleTab({ name, details, readOnly }) {
  const { dag, suspended } = details;
  const schedule = dag?.schedule ?? [];
  const statistics = useApi(schedule.length ? ["dags", name, "statistics"] : null, {});
  const settings = useApi(["dags", name, "settings"]);
  const past = useApi("schedules/slots", { dag: name, perPage: 20 });
  const next = useNextStarts(name, dag, 10);
  const days = next.data ? daysOf(shortest(next.data.starts)) : 0;
  const from = new Date(Date.now() - (days - 1) * 86_400_000).toISOString().slice(0, 10);
  const due = useApi(schedule.length && days ? ["dags", name, "slots"] : null, { from });
  const save = async (/** @type {FormSubmit} */ event) => {
    event.preventDefault();
    const { catchup, hours } = valuesOf(event.target);
    const body = { catchup: /** @type {Api.DagSettings["catchup"]} */ (catchup),
      ...(hours && { catchupWindowSec: Math.round(Number(hours) * 3600) }) };
    await attempt(() => put(["dags", name, "settings"], body).then(settings.reload), "Saved.");
  };
  if (!useReady(statistics, settings, past, next)) return html`<${Loading} what="schedule" />`;
  return html`
    ${schedule.length > 0 && html`<${ClockNote} zones=${schedule.map(({ expression }) => zoneOf(expression))} />`}
    <div class="row"><h2>Schedule</h2>
      ${may("write") && !readOnly && html`<a class="button" href=${href(["dags", name, "spec"], { key: "schedule" })}>
        ${schedule.length ? "Edit schedule" : "Add a schedule"}</a>`}</div>
    <ul class="plain">
      ${schedule.map((one) => html`<li key=${one.expression}><${Expression} of=${one} /></li>`)}</ul>
    <h2>Next starts</h2><${NextStarts} dag=${dag} next=${next} suspended=${suspended}
      usual=${statistics.data?.p50Seconds} />
    <h2>Missed starts</h2>
    <p class="faint">What is due while no server runs is missed. Catch-up starts it later.</p>
    ${whenLoaded(settings, "settings", (set) => html`<form class="filters" key=${JSON.stringify(set)} onSubmit=${save}>
      <label>Catch up<select name="catchup" value=${set.catchup}><option value="none">none</option>
          <option value="latest">the latest</option><option value="all">all</option></select></label>
      <label>Up to (hours late)<input name="hours" inputmode="decimal" size="6"
          value=${set.catchupWindowSec / 3600} /></label>
      <${ActionButton} right="write" type="submit">Save<//></form>`)}
    ${schedule.length > 0 && html`<h2>Scheduled times</h2>
      ${whenLoaded(due, "scheduled times", ({ slots }) => slots.length
        ? html`<${SlotMatrix} name=${name} slots=${slots} reload=${due.reload} />`
        : html`<p class="faint">Nothing was due in the last ${plural(days, "day")}.</p>`)}`}
    <h2>Past starts</h2>
    ${whenLoaded(past, "slots", ({ slots }) => slots.length ? html`<${Slots} slots=${slots} />`
      : html`<p class="faint">Nothing was due yet.</p>`)}`;
}

/**
 * The next starts of a DAG; nothing to load without a schedule.
 * @param {string} name
 * @param {Api.DAGDetails | undefined} dag
 * @param {number} count
 */
export const useNextStarts = (name, dag, count) =>
  useApi(dag?.schedule?.length ? ["dags", name, "schedule", "next"] : null, { count });

/**
 * `usual` is the median duration of its runs in seconds.
 * @param {{ dag?: Api.DAGDetails, next: ReturnType<typeof useNextStarts>, suspended: boolean, usual?: number }} props
 */
export function NextStarts({ dag, next, suspended, usual = 0 }) {
  if (!dag?.schedule?.length) return html`<p class="faint">
    No schedule. Start it by hand, or call it from another DAG.</p>`;
  return whenLoaded(next, "next starts", ({ starts }) => {
    if (suspended) return html`<p class="wait">The schedule is suspended.
      ${starts.length > 0 && html` Otherwise it would start <${NextTime} at=${starts[0].at} far=${false} />.`}</p>`;
    const often = shortest(starts);
    return html`<ul class="plain starts">
      ${starts.map(({ at }) => html`<li key=${at}><${NextTime} at=${at} /></li>`)}</ul>
      ${usual > often && html`<p class="wait">A run usually takes ${duration(usual)}, but starts
        are ${duration(often)} apart: a start that is due while the run before is still running is skipped.</p>`}`;
  });
}

/** The shortest time between two starts, in seconds. @param {Api.NextStart[]} starts */
const shortest = (starts) =>
  Math.min(...starts.slice(1).map(({ at }, index) => (Date.parse(at) - Date.parse(starts[index].at)) / 1000));
