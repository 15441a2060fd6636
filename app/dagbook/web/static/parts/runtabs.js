// Further views of a run: its log and its definition.

import { html, useState } from "../vendor/core.js";
import { asError, get } from "../lib/api.js";
import { eventsOf } from "../lib/events.js";
import { exact, instant, moment } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { href } from "../lib/router.js";
import { concernsRun, pathOf } from "../lib/runs.js";
import { Empty, Failure, whenLoaded } from "./basic.js";

const PAGE = 1000;

/**
 * The run's own log: every change of the run and its steps, over all attempts.
 * @param {{ address: RunAddress }} props
 */
export function RunEvents({ address }) {
  const loaded = useApi(
    [...pathOf(address), "log"],
    { tail: PAGE },
    (change) => change.kind === "run" && concernsRun(address, change),
  );
  const [older, setOlder] = useState({ text: "", failure: /** @type {Failed | null} */ (null) });
  const more = async (/** @type {Api.Log} */ page) => {
    try {
      const first = earlierLines(page);
      const earlier = await get([...pathOf(address), "log"], {
        offset: Math.max(1, first - PAGE + 1),
        limit: Math.min(PAGE, first),
      });
      setOlder({ text: earlier.content, failure: null });
    } catch (failure) {
      setOlder({ text: "", failure: asError(failure) });
    }
  };
  return whenLoaded(loaded, "events", (page) => html`
    ${earlierLines(page) > 0 && !older.text && html`<button type="button" onClick=${() => more(page)}>
      Show earlier ones</button>`}
    ${older.failure && html`<${Failure} error=${older.failure} />`}
    <ol class="happened" tabindex="0" aria-label="Events">
      ${eventsOf(`${older.text && `${older.text}\n`}${page.content}`).map((event, index) => html`<${Happened}
        key=${index} event=${event} />`)}</ol>`);
}

/** The number of lines of a log before its last page. @param {Api.Log} page */
const earlierLines = ({ totalLines = 0, lineCount = 0 }) => totalLines - lineCount;

/** @param {{ event: import("../lib/events.js").RunLogEvent }} props */
function Happened({ event: { at, level, text, rest } }) {
  const time = instant(at);
  return html`<li>${time ? html`<time datetime=${at} title=${exact(time)}>${moment(time)}</time>` : html`<span></span>`}
    <span class="wide-text"><span class=${level === "ERROR" ? "bad" : ""}>${text}</span>
      ${rest.map(([name, value]) => html` <span class="faint">${name}=</span>${value}`)}</span></li>`;
}

/**
 * The text of the run's revision.
 * @param {{ run: Run }} props
 */
export function RunSpec({ run }) {
  const path = run.revision ? /** @type {const} */ (["dags", run.name, "revisions", String(run.revision)]) : null;
  const loaded = useApi(path);
  if (!path) return html`<${Empty} title="No stored definition">
    This run was started from a text that is not stored as a DAG, or from a sub-DAG.<//>`;
  return html`<p><a href=${href(["dags", run.name, "spec"])}>Edit the DAG</a></p>
    ${whenLoaded(loaded, "definition", (revision) => html`<pre class="events" tabindex="0">
      ${revision.spec ?? "This text was redacted."}</pre>`)}`;
}
