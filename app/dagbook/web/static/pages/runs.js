// List of runs: filters in the address, pages from the newest run on.

import { html, useEffect, useState } from "../vendor/core.js";
import { asError, get } from "../lib/api.js";
import { duration, durationText, plural, secondsOf } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { useNow } from "../lib/clock.js";
import { copyText } from "../lib/clipboard.js";
import { href } from "../lib/router.js";
import { dequeue, retry, stop } from "../lib/run-actions.js";
import { RUN_KEYS } from "../lib/run-filter.js";
import { pageOf, waitText } from "../lib/runs.js";
import { may } from "../lib/session.js";
import { RUN, isActive, isOver } from "../lib/status.js";
import { useTitle } from "../lib/title.js";
import { ActionButton, Empty, Icon, Id, StatusIcon, Table, Time, Truncated, whenLoaded } from "../parts/basic.js";
import { FilterBox, NoMatch, useFilter } from "../parts/filterbox.js";
import { Confirm } from "../parts/form.js";
import { Menu } from "../parts/menu.js";
import { attempt, notify } from "../parts/notice.js";
import { ExtraCells, ExtraHeads, RunViews } from "../parts/runviews.js";

/** @import { BulkAction, Bulky } from "../../types/ui" */

/** @type {{ runs: RunSummary[], next: string | null | undefined }} */
const NONE = { runs: [], next: undefined };
const PAGE = 100;

export default function Runs() {
  const filter = useFilter(RUN_KEYS);
  // Without a date the API returns only today's runs.
  const asked = { fromDate: 0, ...filter.params, limit: PAGE };
  const loaded = useApi("dag-runs", asked, (change) => change.kind === "run" && !change.root);
  const [more, setMore] = useState(NONE);
  useEffect(() => setMore(NONE), [filter]);
  useTitle("Runs", filter.text);
  const extend = (/** @type {string} */ cursor) =>
    attempt(async () => {
      const page = await get("dag-runs", { ...asked, cursor });
      setMore({ runs: [...more.runs, ...page.dagRuns], next: page.nextCursor ?? null });
    });
  return html`<h1>Runs</h1>
    <${FilterBox} label="Filter runs" filter=${filter} />
    <${RunViews} />
    ${whenLoaded(loaded, "runs", (page) => {
      const first = new Set(page.dagRuns.map(keyOf));
      const runs = [...page.dagRuns, ...more.runs.filter((run) => !first.has(keyOf(run)))];
      const next = more.next === undefined ? page.nextCursor : more.next;
      if (!runs.length && !next) return html`<${Nothing} filter=${filter} />`;
      return html`${runs.length ? html`<${List} runs=${runs} more=${Boolean(next)}
        reload=${loaded.reload} />` : html`<p class="faint">
        No match among the newest runs. Older runs are not searched yet.</p>`}
        ${next && html`<p><button type="button" onClick=${() => extend(next)}>Show older runs</button></p>`}`;
    })}`;
}

const keyOf = (/** @type {RunSummary} */ run) => `${run.name}/${run.dagRunId}`;

/** @param {{ filter: import("../../types/ui").Filter }} props */
function Nothing({ filter }) {
  if (filter.text) return html`<${NoMatch} filter=${filter} what="run" />`;
  return html`<${Empty} title="No runs yet">
    <p>Start a <a href=${href("/dags")}>DAG</a>, or run <code>dagbook run FILE</code> in a terminal.</p><//>`;
}

/** @param {{ runs: RunSummary[], more: boolean, reload: Reload }} props */
function List({ runs, more, reload }) {
  const [chosen, setChosen] = useState(/** @type {Set<string>} */ (new Set()));
  const [asked, setAsked] = useState(/** @type {{ name: BulkAction, runs: RunSummary[] } | null} */ (null));
  const now = useNow(1, runs.some((run) => isActive(run.status)));
  const picked = runs.filter((run) => chosen.has(keyOf(run)));
  const toggle = (/** @type {string} */ key) => {
    const next = new Set(chosen);
    if (!next.delete(key)) next.add(key);
    setChosen(next);
  };
  const all = (/** @type {InputChange} */ event) =>
    setChosen(event.target.checked ? new Set(runs.map(keyOf)) : new Set());
  return html`
    <div class="row bulk">
      <span class="faint">
        ${picked.length ? `${plural(picked.length, "run")} selected`
          : more ? `The newest ${plural(runs.length, "run")}` : plural(runs.length, "run")}</span>
      ${picked.length === 2 && html`<a class="button"
        href=${href("/compare", { run: keyOf(picked[0]), with: keyOf(picked[1]) })}>Compare</a>`}
      ${picked.length > 0 && ACTIONS.map((name) => html`<${ActionButton} key=${name} right="run"
        class=${BULK[name].danger ? "danger" : ""} disabled=${!picked.some(BULK[name].fits)}
        title=${picked.some(BULK[name].fits) ? "" : `All selected runs are ${BULK[name].without}`}
        onClick=${() => setAsked({ name, runs: picked })}>${BULK[name].title}<//>`)}
    </div>
    <${Table} class="list runs" heads=${[html`<th><input type="checkbox" aria-label="Select all runs shown"
        checked=${picked.length === runs.length} onChange=${all} /></th>`, "-Status", "DAG", "Run", "Started",
      "#Duration", "Why", "Parameters", html`<${ExtraHeads} />`, "-Actions"]}>
      ${runs.map((run) => html`<${Row} key=${keyOf(run)} run=${run} now=${now} chosen=${chosen.has(keyOf(run))}
        onToggle=${toggle} onAsk=${(/** @type {BulkAction} */ name) => setAsked({ name, runs: [run] })} />`)}<//>
    ${asked && html`<${Bulk} ...${asked} onClose=${() => setAsked(null)} onDone=${() => {
      setChosen(new Set());
      reload();
    }} />`}`;
}

/**
 * @param {{ run: RunSummary, now: number, chosen: boolean, onToggle: (key: string) => void,
 *   onAsk: (name: BulkAction) => void }} props
 */
function Row({ run, now, chosen, onToggle, onAsk }) {
  const { name, dagRunId, status, params, waitingFor } = run;
  const mayStart = run.mayStart ?? may("run");
  const why = waitingFor ? waitText(waitingFor) : run.cause;
  const items = [
    mayStart && isOver(status) && { title: "Retry…", onChoose: () => onAsk("retry") },
    mayStart && BULK.stop.fits(run) && { title: status === RUN.QUEUED ? "Remove from the queue…" : "Stop…",
      onChoose: () => onAsk("stop"), danger: true },
    { title: "Copy the run id", onChoose: () => copyText(dagRunId) },
    { title: "Runs of this DAG", href: href("/dag-runs", { q: name }) },
  ];
  return html`<tr onAgain=${mayStart && isOver(status) ? () => onAsk("retry") : null}>
    <td><input type="checkbox" aria-label=${`Select run ${dagRunId}`} checked=${chosen}
        onChange=${() => onToggle(keyOf(run))} /></td>
    <td class="state"><${StatusIcon} of=${status} waiting=${run.waitingForApproval} /></td>
    <td><a class="wide-text" href=${href(["dags", name])}>${name}</a></td>
    <td><${Id} of=${dagRunId} page=${href(pageOf({ name, runId: dagRunId }))} /></td>
    <td data-label="started"><${Time} at=${run.startedAt || run.queuedAt} /></td>
    <td data-label="duration" class="number">
      ${isActive(status) ? duration(secondsOf(run, now)) : durationText(run)}</td>
    <td class=${`about ${status === RUN.FAILED ? "bad" : ""}`}>${why && html`<${Truncated} text=${why} />`}</td>
    <td class="about params">${params && html`<${Truncated} text=${params} />`}</td>
    <${ExtraCells} run=${run} />
    <td class="actions">
      ${mayStart && status === RUN.FAILED && html`<button type="button" class="quiet on-hover" title="Retry…"
        aria-label=${`Retry run ${dagRunId}`} onClick=${() => onAsk("retry")}><${Icon} name="retry" /></button>`}
      <${Menu} label=${`Actions of run ${dagRunId}`} items=${items} /></td></tr>`;
}

/** @type {BulkAction[]} */
const ACTIONS = ["stop", "retry"];
/** @type {Record<BulkAction, Bulky>} */
const BULK = {
  stop: { title: "Stop", verb: "stops", done: "asked to stop", without: "already finished", danger: true,
    fits: (run) => run.status === RUN.RUNNING || run.status === RUN.QUEUED,
    act: (run, address) => (run.status === RUN.QUEUED ? dequeue(address) : stop(address)) },
  retry: { title: "Retry", verb: "retries", done: "retried", without: "still active", danger: false,
    fits: (run) => isOver(run.status), act: (_, address) => retry(address) },
};

/** @param {{ name: BulkAction, runs: RunSummary[], onClose: () => void, onDone: () => void }} props */
function Bulk({ name, runs, onClose, onDone }) {
  const { title, verb, done, without, danger, fits, act } = BULK[name];
  const fitting = runs.filter(fits);
  const work = async () => {
    const failed = [];
    for (const run of fitting) {
      try {
        await act(run, { name: run.name, runId: run.dagRunId });
      } catch (error) {
        failed.push(`${keyOf(run)}: ${asError(error).message}`);
      }
    }
    onDone();
    notify(`${plural(fitting.length - failed.length, "run")} ${done}.`);
    for (const text of failed.slice(0, 5)) notify(text, "bad");
  };
  return html`<${Confirm} title=${`${title} ${plural(fitting.length, "run")}?`}
    action=${`${title} ${plural(fitting.length, "run")}`} danger=${danger}
    typed=${fitting.length > 10 ? String(fitting.length) : null} onConfirm=${work} onClose=${onClose}>
    <p>${fitting.length === runs.length ? `This ${verb} all selected runs.`
        : `Skipped because ${without}: ${plural(runs.length - fitting.length, "run")}.`}</p><//>`;
}
