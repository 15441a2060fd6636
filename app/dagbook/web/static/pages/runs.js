// List of runs: filters in the address, pages from the newest run on.

import { html, useEffect, useState } from "../vendor/core.js";
import { asError, get } from "../lib/api.js";
import { aheadOfUtc, timeText } from "../lib/clock.js";
import { clock, duration, plural } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { useNow } from "../lib/use-now.js";
import { copyText } from "../lib/clipboard.js";
import { href, query, setQuery } from "../lib/router.js";
import { dequeue, retry, stop } from "../lib/run-actions.js";
import { pageOf } from "../lib/runs.js";
import { secondsOf, durationText } from "../lib/durations.js";
import { may } from "../lib/session.js";
import { RUN, RUN_STATUSES, isActive, isOver, statusFilter, statusKey } from "../lib/status.js";
import { useTitle } from "../lib/title.js";
import { waitText } from "../lib/wait-text.js";
import { ActionButton, Truncated, Empty, Id, whenLoaded, StatusIcon, Time } from "../parts/basic.js";
import { Confirm, valuesOf } from "../parts/form.js";
import { Icon } from "../parts/icon.js";
import { Menu } from "../parts/menu.js";
import { attempt, notify } from "../parts/notice.js";
import { ExtraCells, ExtraHeads, RunViews } from "../parts/runviews.js";

/** @type {{ runs: RunSummary[], next: string | null | undefined }} */
const NONE = { runs: [], next: undefined };
const PAGE = 100;
const TEXTS = [
  ["name", "DAG", "etl"],
  ["tag", "Tag", "nightly"],
  ["actor", "Started by", "ada"],
  ["param", "Parameter", "NAME=value"],
  ["error", "Error", "KeyError"],
  ["minDuration", "Duration at least", "90s, 5m"],
];
const HOUR = 3600000; // milliseconds
const DAY = 24 * HOUR;
const DATES = "dates"; // those of the address, of a link from another page
const FILTERS = ["status", "within", "fromDate", "toDate", "trigger", ...TEXTS.map(([name]) => name)];
const TRIGGERS = ["api", "reschedule", "schedule"];
/** Key in addresses, words, and seconds: the key in links of earlier versions. @type {[string, string, number][]} */
const SPANS = [
  ["", "any time", 0],
  ["1h", "last hour", 3600],
  ["24h", "last 24 hours", 86400],
  ["7d", "last 7 days", 604800],
  ["30d", "last 30 days", 2592000],
];
const spanOf = (/** @type {string} */ text) =>
  SPANS.find(([key, , seconds]) => text === key || text === String(seconds)) ?? [text, text, Number(text) || 0];

/** The dates of the address bar in words: "28 Nov 2026", "28 Nov, 10:05 to 10:20"; empty without dates. */
function datesText() {
  const [from, to] = ["fromDate", "toDate"].map((name) => Number(query.value.get(name)) * 1000);
  const [begin, end] = [new Date(from), new Date(to)];
  if (from && to && (from + aheadOfUtc(from)) % DAY === 0 && Math.abs(to - from - DAY) <= HOUR)
    return timeText(begin, { dateStyle: "medium" });
  if (from) return to ? `${clock(begin)} to ${clock(end)}` : `since ${clock(begin)}`;
  return to ? `before ${clock(end)}` : "";
}

/** The filters of the address bar as the API takes them. */
function wanted() {
  const values = Object.fromEntries(query.value);
  const { within, status, columns: _, ...rest } = values;
  // Without a date the API returns only today's runs.
  const fromDate = within ? Math.floor(Date.now() / 1000 / 60) * 60 - spanOf(within)[2] : (rest.fromDate ?? 0);
  return { ...rest, ...statusFilter(status ?? ""), fromDate, limit: PAGE };
}

export default function Runs() {
  const filters = JSON.stringify(Object.fromEntries(query.value));
  const [asked, setAsked] = useState(wanted());
  useEffect(() => setAsked(wanted()), [filters]);
  const loaded = useApi("dag-runs", asked, (change) => change.kind === "run" && !change.root);
  const [more, setMore] = useState(NONE);
  useEffect(() => setMore(NONE), [filters]);
  const chosen = statusKey(query.value.get("status") ?? "");
  const word = RUN_STATUSES.find(({ key }) => key === chosen)?.look.word;
  useTitle("Runs", word, query.value.get("name"));
  const extend = (/** @type {string} */ cursor) =>
    attempt(async () => {
      const page = await get("dag-runs", { ...asked, cursor });
      setMore({ runs: [...more.runs, ...page.dagRuns], next: page.nextCursor ?? null });
    });
  return html`<h1>Runs</h1>
    <${Filters} />
    <${RunViews} />
    ${whenLoaded(loaded, "runs", (page) => {
      const first = new Set(page.dagRuns.map(keyOf));
      const runs = [...page.dagRuns, ...more.runs.filter((run) => !first.has(keyOf(run)))];
      const next = more.next === undefined ? page.nextCursor : more.next;
      if (!runs.length && !next) return html`<${Nothing} />`;
      return html`${runs.length ? html`<${Table} runs=${runs} more=${Boolean(next)}
        reload=${loaded.reload} />` : html`<p class="faint">
        No match among the newest runs. Older runs are not searched yet.</p>`}
        ${next && html`<p><button type="button" onClick=${() => extend(next)}>Show older runs</button></p>`}`;
    })}`;
}

const keyOf = (/** @type {RunSummary} */ run) => `${run.name}/${run.dagRunId}`;

function Nothing() {
  if (query.value.size) {
    return html`<${Empty} title="No run matches these filters">
      <p><button type="button"
          onClick=${() => setQuery(Object.fromEntries([...query.value.keys()].map((key) => [key, null])))}>
          Clear filters</button></p><//>`;
  }
  return html`<${Empty} title="No runs yet">
    <p>Start a <a href=${href("/dags")}>DAG</a>, or run <code>dagbook run FILE</code> in a terminal.</p><//>`;
}

function Filters() {
  const submit = (/** @type {FormSubmit} */ event) => {
    event.preventDefault();
    const { within, ...others } = valuesOf(event.currentTarget);
    const kept = within === DATES;
    setQuery({ ...others, ...(kept ? {} : { within, fromDate: null, toDate: null }) }, { replace: false });
  };
  const dates = query.value.get("within") ? "" : datesText();
  const pick = (/** @type {InputChange | SelectChange} */ event) => event.currentTarget.form?.requestSubmit();
  const value = (/** @type {string} */ name) => query.value.get(name) ?? "";
  return html`<form class="filters" role="search" aria-label="Filter runs" onSubmit=${submit}>
    <label>Status<select name="status" value=${statusKey(value("status"))} onChange=${pick}>
      <option value="">any</option>
      ${RUN_STATUSES.map(({ key, look }) => html`<option key=${key} value=${key}>${look.word}</option>`)}
    </select></label>
    <label>When<select name="within" value=${dates ? DATES : spanOf(value("within"))[0]} onChange=${pick}>
      ${dates && html`<option value=${DATES}>${dates}</option>`}
      ${SPANS.map(([key, word]) => html`<option key=${key} value=${key}>${word}</option>`)}
    </select></label>
    <label>Trigger<select name="trigger" value=${value("trigger")} onChange=${pick}>
      <option value="">any</option>
      ${TRIGGERS.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
    </select></label>
    ${TEXTS.map(([name, label, hint]) => html`<label key=${name}>${label}
      <input name=${name} value=${value(name)} placeholder=${hint} size="12" onChange=${pick} /></label>`)}
    ${FILTERS.some((name) => query.value.get(name)) && html`<button type="button" class="quiet"
      onClick=${() => setQuery(Object.fromEntries(FILTERS.map((name) => [name, null])))}>Clear</button>`}
  </form>`;
}

/** @param {{ runs: RunSummary[], more: boolean, reload: Reload }} props */
function Table({ runs, more, reload }) {
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
    <div class="scroll"><table class="stack list runs">
      <thead><tr>
        <th><input type="checkbox" aria-label="Select all runs shown" checked=${picked.length === runs.length}
            onChange=${all} /></th>
        <th><span class="visually-hidden">Status</span></th><th>DAG</th><th>Run</th><th>Started</th>
        <th class="number">Duration</th><th>Why</th><th>Parameters</th><${ExtraHeads} />
        <th><span class="visually-hidden">Actions</span></th>
      </tr></thead>
      <tbody>
        ${runs.map((run) => html`<${Row} key=${keyOf(run)} run=${run} now=${now} chosen=${chosen.has(keyOf(run))}
          onToggle=${toggle} onAsk=${(/** @type {BulkAction} */ name) => setAsked({ name, runs: [run] })} />`)}</tbody>
    </table></div>
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
    mayStart && BULK.stop.fits(run) && {
      title: status === RUN.QUEUED ? "Remove from the queue…" : "Stop…",
      onChoose: () => onAsk("stop"),
      danger: true,
    },
    { title: "Copy the run id", onChoose: () => copyText(dagRunId) },
    { title: "Runs of this DAG", href: href("/dag-runs", { name }) },
  ];
  return html`<tr>
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
      <${Menu} label=${`Actions of run ${dagRunId}`} items=${items} /></td>
  </tr>`;
}

/** @typedef {"stop" | "retry"} BulkAction */
/**
 * @typedef {object} Bulky
 * @property {string} title
 * @property {string} verb
 * @property {string} done
 * @property {string} without why the other selected runs are skipped
 * @property {boolean} danger
 * @property {(run: RunSummary) => boolean} fits
 * @property {(run: RunSummary, address: RunAddress) => Promise<unknown>} act
 */

/** @type {BulkAction[]} */
const ACTIONS = ["stop", "retry"];
/** @type {Record<BulkAction, Bulky>} */
const BULK = {
  stop: {
    title: "Stop",
    verb: "stops",
    done: "asked to stop",
    without: "already finished",
    danger: true,
    fits: (run) => run.status === RUN.RUNNING || run.status === RUN.QUEUED,
    act: (run, address) => (run.status === RUN.QUEUED ? dequeue(address) : stop(address)),
  },
  retry: {
    title: "Retry",
    verb: "retries",
    done: "retried",
    without: "still active",
    danger: false,
    fits: (run) => isOver(run.status),
    act: (_, address) => retry(address),
  },
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
        : `Skipped because ${without}: ${plural(runs.length - fitting.length, "run")}.`}</p>
  <//>`;
}
