// One batch: what it does, how far it is, actions on it, and its items.

import { html, useEffect, useRef, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { actionOf, isAbout, isOpen, optionsOf, subjectOf } from "../lib/batches.js";
import { plural } from "../lib/format.js";
import { paramLines } from "../lib/triggers.js";
import { href, query } from "../lib/router.js";
import { useTitle } from "../lib/title.js";
import { useApi } from "../lib/use-api.js";
import { NotThere, Time, whenLoaded } from "../parts/basic.js";
import { BatchBar, BatchItems, BatchState, DagOf } from "../parts/batchlist.js";
import { Choices, FormDialog } from "../parts/form.js";
import { attempt } from "../parts/notice.js";

const ITEMS = 100; // of a page

/** @param {{ params: { id: string } }} props */
export default function BatchPage({ params: { id } }) {
  useTitle(`Batch ${id}`, "Batches");
  /** @type {Concerns} */
  const concerns = (change) => loaded.data !== null && isAbout(change, loaded.data);
  const loaded = useApi(["batches", id], {}, concerns);
  const [state, cursor] = [query.value.get("state") ?? "", query.value.get("cursor")];
  // After the batch, so that they are never older than its counts; and again only when these change.
  const items = useApi(loaded.data ? ["batches", id, "items"] : null, { state, cursor, perPage: ITEMS });
  useChangeOf(loaded.data && JSON.stringify(loaded.data.counts), items.reload);
  const missing = (/** @type {Failed} */ error) => html`<${NotThere} title="There is no such batch" error=${error}>
    <a href=${href("/batches")}>All batches</a><//>`;
  return whenLoaded(loaded, "batch", (batch) => html`<${Head} batch=${batch} reload=${loaded.reload} />
    <${BatchItems} batch=${batch} loaded=${items} state=${state} cursor=${cursor} />`, missing);
}

/** Call `react` when a value becomes another one. @param {string | null} value @param {Reload} react */
function useChangeOf(value, react) {
  const before = useRef(/** @type {string | null} */ (null));
  useEffect(() => {
    if (before.current !== null && value !== null && value !== before.current) react();
    before.current = value ?? before.current;
  }, [value]);
}

/** @param {{ batch: Api.Batch, reload: Reload }} props */
function Head({ batch, reload }) {
  const { id, mayRun, pausedAt, counts: { failed = 0 } } = batch;
  const [asked, setAsked] = useState(false);
  const change = (/** @type {"pause" | "resume" | "retry"} */ what, /** @type {string} */ done) => () =>
    attempt(() => post(["batches", String(id), what]).then(reload), done);
  return html`<header>
    <div class="row"><h1>Batch ${id}</h1><span class="faint">${actionOf(batch)}</span><span class="grow"></span>
      ${mayRun && failed > 0 && html`<button type="button"
        onClick=${change("retry", "The failed items are planned again.")}>Retry ${failed} failed</button>`}
      ${mayRun && isOpen(batch) && html`<button type="button" class=${pausedAt ? "primary" : ""}
        onClick=${pausedAt ? change("resume", `Batch ${id} goes on.`)
          : change("pause", `Batch ${id} is paused: runs that have begun go on.`)}>${pausedAt ? "Resume" : "Pause"}
        </button>
        <button type="button" class="danger" onClick=${() => setAsked(true)}>Cancel…</button>`}</div>
    <${Facts} batch=${batch} />
    ${asked && html`<${CancelDialog} batch=${batch} reload=${reload} onClose=${() => setAsked(false)} />`}</header>`;
}

/** @param {{ batch: Api.Batch, reload: Reload, onClose: () => void }} props */
function CancelDialog({ batch: { id, counts: { planned = 0, begun = 0 } }, reload, onClose }) {
  const [runs, setRuns] = useState("finish");
  const cancel = () => post(["batches", String(id), "cancel"], { stopRuns: runs === "stop" }).then(reload);
  return html`<${FormDialog} title=${`Cancel batch ${id}`} action="Cancel batch" look="danger" onClose=${onClose}
    onSave=${cancel}>
    <p>${plural(planned, "item")} will be left out, for good.</p>
    ${begun > 0 && html`<${Choices} legend=${`${plural(begun, "item")} with an active run`} name="runs"
      chosen=${runs} onChoose=${setRuns} options=${[["finish", "to its end"], ["stop", "now"]]} />`}<//>`;
}

/** @param {{ batch: Api.Batch }} props */
function Facts({ batch }) {
  const { counts, params, reason, createdAt, createdBy, endedAt } = batch;
  const lines = paramLines(params);
  return html`<dl class="facts card">
    <div><dt>State</dt><dd class="wide-text"><${BatchState} batch=${batch} /></dd></div>
    <div><dt>Progress</dt><dd><${BatchBar} counts=${counts} /></dd></div>
    <div><dt>DAG</dt><dd class="wide-text"><${DagOf} batch=${batch} /></dd></div>
    <div><dt>Which</dt><dd class="wide-text">${subjectOf(batch)}</dd></div>
    <div><dt>How</dt><dd class="wide-text">${optionsOf(batch)}</dd></div>
    ${lines.length > 0 && html`<div><dt>Params</dt><dd class="wide-text"><ul class="plain">
      ${lines.map((line) => html`<li key=${line}><code>${line}</code></li>`)}</ul></dd></div>`}
    <div><dt>Made</dt><dd><${Time} at=${createdAt} />${createdBy && ` by ${createdBy}`}</dd></div>
    ${endedAt && html`<div><dt>Ended</dt><dd><${Time} at=${endedAt} /></dd></div>`}
    ${reason && html`<div><dt>Reason</dt><dd class="wide-text">${reason}</dd></div>`}</dl>`;
}
