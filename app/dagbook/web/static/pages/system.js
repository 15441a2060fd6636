// State of the server and its machine.

import { html } from "../vendor/core.js";
import { config } from "../lib/config.js";
import { useApi } from "../lib/use-api.js";
import { href, query, setQuery } from "../lib/router.js";
import { hasUsers, may } from "../lib/session.js";
import { roughly } from "../lib/format.js";
import { useTitle } from "../lib/title.js";
import { Chart } from "../parts/chart.js";
import { Empty, whenLoaded } from "../parts/basic.js";
import { Doctor } from "../parts/doctor.js";
import { Retention } from "../parts/retention.js";

const SPANS = [
  ["1h", "last hour"],
  ["6h", "last 6 hours"],
  ["24h", "last day"],
];
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
  return html`<h1>System</h1>
    ${whenLoaded(health, "health", (state) => html`<dl class="facts card">
      <dt>State</dt><dd class=${state.status === "healthy" ? "good" : "bad"}>${state.status}</dd>
      <dt>Version</dt><dd>${state.version}</dd><dt>Up for</dt><dd>${roughly(state.uptime)}</dd><dt>Time zone</dt>
      <dd>${config.zone}</dd></dl>`)}
    ${hasUsers && html`<p><a href=${href("/account")}>Manage your tokens</a></p>`}
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
    <${Retention} />
    ${may("admin") && html`<${Doctor} />`}`;
}
