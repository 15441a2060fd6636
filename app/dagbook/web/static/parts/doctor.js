// Results of the consistency check of the database.

import { html } from "../vendor/core.js";
import { get } from "../lib/api.js";
import { bytes, plural } from "../lib/format.js";
import { useAnswer } from "../lib/use-api.js";
import { Failure, Table } from "./basic.js";

export function Doctor() {
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
