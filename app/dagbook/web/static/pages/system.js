// State of the server and its machine.

import { html, useState } from "../vendor/core.js";
import { get, post } from "../lib/api.js";
import { config } from "../lib/config.js";
import { useAnswer, useApi, useReady } from "../lib/use-api.js";
import { href, query, setQuery } from "../lib/router.js";
import { hasGrants, may } from "../lib/session.js";
import { RUN } from "../lib/status.js";
import { ago, bytes, duration, instant, plural } from "../lib/format.js";
import { useTitle } from "../lib/title.js";
import { Chart } from "../parts/chart.js";
import { Empty, Failure, Loading, Select, Table, whenLoaded } from "../parts/basic.js";
import { Confirm } from "../parts/form.js";
import { notify } from "../parts/notice.js";

const SPANS = [["1h", "last hour"], ["6h", "last 6 hours"], ["24h", "last day"]];
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
/** Why a clean-up deletes runs. @type {Record<string, string>} */
const REASONS = {
  age: "older than the limit",
  runs: "more runs than the DAG keeps",
  logBytes: "logs of the DAG too large",
  totalRuns: "more runs than the server keeps",
  totalLogBytes: "all logs too large",
};

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
      <label class="inline">Time range<${Select} value=${span} options=${SPANS}
          onSet=${(/** @type {string} */ value) => setQuery({ span: value })} /></label></div>
    ${whenLoaded(history, "load of the machine", (series) =>
      SERIES.some(([name]) => series[name]?.length)
        ? html`<div class="charts">
          ${SERIES.map(([name, title, unit, most]) => (series[name] ?? []).length > 0 && html`<${Chart}
            key=${`${name} ${span}`} title=${title} points=${series[name]} unit=${unit} most=${most} />`)}</div>`
        : html`<${Empty} title="No samples yet">
          <p>The first samples appear a few seconds after the server has started.</p><//>`)}
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

/** The consistency check of the database. */
function Doctor() {
  const { data: report, failure, busy, ask } = useAnswer(() => get("doctor"));
  return html`<section aria-label="Database">
    <div class="row"><h2>Database</h2><span class="grow"></span>
      <button type="button" disabled=${busy} onClick=${ask}>${busy ? "Checking…" : "Check database"}</button></div>
    ${failure && html`<${Failure} error=${failure} />`}
    ${report && html`<p class=${report.healthy ? "good" : "bad"}>
      ${report.healthy ? `All ${plural(report.findings.length, "check")} passed.` : "Some checks failed."}</p>
      <${Table} heads=${["Check", "Violations"]}>
        ${report.findings.map((finding) => html`<tr key=${finding.name}><td class="wide-text">${finding.holds}</td>
          <td class=${finding.count ? "bad" : "good"}>${finding.count ? plural(finding.count, "row") : "none"}</td>
          </tr>`)}<//>
      <h3>Storage ${bytes(report.storage.bytes)}</h3>
      <${Table} heads=${["Table", "Rows", "Size"]}>
        ${report.storage.tables.map((table) => html`<tr key=${table.name}><td>${table.name}</td>
          <td class="number">${table.rows.toLocaleString("en")}</td><td class="number">${bytes(table.bytes)}</td>
          </tr>`)}<//>`}
  </section>`;
}

/** What the effective retention would free now, and the button that frees it. */
function Retention() {
  const { data: preview, failure, busy, ask } = useAnswer(() => get("retention/preview"));
  const [asked, setAsked] = useState(false);
  return html`<section aria-label="Space">
    <div class="row"><h2>Space</h2><span class="grow"></span>
      ${!hasGrants.value && html`<button type="button" disabled=${busy} onClick=${ask}>
        ${busy ? "Checking…" : "Preview clean-up"}</button>`}</div>
    <p class="faint">Old runs are deleted automatically. To set their age, use <code>histRetentionDays</code> in a DAG,
      or <code>retention_days</code> in <code>dagbook.yaml</code>.</p>
    ${failure && html`<${Failure} error=${failure} />`}
    ${preview && html`<${Going} preview=${preview} onClean=${() => setAsked(true)} />`}
    ${asked && preview && html`<${Confirm} title="Delete these runs?" action="Delete runs" typed="clean up"
      onClose=${() => setAsked(false)} onConfirm=${() => clean().then(ask)}>
      <p>This deletes ${sum(preview)}. It cannot be undone.</p><//>`}
  </section>`;
}

/** @param {{ preview: Api.RetentionPreview, onClean: () => void }} props */
function Going({ preview, onClean }) {
  if (!preview.runs) return html`<p class="good">Nothing to clean up: all runs are within their limits.</p>`;
  return html`<div class="row"><strong>A clean-up deletes ${sum(preview)}.</strong><span class="grow"></span>
    ${may("admin") && html`<button type="button" class="danger" onClick=${onClean}>Clean up</button>`}</div>
    <${Table} heads=${["DAG", "Runs", "Logs", "Reason"]}>
      ${preview.dags.map((one) => html`<tr key=${one.name}><td class="wide-text">${one.name}</td>
        <td data-label="runs" class="number">${one.runs.toLocaleString("en")}</td>
        <td data-label="logs" class="number">${bytes(one.logBytes)}</td>
        <td>${Object.entries(one.reasons).map(([reason, count]) => `${REASONS[reason] ?? reason}: ${count}`).join(", ")}
        </td></tr>`)}<//>`;
}

/** @param {{ runs: number, logBytes: number, more?: boolean }} counted */
const sum = ({ runs, logBytes, more }) =>
  `${more ? "more than " : ""}${plural(runs, "run")} with ${bytes(logBytes)} of logs`;

/** Repeat the cleanup while there is more: the server works for some seconds per request. */
async function clean() {
  const gone = { runs: 0, logBytes: 0 };
  for (let more = true; more; ) {
    const answer = await post("retention/cleanup");
    gone.runs += answer.runs;
    gone.logBytes += answer.logBytes;
    more = answer.more && answer.runs > 0;
  }
  notify(`${sum(gone)} deleted.`);
}
