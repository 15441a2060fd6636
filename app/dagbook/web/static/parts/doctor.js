// Results of the consistency check of the database.

import { html, useState } from "../vendor/core.js";
import { asError, get } from "../lib/api.js";
import { bytes, plural } from "../lib/format.js";
import { Failure } from "./basic.js";

/** @typedef {{ report: Api.DoctorReport | null, failure: Failed | null, busy: boolean }} Examined */

export function Doctor() {
  const [state, setState] = useState(/** @type {Examined} */ ({ report: null, failure: null, busy: false }));
  const look = async () => {
    setState({ report: null, failure: null, busy: true });
    try {
      setState({ report: await get("doctor"), failure: null, busy: false });
    } catch (failure) {
      setState({ report: null, failure: asError(failure), busy: false });
    }
  };
  const { report, failure, busy } = state;
  return html`<section aria-label="Database">
    <div class="row"><h2>Database</h2><span class="grow"></span>
      <button type="button" disabled=${busy} onClick=${look}>${busy ? "Checking…" : "Check database"}</button></div>
    ${failure && html`<${Failure} error=${failure} />`}
    ${report && html`<p class=${report.healthy ? "good" : "bad"}>
      ${report.healthy ? `All ${plural(report.findings.length, "check")} passed.` : "Some checks failed."}</p>
      <table class="stack"><thead><tr><th>Check</th><th>Violations</th></tr></thead>
        <tbody>
          ${report.findings.map((finding) => html`<tr key=${finding.name}><td class="wide-text">${finding.holds}</td>
            <td class=${finding.count ? "bad" : "good"}>${finding.count ? plural(finding.count, "row") : "none"}</td>
            </tr>`)}</tbody></table>
      <h3>Storage ${bytes(report.storage.bytes)}</h3>
      <table class="stack"><thead><tr><th>Table</th><th>Rows</th><th>Size</th></tr></thead>
        <tbody>
          ${report.storage.tables.map((table) => html`<tr key=${table.name}><td>${table.name}</td>
            <td class="number">${table.rows.toLocaleString("en")}</td><td class="number">${bytes(table.bytes)}</td>
            </tr>`)}</tbody></table>`}
  </section>`;
}
