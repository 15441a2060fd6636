// Revisions of a DAG: view, diff and restore.

import { html, useEffect, useState } from "../../vendor/core.js";
import { post } from "../../lib/api.js";
import { href, query, setQuery } from "../../lib/router.js";
import { may } from "../../lib/session.js";
import { useApi } from "../../lib/use-api.js";
import { Dialog, Pages, Table, whenLoaded, Time } from "../../parts/basic.js";
import { BulkDialog } from "../../parts/bulk.js";
import { Diff } from "../../parts/diff.js";
import { Confirm } from "../../parts/form.js";
import { Commit } from "../../parts/origin.js";

const PAGE = 50; // revisions

/** @param {{ name: string, concerns: Concerns, readOnly: string }} props */
export function RevisionsTab({ name, concerns, readOnly }) {
  const asked = (/** @type {string} */ key) => Number(query.value.get(key)) || null;
  const [number, show, changes] = ["number", "show", "changes"].map(asked);
  const [from, to] = changes ? [changes - 1, changes] : ["from", "to"].map(asked);
  const page = asked("page") ?? 1;
  const loaded = useApi(["dags", name, "revisions"], { page, perPage: PAGE }, concerns);
  const [restored, setRestored] = useState(/** @type {number | null} */ (null));
  const [recalled, setRecalled] = useState(/** @type {number | null} */ (null));
  const newest = loaded.data?.pagination.totalRecords;
  useEffect(() => {
    if (number && newest && !asked("page")) setQuery({ page: Math.ceil((newest - number + 1) / PAGE) || 1 });
  }, [number, newest]);
  const link = (/** @type {object} */ search) =>
    href(["dags", name, "revisions"], { page: page > 1 ? page : null, ...search });
  const close = () => setQuery({ show: null, changes: null, from: null, to: null });
  return whenLoaded(loaded, "revisions", ({ revisions, pagination }) => html`
    <${Table} heads=${["#No.", "Saved", "By", "Note", "Difference", "-Actions"]}>
      ${revisions.map((revision) => html`<${Row} key=${revision.number} link=${link} revision=${revision}
        newest=${pagination.totalRecords} chosen=${revision.number === number} readOnly=${readOnly}
        onRestore=${() => setRestored(revision.number)} onRecall=${() => setRecalled(revision.number)} />`)}<//>
    <${Pages} page=${page} pagination=${pagination} names=${["Newer", "Older"]} />
    ${show && html`<${RevisionText} key=${show} name=${name} number=${show} onClose=${close} />`}
    ${from && to && html`<${RevisionDiff} key=${`${from} ${to}`} name=${name} from=${from} to=${to}
      onClose=${close} />`}
    ${recalled && html`<${BulkDialog} action="again" dag=${name} filter=${{ revision: recalled }}
      onClose=${() => setRecalled(null)} />`}
    ${restored && html`<${Confirm} title=${`Restore revision ${restored}?`} action="Restore" danger=${false}
      onClose=${() => setRestored(null)} onConfirm=${async () => {
      const { errors } = await post(["dags", name, "revisions", String(restored), "restore"], {
        note: `restores revision ${restored}`,
      });
      if (errors.length) throw new Error(errors.join("\n"));
      await loaded.reload();
    }}><p>Its text becomes the newest revision. No revision is lost.</p><//>`}`);
}

/**
 * A revision, whose text and differences have addresses.
 * @param {{ link: (search: object) => string, revision: Api.Revision, newest: number, chosen: boolean,
 *   readOnly: string, onRestore: () => void, onRecall: () => void }} props
 */
function Row({ link, revision, newest, chosen, readOnly, onRestore, onRecall }) {
  const { number, savedAt, author, redactedAt, note, commit } = revision;
  const isNewest = number === newest;
  return html`<tr aria-current=${chosen ? "true" : null}>
    <td class="number">${isNewest && html`<span class="tag">current</span> `}<a href=${link({ show: number })}
      aria-label=${`Show revision ${number}`}>${number}</a></td>
    <td><${Time} at=${savedAt} /></td>
    <td>${author ?? html`<span class="faint">unknown</span>`}</td>
    <td class="wide-text">${redactedAt ? "redacted" : note}${commit && html` <${Commit} id=${commit} />`}</td>
    <td>${number > 1 && html`<a href=${link({ changes: number })}
        aria-label=${`Changes of revision ${number}`}>changes</a>`}
      ${!isNewest && html`${number > 1 && " · "}<a href=${link({ from: number, to: newest })}
        aria-label=${`Compare revision ${number} with the current one`}>up to now</a>`}</td>
    <td class="actions">${!isNewest && may("run") && html`<button type="button"
      aria-label=${`Do runs of revision ${number} again`} onClick=${onRecall}>Do runs again…</button> `}
      ${!isNewest && may("write") && html`<button type="button" disabled=${readOnly !== ""}
      title=${readOnly} aria-label=${`Restore revision ${number}`} onClick=${onRestore}>Restore</button>`}</td></tr>`;
}

/** @param {{ name: string, number: number, onClose: () => void }} props */
function RevisionText({ name, number, onClose }) {
  const loaded = useApi(["dags", name, "revisions", String(number)]);
  return html`<${Dialog} title=${`Revision ${number} of ${name}`} wide onClose=${onClose}>
    <div class="body">
      ${whenLoaded(loaded, "text", ({ spec }) => html`<pre class="events" tabindex="0">
        ${spec ?? "This text was redacted"}</pre>`)}</div><//>`;
}

/** @param {{ name: string, from: number, to: number, onClose: () => void }} props */
function RevisionDiff({ name, from, to, onClose }) {
  const loaded = useApi(["dags", name, "revisions", "diff"], { from, to });
  return html`<${Dialog} title=${`Revision ${from} → ${to} of ${name}`} wide onClose=${onClose}>
    <div class="body">${whenLoaded(loaded, "changes", ({ diff }) => html`<${Diff} text=${diff} />`)}</div><//>`;
}
