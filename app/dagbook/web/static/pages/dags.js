// List of DAGs: recent runs, next start, and suspension.

import { html, useEffect, useRef, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { duration, exact, plural } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { go, href, query, setQuery } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { secondsOf, durationText } from "../lib/durations.js";
import { hasGrants, may } from "../lib/session.js";
import { RUN, RUN_STATUSES, WAITING, lookOfRow, statusFilter, statusKey } from "../lib/status.js";
import { useTitle } from "../lib/title.js";
import { Truncated, Empty, Pages, whenLoaded, StatusIcon, Time } from "../parts/basic.js";
import { NextTime } from "../parts/clock.js";
import { Icon } from "../parts/icon.js";
import { Menu } from "../parts/menu.js";
import { NewDag } from "../parts/newdag.js";
import { attempt } from "../parts/notice.js";
import "../parts/tooltip.js";

const PAGE = 100;
const TAGS = 3; // shown of a DAG, the others on hover
const FILTERS = ["name", "tag", "status"];
const TYPING = 250; // milliseconds without a key press before the search

export default function Dags() {
  const [name, tag, status] = FILTERS.map((one) => query.value.get(one) ?? "");
  const page = Number(query.value.get("page") ?? 1);
  const sort = query.value.get("sort") ?? "name";
  const [asked, setAsked] = useState(false);
  useTitle("DAGs", tag || name);
  /** @type {Concerns} */
  const concerns = (change) => change.kind === "dag" || (change.kind === "run" && !change.root);
  const list = useApi("dags", { name, tag, status: statusFilter(status).status, page, perPage: PAGE, sort,
    recent: 10 }, concerns);
  const upcoming = useApi("schedules/upcoming", { limit: 1000, perDag: 1 }, (change) => change.kind === "dag");
  const next = new Map();
  for (const one of upcoming.data?.upcoming ?? [])
    if (one.kind === "start" && !next.has(one.fileName)) next.set(one.fileName, one);
  const isReady = upcoming.data || upcoming.error; // its texts make a column wide
  return html`<div class="row"><h1>DAGs</h1><span class="grow"></span>
    ${may("create") && html`<button type="button" class="primary" onClick=${() => setAsked(true)}>New DAG</button>`}
    </div>
    <${Filters} />
    ${whenLoaded({ ...list, data: isReady ? list.data : null }, "DAGs", ({ dags, errors, pagination }) => html`
      ${pagination && html`<p class="faint" role="status">${plural(pagination.totalRecords, "DAG")}
        ${name || tag || status ? " found" : ""}</p>`}
      ${errors.map((error) => html`<p class="bad wide-text" key=${error}>${error}</p>`)}
      ${dags.length ? html`<${Table} dags=${dags} next=${next} reload=${list.reload} />` : html`<${Nothing}
        narrowed=${name || tag || status} onNew=${() => setAsked(true)} />`}
      <${Pages} page=${page} pagination=${pagination} />`)}
    ${asked && html`<${NewDag} onClose=${() => setAsked(false)} />`}`;
}

function Filters() {
  const tags = useApi("dags/tags", {}, (change) => change.kind === "dag");
  const timer = useRef(/** @type {number | undefined} */ (undefined));
  useEffect(() => () => clearTimeout(timer.current), []);
  const type = (/** @type {InputChange} */ event) => {
    const name = event.target.value;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setQuery({ name, page: null }), TYPING);
  };
  const tag = query.value.get("tag") ?? "";
  const known = new Set([...(tags.data?.tags ?? []), ...(tag ? [tag] : [])]);
  return html`<div class="filters" role="search" aria-label="Filter DAGs">
    <label>
      Name<input type="search" value=${query.value.get("name") ?? ""} onInput=${type} placeholder="part of the name" />
      </label>
    <label>
      Tag<select value=${tag}
        onChange=${(/** @type {SelectChange} */ event) => setQuery({ tag: event.target.value, page: null })}>
        <option value="">any</option>${[...known].map((one) => html`<option key=${one} value=${one}>${one}</option>`)}
        </select></label>
    <label>
      Latest run<select value=${statusKey(query.value.get("status") ?? "")}
        onChange=${(/** @type {SelectChange} */ event) => setQuery({ status: event.target.value, page: null })}>
        <option value="">any</option>
        ${RUN_STATUSES.filter(({ look }) => look !== WAITING).map(({ key, look }) => html`<option key=${key}
          value=${key}>${look.word}</option>`)}
        </select></label>
    <label>
      Sort by<select value=${query.value.get("sort") ?? "name"}
        onChange=${(/** @type {SelectChange} */ event) => setQuery({ sort: event.target.value, page: null })}>
        <option value="name">name</option>
        <option value="nextRun">next start</option></select></label>
  </div>`;
}

/** @param {{ narrowed: string, onNew: () => void }} props */
function Nothing({ narrowed, onNew }) {
  if (narrowed) return html`<${Empty} title="No DAG matches">
    <p><button type="button"
      onClick=${() => setQuery(Object.fromEntries([...FILTERS, "page"].map((one) => [one, null])))}>
      Clear filters</button></p>
    <//>`;
  if (hasGrants.value) return html`<${Empty} title="You have access to no DAG">
    <p>Ask an admin to grant you DAGs, or to add you to a group.</p><//>`;
  if (!may("create")) return html`<${Empty} title="No DAGs yet"><p>Ask a manager to add one.</p><//>`;
  return html`<${Empty} title="No DAGs yet">
    <p><button type="button" class="primary" onClick=${onNew}>New DAG</button></p>
    <p>Or start with the examples on the <a href=${href("/")}>dashboard</a>.</p><//>`;
}

/** @param {{ dags: Api.DAGFile[], next: Map<string, Api.Upcoming>, reload: Reload }} props */
function Table({ dags, next, reload }) {
  return html`<div class="scroll">
    <table class="stack list dags">
      <thead>
        <tr><th><span class="visually-hidden">Latest run</span></th><th>Name</th><th>Started</th><th>Last 10 runs</th>
          <th class="number">Duration</th><th>Next start</th><th>Tags</th>
          <th><span class="visually-hidden">Actions</span></th></tr></thead>
    <tbody>
      ${dags.map((file) => html`<${Row} key=${file.fileName} file=${file} next=${next.get(file.fileName)}
        reload=${reload} />`)}</tbody></table></div>`;
}

/** @param {{ file: Api.DAGFile, next?: Api.Upcoming, reload: Reload }} props */
function Row({ file, next, reload }) {
  const { fileName, dag, latestDAGRun: run, suspended, errors, source } = file;
  return html`<tr>
    <td class="state">${run.dagRunId && html`<a href=${href(pageOf({ name: run.name, runId: run.dagRunId }))}>
      <${StatusIcon} of=${run.status} waiting=${run.waitingForApproval} /></a>`}</td>
    <td class="whole">
      <div class="named"><a href=${href(["dags", fileName])}>${dag.name}</a>
        ${errors.length > 0 && html`<span class="bad" title=${errors.join("\n")}>has problems</span>`}
        ${source?.problems && html`<span class="bad" title=${source.problems[0].message}>file has problems</span>`}
        ${source?.removedAt && html`<span class="wait" title=${`${source.path} of ${source.name}`}>file removed</span>`}
        <${About} file=${file} /></div></td>
    <td>${run.dagRunId ? html`<${Time} at=${run.startedAt || run.queuedAt} />`
      : html`<span class="faint">never ran</span>`}</td>
    <td><${Recent} runs=${file.recentRuns ?? []} /></td>
    <td data-label="duration" class="number">${run.dagRunId ? latestDuration(run, file.recentRuns?.[0]) : ""}</td>
    <td data-label="next">
      ${suspended ? html`<span class="wait">suspended</span>` : next ? html`<${NextTime} at=${next.at}
        zone=${next.zone} />`
        : ""}</td>
    <td class="tags"><${Tags} tags=${dag.tags ?? []} /></td>
    <td class="actions">
      ${file.mayStart && !errors.length && html`<button type="button" class="quiet on-hover"
        title="Start…" aria-label=${`Start ${dag.name}`}
        onClick=${() => go(["dags", fileName], { search: { start: 1 } })}><${Icon} name="runs" /></button>`}
      <${Menu} label=${`Actions of ${dag.name}`} items=${itemsOf(file, reload)} /></td>
  </tr>`;
}

/**
 * Why the latest run failed, else what the DAG does.
 * @param {{ file: Api.DAGFile }} props
 */
function About({ file: { dag, latestDAGRun: run } }) {
  if (run.status === RUN.FAILED && run.cause) return html`<${Truncated} class="bad what" text=${run.cause} />`;
  return dag.description && html`<${Truncated} class="faint what" text=${dag.description} />`;
}

/**
 * @param {Api.DAGFile} file
 * @param {Reload} reload
 * @returns {import("../parts/menu.js").MaybeItem[]}
 */
function itemsOf({ fileName, dag, suspended, errors, mayStart, mayEdit }, reload) {
  const toggle = () => attempt(() => post(["dags", fileName, "suspend"], { suspend: !suspended }).then(reload));
  return [
    mayStart && {
      title: "Start…",
      href: href(["dags", fileName], { start: 1 }),
      disabled: errors.length > 0 && "The definition has problems",
    },
    mayStart && (dag.schedule || suspended) && {
      title: suspended ? "Resume schedule" : "Suspend schedule",
      onChoose: toggle,
    },
    { title: "Runs", href: href("/dag-runs", { name: dag.name }) },
    { title: mayEdit ? "Edit definition" : "Definition", href: href(["dags", fileName, "spec"]) },
  ];
}

/**
 * The duration of the latest run; `recentRuns` has it in milliseconds.
 * @param {RunSummary} run
 * @param {Timed & { dagRunId: string }} [newest]
 */
function latestDuration(run, newest) {
  return durationText(newest?.dagRunId === run.dagRunId ? newest : run);
}

/** @param {{ tags: string[] }} props */
function Tags({ tags }) {
  const more = tags.slice(TAGS);
  return html`${tags.slice(0, TAGS).map((tag) => html`<a class="tag" key=${tag} 
    href=${href("/dags", { ...Object.fromEntries(query.value), tag, page: null })}>${tag}</a> `)}
    ${more.length > 0 && html`<span class="faint small" title=${more.join(", ")}>${more.length} more</span>`}`;
}

/**
 * The latest runs as small bars, the newest on the right.
 * @param {{ runs: Api.RecentRun[] }} props
 */
function Recent({ runs }) {
  const longest = Math.max(0.001, ...runs.map((run) => secondsOf(run) ?? 0));
  return html`<span class="recent">${[...runs].reverse().map((run) => {
    const begun = run.startedAtMillis === undefined ? null : new Date(run.startedAtMillis);
    const { word, tone } = lookOfRow(run);
    const title = `${word}, ${duration(secondsOf(run))}${begun ? `, ${exact(begun)}` : ""}`;
    return html`<a key=${run.dagRunId} class=${`recent-run ${tone}`}
      href=${href(pageOf({ name: run.name, runId: run.dagRunId }))} data-tip=${title} aria-label=${title}>
      <span style=${{ height: `${Math.max(20, ((secondsOf(run) ?? 0) / longest) * 100)}%` }}></span></a>`;
  })}</span>`;
}
