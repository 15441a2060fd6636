// Overview of a DAG: latest run, statistics, next start, and step statuses in the latest runs.

import { html } from "../../vendor/core.js";
import { duration } from "../../lib/format.js";
import { href } from "../../lib/router.js";
import { pageOf } from "../../lib/runs.js";
import { useApi } from "../../lib/use-api.js";
import { Empty, whenLoaded, Status, Time } from "../../parts/basic.js";
import { RunGrid } from "../../parts/rungrid.js";
import { NextStarts } from "./nextstarts.js";

/** @param {{ name: string, details: Api.DAGFileDetails, concerns: Concerns }} props */
export function OverviewTab({ name, details, concerns }) {
  const history = useApi(["dags", name, "dag-runs"], {}, concerns);
  const statistics = useApi(["dags", name, "statistics"], {}, concerns);
  const { latestDAGRun: latest, dag } = details;
  const begun = latest?.dagRunId;
  return html`
    <div class="cards">
      <section class="card" aria-label="Latest run"><h2>Latest run</h2>
        ${begun ? html`<p>
          <a href=${href(pageOf({ name: latest.name, runId: latest.dagRunId }))}><${Status} of=${latest.status} />
          </a> <span class="faint"><${Time} at=${latest.startedAt || latest.queuedAt} /></span></p>`
          : html`<p class="faint">It has never run.</p>`}
        <p><a href=${href("/dag-runs", { name: dag?.name ?? name })}>All its runs</a></p></section>
      <section class="card" aria-label="How it usually goes"><h2>How it usually goes</h2>
        ${whenLoaded(statistics, "statistics", (numbers) => html`<${Numbers} numbers=${numbers} />`)}
        </section>
      <section class="card" aria-label="Next start"><h2>Next start</h2>
        <${NextStarts} name=${name} dag=${dag} suspended=${details.suspended} count=${1} /></section>
    </div>
    <h2>Steps in the latest runs</h2>
    ${whenLoaded(history, "history", ({ dagRuns }) => (dagRuns.length ? html`<div class="card grid-card">
      <${RunGrid} runs=${dagRuns} /></div>`
      : html`<${Empty} title="No runs yet"><p>Start it, and each run becomes a column here.</p><//>`))}`;
}

/** @param {{ numbers: Api.DAGStatistics }} props */
function Numbers({ numbers }) {
  const { runs, succeeded, failed, p50Seconds: p50, p95Seconds: p95 } = numbers;
  if (!runs) return html`<p class="faint">No run has ended yet.</p>`;
  const known = p50 !== undefined;
  return html`<dl class="facts">${known && html`<dt>Half take at most</dt><dd class="number">${duration(p50)}
    </dd><dt>95 % take at most</dt><dd class="number">${duration(p95)}</dd>`}
    <dt>Of the last ${runs}</dt><dd>${succeeded} succeeded, ${failed} failed</dd></dl>
    ${!known && html`<p class="faint">What is usual shows once a run has succeeded.</p>`}`;
}
