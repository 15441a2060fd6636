// List of runs: filters in the address, pages from the newest run on.

import { html, useEffect, useState } from "../vendor/core.js";
import { get } from "../lib/api.js";
import { BULK, BULK_ACTIONS, filterOf, keyOf } from "../lib/bulk.js";
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
import { Empty, Icon, Id, StatusIcon, Table, Time, Truncated, whenLoaded } from "../parts/basic.js";
import { BulkDialog } from "../parts/bulk.js";
import { FilterBox, NoMatch, useFilter } from "../parts/filterbox.js";
import { Confirm } from "../parts/form.js";
import { Menu } from "../parts/menu.js";
import { attempt, notify } from "../parts/notice.js";
import { ExtraCells, ExtraHeads, RunViews } from "../parts/runviews.js";

/** @import { BulkAction } from "../lib/bulk.js" */
/** @typedef {"retry" | "stop" | "dequeue"} OneAction */

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
        filter=${filterOf(filter.params)} reload=${loaded.reload} />` : html`<p class="faint">
        No match among the newest runs. Older runs are not searched yet.</p>`}
        ${next && html`<p><button type="button" onClick=${() => extend(next)}>Show older runs</button></p>`}`;
    })}`;
}

/** @param {{ filter: import("../../types/ui").Filter }} props */
function Nothing({ filter }) {
  if (filter.text) return html`<${NoMatch} filter=${filter} what="run" />`;
  return html`<${Empty} title="No runs yet">
    <p>Start a <a href=${href("/dags")}>DAG</a>, or run <code>dagbook run FILE</code> in a terminal.</p><//>`;
}

/** @param {{ runs: RunSummary[], more: boolean, filter: Api.RunsFilter | null, reload: Reload }} props */
function List({ runs, more, filter, reload }) {
  const [chosen, setChosen] = useState(/** @type {Set<string>} */ (new Set()));
  const [one, setOne] = useState(/** @type {{ name: OneAction, run: RunSummary } | null} */ (null));
  const [many, setMany] = useState(/** @type {{ action: BulkAction, filter: Api.RunsFilter } | null} */ (null));
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
      ${picked.length > 0 && html`<${Menu} label="Actions of the selected runs" title="Selected runs"
        items=${bulkItems((action) => setMany({ action, filter: { runs: picked.map(keyOf) } }), picked)} />`}
      ${filter && html`<${Menu} label="Actions of all runs that match" title="All that match"
        items=${bulkItems((action) => setMany({ action, filter }))} />`}
    </div>
    <${Table} class="list runs" heads=${[html`<th><input type="checkbox" aria-label="Select all runs shown"
        checked=${picked.length === runs.length} onChange=${all} /></th>`, "-Status", "DAG", "Run", "Started",
      "#Duration", "Why", "Parameters", html`<${ExtraHeads} />`, "-Actions"]}>
      ${runs.map((run) => html`<${Row} key=${keyOf(run)} run=${run} now=${now} chosen=${chosen.has(keyOf(run))}
        onToggle=${toggle} onAsk=${(/** @type {OneAction} */ name) => setOne({ name, run })} />`)}<//>
    ${one && html`<${One} ...${one} reload=${reload} onClose=${() => setOne(null)} />`}
    ${many && html`<${BulkDialog} ...${many} onClose=${() => setMany(null)} />`}`;
}

/**
 * What can be done to many runs; `picked` are these, if they are known.
 * @param {(action: BulkAction) => void} onAsk
 * @param {RunSummary[]} [picked]
 * @returns {import("../../types/ui").MaybeItem[]}
 */
const bulkItems = (onAsk, picked) => BULK_ACTIONS.map((action) => may(BULK[action].right) && {
  title: `${BULK[action].title}…`,
  danger: !BULK[action].parallel,
  disabled: picked && !picked.some(BULK[action].fits) && "No selected run can be",
  onChoose: () => onAsk(action),
});

/**
 * @param {{ run: RunSummary, now: number, chosen: boolean, onToggle: (key: string) => void,
 *   onAsk: (name: OneAction) => void }} props
 */
function Row({ run, now, chosen, onToggle, onAsk }) {
  const { name, dagRunId, status, params, waitingFor } = run;
  const mayStart = run.mayStart ?? may("run");
  const why = waitingFor ? waitText(waitingFor) : run.cause;
  const items = [
    mayStart && isOver(status) && { title: "Retry…", onChoose: () => onAsk("retry") },
    mayStart && BULK.dequeue.fits(run) && { title: "Remove from the queue…", onChoose: () => onAsk("dequeue"),
      danger: true },
    mayStart && status === RUN.RUNNING && { title: "Stop…", onChoose: () => onAsk("stop"), danger: true },
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

/** @type {Record<OneAction, { title: string, text: string, done: string, act: (run: RunAddress) => unknown }>} */
const ONE = {
  retry: { title: "Retry 1 run?", text: "Its steps that have succeeded are not executed again.", done: "Retried.",
    act: retry },
  stop: { title: "Stop 1 run?", text: "Its steps are stopped.", done: "Asked to stop.", act: stop },
  dequeue: { title: "Remove 1 run from the queue?", text: "It will not start.", done: "Removed from the queue.",
    act: dequeue },
};

/** @param {{ name: OneAction, run: RunSummary, reload: Reload, onClose: () => void }} props */
function One({ name, run, reload, onClose }) {
  const { title, text, done, act } = ONE[name];
  const work = async () => {
    await act({ name: run.name, runId: run.dagRunId });
    notify(done);
    await reload();
  };
  return html`<${Confirm} title=${title} action=${title.slice(0, -1)} danger=${name !== "retry"} onConfirm=${work}
    onClose=${onClose}><p><span class="wide-text">${run.name}</span> <code>${run.dagRunId}</code></p>
    <p class="faint">${text}</p><//>`;
}
