// State of the server and its machine.

import { html } from "../vendor/core.js";
import { config } from "../lib/config.js";
import { useApi, useReady } from "../lib/use-api.js";
import { href, query, setQuery } from "../lib/router.js";
import { hasGrants, may } from "../lib/session.js";
import { RUN } from "../lib/status.js";
import { ago, bytes, duration, instant } from "../lib/format.js";
import { useTitle } from "../lib/title.js";
import { Chart } from "../parts/chart.js";
import { Empty, Loading, whenLoaded } from "../parts/basic.js";
import { Doctor } from "../parts/doctor.js";
import { Retention } from "../parts/retention.js";

const SPANS = [
  ["1h", "last hour"],
  ["6h", "last 6 hours"],
  ["24h", "last day"],
];
/** @type {Record<string, string>} */
const DATABASES = { sqlite: "SQLite", postgresql: "PostgreSQL" };
const HOUR = 3600; // seconds
/** @type {["cpu" | "memory" | "disk" | "load", title: string, unit: string, most: number | undefined][]} */
const SERIES = [
  ["cpu", "Processor", " %", 100],
  ["memory", "Memory", " %", 100],
  ["disk", "Disk", " %", 100],
  ["load", "Load of the last minute", "", undefined],
];

export default function System() {
  useTitle("System");
  const span = query.value.get("span") ?? "1h";
  const health = useApi("health");
  const history = useApi("services/resources/history", { duration: span });
  const figures = useApi(hasGrants.value ? null : "services/figures");
  if (!useReady(health, history, figures)) return html`<h1>System</h1><${Loading} what="state of the server" />`;
  return html`<h1>System</h1>
    ${whenLoaded(health, "health", (state) => html`<dl class="facts card">
      <div><dt>State</dt><dd class=${state.status === "healthy" ? "good" : "bad"}>${state.status}</dd></div>
      <div><dt>Version</dt><dd>${state.version}</dd></div>
      <div><dt>Up for</dt><dd>${duration(state.uptime)}</dd></div>
      <div><dt>Time zone</dt><dd>${config.zone}</dd></div></dl>`)}
    ${!hasGrants.value && html`<h2>Service</h2>
      ${whenLoaded(figures, "figures", (found) => html`<${Figures} found=${found} />`)}`}
    <div class="row"><h2>Machine</h2><span class="grow"></span>
      <label class="inline">
        Time range<select value=${span}
          onChange=${(/** @type {SelectChange} */ event) => setQuery({ span: event.target.value })}>
          ${SPANS.map(([value, word]) => html`<option key=${value} value=${value}>${word}</option>`)}</select></label>
          </div>
    ${whenLoaded(history, "load of the machine", (series) =>
      SERIES.some(([name]) => series[name]?.length)
        ? html`<div class="charts">
          ${SERIES.map(([name, title, unit, most]) => (series[name] ?? []).length > 0 && html`<${Chart}
            key=${`${name} ${span}`} title=${title} points=${series[name]} unit=${unit} most=${most} />`)}</div>`
        : html`<${Empty} title="No samples yet">
          <p>The first samples appear a few seconds after the server has started.</p>
        <//>`)}
    ${!hasGrants.value && html`<${Retention} />`}
    ${may("admin") && html`<${Doctor} />`}`;
}

/** @param {{ found: Api.ServiceFigures }} props */
function Figures({ found }) {
  const oldest = instant(found.oldestQueuedAt);
  return html`<dl class="facts card">
    <div><dt>Runs now</dt><dd><a href=${href("/dag-runs", { status: RUN.RUNNING })}>${found.running} running</a>,
      ${" "}<a href=${href("/queues")}>${found.queued} queued</a>${oldest && `, the oldest ${ago(oldest)}`}</dd></div>
    <div><dt>Runs of the last hour</dt><dd><a href=${href("/dag-runs", { within: HOUR })}>${found.runsOfLastHour}</a>
      ${found.failedOfLastHour > 0 && html`, <a class="bad"
        href=${href("/dag-runs", { within: HOUR, status: RUN.FAILED })}>${found.failedOfLastHour} failed</a>`}</dd>
    </div>
    <div><dt>DAGs</dt><dd><a href=${href("/dags")}>${found.dags}</a></dd></div>
    <div><dt>Database</dt><dd>${DATABASES[found.database]}, ${bytes(found.databaseBytes)}, schema
      ${" "}${found.schemaRevision}</dd></div></dl>`;
}
