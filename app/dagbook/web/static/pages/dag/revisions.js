// Revisions of a DAG: view, diff and restore.

import { html, useState } from "../../vendor/core.js";
import { post } from "../../lib/api.js";
import { query, setQuery } from "../../lib/router.js";
import { useApi } from "../../lib/use-api.js";
import { ActionButton, Confirm, Dialog, whenLoaded, Time } from "../../parts/basic.js";
import { Diff } from "../../parts/diff.js";
import { Commit } from "../../parts/origin.js";

/**
 * @typedef {{ kind: "show" | "restore", revision: Api.Revision }
 *   | { kind: "diff", from: number, to: number }} Asked
 */

/** @param {{ name: string, concerns: Concerns, readOnly: string }} props */
export function RevisionsTab({ name, concerns, readOnly }) {
  const page = Number(query.value.get("page") ?? 1);
  const loaded = useApi(["dags", name, "revisions"], { page, perPage: 50 }, concerns);
  const [asked, setAsked] = useState(/** @type {Asked | null} */ (null));
  const chosen = query.value.get("number");
  const close = () => setAsked(null);
  return whenLoaded(loaded, "revisions", ({ revisions, pagination }) => html`
    <div class="scroll">
      <table class="stack">
        <thead>
          <tr><th class="number">No.</th><th>Saved</th><th>By</th><th>Note</th>
            <th><span class="visually-hidden">Actions</span></th></tr></thead>
      <tbody>
        ${revisions.map((revision, index) => html`<tr key=${revision.number}
          aria-current=${String(revision.number) === chosen ? "true" : null}>
        <td class="number">${index === 0 && page === 1 ? html`<span class="tag">current</span> ` : ""}${revision.number}
        </td>
        <td><${Time} at=${revision.savedAt} /></td>
        <td>${revision.author ?? html`<span class="faint">unknown</span>`}</td>
        <td class="wide-text">${revision.redactedAt ? "redacted" : revision.note}
          ${revision.commit && html` <${Commit} id=${revision.commit} />`}</td>
        <td class="actions">
          <button type="button" aria-label=${`Show revision ${revision.number}`}
            onClick=${() => setAsked({ kind: "show", revision })}>Show</button>
          ${revision.number > 1 && html`<button type="button" aria-label=${`Changes of revision ${revision.number}`}
            onClick=${() => setAsked({ kind: "diff", from: revision.number - 1, to: revision.number })}>
            Changes</button>`}
          ${!(index === 0 && page === 1) && html`<button type="button"
            aria-label=${`Compare revision ${revision.number} with the current one`}
            onClick=${() => setAsked({ kind: "diff", from: revision.number, to: revisions[0].number })}>
            Compare with current</button>
          <${ActionButton} right="write" disabled=${readOnly !== ""} title=${readOnly}
            aria-label=${`Restore revision ${revision.number}`}
            onClick=${() => setAsked({ kind: "restore", revision })}>Restore<//>`}
        </td></tr>`)}</tbody></table></div>
    ${pagination.totalPages > 1 && html`<p class="row">
      <button type="button" disabled=${page <= 1} onClick=${() => setQuery({ page: page - 1 })}>Newer</button>
      <span>Page ${page} of ${pagination.totalPages}</span>
      <button type="button" disabled=${page >= pagination.totalPages} onClick=${() => setQuery({ page: page + 1 })}>
        Older</button></p>`}
    ${asked?.kind === "show" && html`<${RevisionText} name=${name} number=${asked.revision.number} onClose=${close} />`}
    ${asked?.kind === "diff" && html`<${RevisionDiff} name=${name} from=${asked.from} to=${asked.to}
      onClose=${close} />`}
    ${asked?.kind === "restore" && html`<${Confirm} title=${`Restore revision ${asked.revision.number}?`}
      action="Restore" danger=${false} onClose=${close} onConfirm=${async () => {
      const { errors } = await post(["dags", name, "revisions", String(asked.revision.number), "restore"], {
        note: `restores revision ${asked.revision.number}`,
      });
      if (errors.length) throw new Error(errors.join("\n"));
      await loaded.reload();
    }}><p>Its text becomes the newest revision. No revision is lost.</p><//>`}`);
}

/** @param {{ name: string, number: number, onClose: () => void }} props */
function RevisionText({ name, number, onClose }) {
  const loaded = useApi(["dags", name, "revisions", String(number)]);
  return html`<${Dialog} title=${`Revision ${number} of ${name}`} wide onClose=${onClose}>
    <div class="body">
      ${whenLoaded(loaded, "text", ({ spec }) => html`<pre class="events" tabindex="0">
        ${spec ?? "This text was redacted"}</pre>`)}</div>
        <//>`;
}

/** @param {{ name: string, from: number, to: string, onClose: () => void }} props */
function RevisionDiff({ name, from, to, onClose }) {
  const loaded = useApi(["dags", name, "revisions", "diff"], { from, to });
  return html`<${Dialog} title=${`Revision ${from} → ${to} of ${name}`} wide onClose=${onClose}>
    <div class="body">${whenLoaded(loaded, "changes", ({ diff }) => html`<${Diff} text=${diff} />`)}</div>
    <//>`;
}
