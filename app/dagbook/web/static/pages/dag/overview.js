// Overview of a DAG: latest run, durations, next start, the last weeks, and the steps of the latest runs.

import { html, useMemo } from "../../vendor/core.js";
import { dayOf, shownZone } from "../../lib/clock.js";
import { duration } from "../../lib/format.js";
import { daysShown } from "../../lib/heat.js";
import { href } from "../../lib/router.js";
import { pageOf } from "../../lib/runs.js";
import { RUN } from "../../lib/status.js";
import { useApi, useReady } from "../../lib/use-api.js";
import { Empty, Loading, whenLoaded, Status, Time } from "../../parts/basic.js";
import { HeatMap } from "../../parts/heatmap.js";
import { RunGrid } from "../../parts/rungrid.js";
import { Sparkline } from "../../parts/sparkline.js";
import { NextStarts, useNextStarts } from "./schedule.js";

/** @param {{ name: string, details: Api.DAGFileDetails, concerns: Concerns }} props */
export function OverviewTab({ name, details, concerns }) {
  const zone = shownZone();
  const weeks = useMemo(() => ({ days: daysShown(dayOf(new Date())), zone }), [zone]);
  const history = useApi(["dags", name, "dag-runs"], {}, concerns);
  const statistics = useApi(["dags", name, "statistics"], {}, concerns);
  const days = useApi(["dags", name, "days"], weeks, concerns);
  const { latestDAGRun: latest, dag } = details;
  const next = useNextStarts(name, dag, 1);
  if (!useReady(history, statistics, days, next)) return html`<${Loading} what="overview" />`;
  const begun = latest?.dagRunId;
  const called = dag?.name ?? name;
  return html`
    <div class="overview">
      <section class="card" aria-label="Latest run"><h2>Latest run</h2>
        ${begun ? html`<p><a class="plain" href=${href(pageOf({ name: latest.name, runId: latest.dagRunId }))}>
            <${Status} of=${latest.status} waiting=${latest.waitingForApproval} /></a> <span class="faint">
            <${Time} at=${latest.startedAt || latest.queuedAt} /></span></p>
          <p><a href=${href("/dag-runs", { name: called })}>All runs</a></p>`
          : html`<p class="faint">No run yet.</p>`}</section>
      <section class="card" aria-label="Duration"><h2>Duration</h2>
        ${whenLoaded(statistics, "statistics", (numbers) => html`<${Durations} numbers=${numbers} name=${called} />`)}
        </section>
      <section class="card" aria-label="Next start"><h2>Next start</h2>
        <${NextStarts} dag=${dag} next=${next} suspended=${details.suspended} /></section></div>
    ${begun && html`<section aria-label="The last weeks"><h2>The last weeks</h2>
      ${whenLoaded(days, "days", (found) => html`<${HeatMap} found=${found} />`)}</section>`}
    <h2>Steps in the latest runs</h2>
    ${whenLoaded(history, "history", ({ dagRuns }) => (dagRuns.length ? html`<div class="card">
      <${RunGrid} runs=${dagRuns} /></div>`
      : html`<${Empty} title="No runs yet"><p>Start the DAG: each run becomes a column here.</p><//>`))}`;
}

/** @param {{ numbers: Api.DAGStatistics, name: string }} props */
function Durations({ numbers, name }) {
  const { runs, succeeded, partiallySucceeded: partly, failed, aborted, p50Seconds: p50, p95Seconds: p95 } = numbers;
  if (!runs) return html`<p class="faint">No run has finished yet.</p>`;
  const parts = [[succeeded, "succeeded", RUN.SUCCEEDED], [partly, "partly succeeded", RUN.PARTIALLY_SUCCEEDED],
    [failed, "failed", RUN.FAILED], [aborted, "aborted", RUN.ABORTED]];
  return html`<p>${p50 === undefined ? html`<span class="faint">No run has succeeded yet.</span>`
      : html`<strong>Median ${duration(p50)}</strong>, 95% under ${duration(p95)}`}</p>
    <${Sparkline} statistics=${numbers} />
    <p class="faint small">${runs === 1 ? "The last run" : `The last ${runs} runs`}: ${parts
      .filter(([count]) => count)
      .map(([count, word, status], index) => html`${index > 0 && ", "}<a key=${status}
        href=${href("/dag-runs", { name, status })}>${runs === 1 ? word : `${count} ${word}`}</a>`)}</p>`;
}
