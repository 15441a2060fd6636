// Schedules page: upcoming firings and past slots.

import { html } from "../vendor/core.js";
import { useApi } from "../lib/use-api.js";
import { href, query, setQuery } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { useTitle } from "../lib/title.js";
import { Empty, whenLoaded, Tabs, Time } from "../parts/basic.js";
import { UpcomingTable } from "../parts/upcoming.js";

const TABS = [
  { id: "next", title: "Upcoming" },
  { id: "past", title: "Past" },
];
const TONES = {
  started: "good",
  queued: "wait",
  stopped: "good",
  restarting: "busy",
  restarted: "good",
  skipped: "off",
  suspended: "off",
  missed: "mixed",
  failed: "bad",
};

export default function Schedules() {
  const tab = query.value.get("tab") ?? "next";
  useTitle("Schedules", tab === "past" ? "past" : "");
  return html`<h1>Schedules</h1>
    <${Tabs} label="Schedules" tabs=${TABS} chosen=${tab}
      onChoose=${(/** @type {string} */ id) => setQuery({ tab: id === "next" ? null : id })} />
    ${tab === "past" ? html`<${Past} />` : html`<${UpcomingTable} />`}`;
}

function Past() {
  const loaded = useApi("schedules/slots", { perPage: 100 }, (change) => change.kind === "run");
  return whenLoaded(loaded, "slots", ({ slots }) =>
    slots.length
      ? html`<div class="scroll">
        <table class="stack"><thead><tr><th>Due</th><th>DAG</th><th>Outcome</th><th>Reason</th></tr></thead>
          <tbody>
          ${slots.map((slot, index) => html`<tr key=${index}>
            <td><${Time} at=${slot.scheduledAt} words=${false} /></td>
            <td><a class="wide-text" href=${href(["dags", slot.fileName])}>${slot.dagName ?? slot.fileName}</a>
              ${slot.kind !== "start" && html` <span class="tag">${slot.kind}</span>`}
              ${slot.madeUp && html` <span class="tag">catch-up</span>`}</td>
            <td>${slot.dagRunId ? html`<a class=${TONES[slot.outcome]}
                href=${href(pageOf({ name: slot.dagName ?? slot.fileName, runId: slot.dagRunId }))}>${slot.outcome}</a>`
                : html`<span class=${TONES[slot.outcome]}>${slot.outcome}</span>`}</td>
            <td class="wide-text faint">${slot.reason}</td></tr>`)}</tbody></table></div>`
      : html`<${Empty} title="No schedule was due yet">
        <p>Each time that a schedule was due appears here with its outcome.</p><//>`);
}
