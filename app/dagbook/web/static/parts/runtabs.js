// Further views of a run: its log and its definition.

import { html, useState } from "../vendor/core.js";
import { asError, get } from "../lib/api.js";
import { eventsOf, sentenceOf } from "../lib/events.js";
import { exact, instant, moment } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { href } from "../lib/router.js";
import { concernsRun, pageOf, pathOf } from "../lib/runs.js";
import { Empty, Failure, whenLoaded } from "./basic.js";

const PAGE = 1000;

/**
 * The run's own log: all changes of the run and its steps, over all attempts.
 * @param {{ address: RunAddress }} props
 */
export function RunEvents({ address }) {
  const path = /** @type {const} */ ([...pathOf(address), "log"]);
  const loaded = useApi(path, { tail: PAGE }, (change) => change.kind === "run" && concernsRun(address, change));
  const [older, setOlder] = useState({ text: "", failure: /** @type {Failed | null} */ (null) });
  const more = (/** @type {Api.Log} */ page) => {
    const last = earlierLines(page);
    get(path, { offset: Math.max(1, last - PAGE + 1), limit: Math.min(PAGE, last) }).then(
      ({ content }) => setOlder({ text: content, failure: null }),
      (failure) => setOlder({ text: "", failure: asError(failure) }),
    );
  };
  return whenLoaded(loaded, "events", (page) => html`
    ${older.failure && html`<${Failure} error=${older.failure} />`}
    <ol class="happened" tabindex="0" aria-label="Events">
      ${earlierLines(page) > 0 && !older.text && html`<li><button type="button" onClick=${() => more(page)}>
        Show earlier events</button></li>`}
      ${eventsOf(`${older.text && `${older.text}\n`}${page.content}`).map((event, index) => html`<${Happened}
        key=${index} event=${event} address=${address} />`)}</ol>`);
}

/** The number of lines of a log before its last page. @param {Api.Log} page */
const earlierLines = ({ totalLines = 0, lineCount = 0 }) => totalLines - lineCount;

/** @param {{ event: import("../lib/events.js").RunLogEvent, address: RunAddress }} props */
function Happened({ event, address }) {
  const { at, level } = event;
  const { step, text, details } = sentenceOf(event);
  const time = instant(at);
  return html`<li>${time ? html`<time datetime=${at} title=${exact(time)}>${moment(time)}</time>` : html`<span></span>`}
    <span class="wide-text">${step && html`<a href=${href(pageOf(address), { view: "events", step })}>${step}</a> `}
      <span class=${level === "ERROR" ? "bad" : ""}>${text}${details && ":"}</span> ${details}</span></li>`;
}

/** The text of the run's revision. @param {{ run: Run }} props */
export function RunSpec({ run }) {
  const path = run.revision ? /** @type {const} */ (["dags", run.name, "revisions", String(run.revision)]) : null;
  const loaded = useApi(path);
  if (!path) return html`<${Empty} title="No revision">
    This run was started from a text that is not saved as a DAG, or it is a sub-run.<//>`;
  return html`<p>Revision ${run.revision}, as this run used it · <a href=${href(["dags", run.name, "spec"])}>
    Edit the DAG</a></p>
    ${whenLoaded(loaded, "definition", (revision) => html`<pre class="events" tabindex="0">
      ${revision.spec ?? "This text was redacted."}</pre>`)}`;
}
