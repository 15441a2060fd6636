// Name of a DAG, and actions on it.

import { html, useEffect, useState } from "../../vendor/core.js";
import { post, remove } from "../../lib/api.js";
import { clock } from "../../lib/format.js";
import { go, href, query, setQuery } from "../../lib/router.js";
import { may } from "../../lib/session.js";
import { Confirm, FormDialog } from "../../parts/form.js";
import { Menu } from "../../parts/menu.js";
import { attempt, notify } from "../../parts/notice.js";
import { whyReadOnly } from "../../parts/origin.js";
import { StartDialog } from "../../parts/startdialog.js";

const OF_SOURCE = "It comes from a source: its file has its name";

/** @param {{ name: string, details: Api.DAGFileDetails, reload: Reload }} props */
export function Header({ name, details, reload }) {
  const begins = query.value.has("start");
  const [asked, setAsked] = useState(begins ? "start" : null);
  const close = () => setAsked(null);
  useEffect(() => {
    if (!begins) return;
    setAsked("start");
    setQuery({ start: null }); // not again on a reload or on the way back
  }, [begins]);
  const { dag, suspended, suspension, source } = details;
  const path = /** @type {const} */ (["dags", name]);
  const toggle = () => attempt(() => post([...path, "suspend"], { suspend: !suspended }).then(reload),
    `The schedule of ${name} is ${suspended ? "resumed" : "suspended"}.`);
  return html`<header>
    <div class="row"><h1 class="wide-text">${dag?.name ?? name}</h1>
      ${(dag?.tags ?? []).map((tag) => html`<a class="tag" key=${tag} href=${href("/dags", { tag })}>${tag}</a>`)}
      ${suspended && html`<span class="wait" title=${suspension?.reason}>suspended${suspension?.until
        && ` until ${clock(suspension.until)}`}</span>`}
      <span class="grow"></span>
      ${may("run") && html`
        ${dag && html`<button type="button" class="primary" onClick=${() => setAsked("start")}>Start</button>`}
        ${(suspended || dag?.schedule?.length) && html`<button type="button" onClick=${toggle}>
          ${suspended ? "Resume schedule" : "Suspend schedule"}</button>`}`}
      <${Menu} label="More actions" items=${[
        may("run") && { title: "Stop all runs", onChoose: () => setAsked("stop") },
        may("write") && { title: "Rename", disabled: source && (whyReadOnly(source) || OF_SOURCE),
          onChoose: () => setAsked("rename") },
        may("write") && { title: "Delete", danger: true, disabled: source && !source.removedAt
          && (whyReadOnly(source) || OF_SOURCE), onChoose: () => setAsked("delete") },
      ]} />
    </div>
    ${dag?.description && html`<p>${dag.description}</p>`}
    ${asked === "start" && html`<${StartDialog} fileName=${name} dag=${dag} latest=${details.latestDAGRun}
      onClose=${close} />`}
    ${asked === "stop" && html`<${Confirm} title=${`Stop all runs of ${name}?`} action="Stop all" onClose=${close}
      onConfirm=${async () => {
      const { errors } = await post([...path, "stop-all"]);
      for (const error of errors) notify(error, "bad");
      await reload();
    }}><p>This stops all active runs of this DAG.</p><//>`}
    ${asked === "rename" && html`<${FormDialog} title=${`Rename ${name}`} action="Rename" onClose=${close}
      onSave=${(/** @type {Fields} */ { newFileName }) =>
        post([...path, "rename"], { newFileName }).then(() => go(["dags", newFileName], { replace: true }))}>
      <p>Its revisions and runs are kept.</p>
    <label>New name<input name="newFileName" value=${name} required maxlength="40" pattern="[A-Za-z0-9_.\\-]+" />
    </label><//>`}
    ${asked === "delete" && html`<${Confirm} title=${`Delete ${name}?`} action="Delete DAG" typed=${name}
      onClose=${close} onConfirm=${() => remove(path).then(() => go("/dags"))}>
      <p>This deletes the definition with all its revisions. It cannot be undone. Runs are kept.</p><//>`}
  </header>`;
}
