// Next scheduled starts of a DAG.

import { html } from "../../vendor/core.js";
import { useApi } from "../../lib/use-api.js";
import { whenLoaded, Time } from "../../parts/basic.js";

/** @param {{ name: string, dag?: Api.DAGDetails, suspended: boolean, count: number }} props */
export function NextStarts({ name, dag, suspended, count }) {
  const next = useApi(dag?.schedule?.length ? ["dags", name, "schedule", "next"] : null, { count });
  if (!dag?.schedule?.length) return html`<p class="faint">
    No schedule. Start it by hand, or call it from another DAG.</p>`;
  return html`${suspended && html`<p class="wait">The schedule is suspended.</p>`}
    ${whenLoaded(next, "next starts", ({ starts }) => html`<ul class="plain starts">
        ${starts.map(({ at }) => html`<li key=${at}>
          <${Time} at=${at} /> <span class="faint"><${Time} at=${at} words=${false} /></span></li>`)}</ul>`)}`;
}
