// List of DAGs: recent runs, next start, and suspension.

import { html, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { textIn, withPart } from "../lib/filter-text.js";
import { duration, durationText, exact, plural, secondsOf } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { go, href, query, setQuery } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { hasGrants, may } from "../lib/session.js";
import { RUN, STATUS_FILTER, lookOfRow } from "../lib/status.js";
import { useTitle } from "../lib/title.js";
import { Empty, Icon, Pages, Select, StatusIcon, Table, Time, Truncated, whenLoaded } from "../parts/basic.js";
import { NextTime } from "../parts/clock.js";
import { FilterBox, NoMatch, useFilter } from "../parts/filterbox.js";
import { Menu } from "../parts/menu.js";
import { NewDag } from "../parts/newdag.js";
import { attempt } from "../parts/notice.js";
import "../parts/tooltip.js";

const PAGE = 100;
const SORTS = [["name", "by name"], ["nextRun", "by next start"]];
const TAGS = 3; // shown of a DAG, the others on hover
/** @type {import("../../types/ui").FilterKeys} */
const KEYS = {
  "": { param: "name", hint: "part of a name" },
  status: { ...STATUS_FILTER, pick: "Latest run", any: "any latest run" },
  tag: { param: "tag", hint: "nightly" },
};

export default function Dags() {
  const filter = useFilter(KEYS);
  const page = Number(query.value.get("page") ?? 1);
  const sort = query.value.get("sort") ?? "name";
  const [asked, setAsked] = useState(false);
  useTitle("DAGs", filter.text);
  /** @type {Concerns} */
  const concerns = (change) => change.kind === "dag" || (change.kind === "run" && !change.root);
  const list = useApi("dags", { ...filter.params, page, perPage: PAGE, sort, recent: 10 }, concerns);
  const upcoming = useApi("schedules/upcoming", { limit: 1000, perDag: 1 }, (change) => change.kind === "dag");
  const next = new Map();
  for (const one of upcoming.data?.upcoming ?? [])
    if (one.kind === "start" && !next.has(one.fileName)) next.set(one.fileName, one);
  const isReady = upcoming.data || upcoming.error; // its texts make a column wide
  return html`<div class="row"><h1>DAGs</h1><span class="grow"></span>
    ${may("create") && html`<button type="button" class="primary" onClick=${() => setAsked(true)}>New DAG</button>`}
    </div>
    <${FilterBox} label="Filter DAGs" filter=${filter}>
      <${Select} aria-label="Sort by" value=${sort} options=${SORTS}
        onSet=${(/** @type {string} */ by) => setQuery({ sort: by, page: null })} /><//>
    ${whenLoaded({ ...list, data: isReady ? list.data : null }, "DAGs", ({ dags, errors, pagination }) => html`
      ${pagination && html`<p class="faint" role="status">${plural(pagination.totalRecords, "DAG")}
        ${filter.text ? " found" : ""}</p>`}
      ${errors.map((error) => html`<p class="bad wide-text" key=${error}>${error}</p>`)}
      ${dags.length ? html`<${List} dags=${dags} next=${next} reload=${list.reload} />` : html`<${Nothing}
        filter=${filter} onNew=${() => setAsked(true)} />`}
      <${Pages} page=${page} pagination=${pagination} />`)}
    ${asked && html`<${NewDag} onClose=${() => setAsked(false)} />`}`;
}

/** @param {{ filter: import("../../types/ui").Filter, onNew: () => void }} props */
function Nothing({ filter, onNew }) {
  if (filter.text) return html`<${NoMatch} filter=${filter} what="DAG" />`;
  if (hasGrants.value) return html`<${Empty} title="You have access to no DAG">
    <p>Ask an admin to grant you DAGs, or to add you to a group.</p><//>`;
  if (!may("create")) return html`<${Empty} title="No DAGs yet"><p>Ask a manager to add one.</p><//>`;
  return html`<${Empty} title="No DAGs yet">
    <p><button type="button" class="primary" onClick=${onNew}>New DAG</button></p>
    <p>Or start with the examples on the <a href=${href("/")}>dashboard</a>.</p><//>`;
}

/** @param {{ dags: Api.DAGFile[], next: Map<string, Api.Upcoming>, reload: Reload }} props */
function List({ dags, next, reload }) {
  return html`<${Table} class="list dags" heads=${["-Latest run", "Name", "Started", "Last 10 runs", "#Duration",
    "Next start", "Tags", "-Actions"]}>
    ${dags.map((file) => html`<${Row} key=${file.fileName} file=${file} next=${next.get(file.fileName)}
      reload=${reload} />`)}<//>`;
}

/** @param {{ file: Api.DAGFile, next?: Api.Upcoming, reload: Reload }} props */
function Row({ file, next, reload }) {
  const { fileName, dag, latestDAGRun: run, suspended, errors, source } = file;
  const inMillis = file.recentRuns?.find(({ dagRunId }) => dagRunId === run.dagRunId);
  const start = file.mayStart && !errors.length && (() => go(["dags", fileName], { search: { start: 1 } }));
  return html`<tr onAgain=${start || null}>
    <td class="state">${run.dagRunId && html`<a href=${href(pageOf({ name: run.name, runId: run.dagRunId }))}>
      <${StatusIcon} of=${run.status} waiting=${run.waitingForApproval} /></a>`}</td>
    <td class="whole"><div class="named"><a href=${href(["dags", fileName])} data-open>${dag.name}</a>
        ${errors.length > 0 && html`<span class="bad" title=${errors.join("\n")}>has problems</span>`}
        ${source?.problems && html`<span class="bad" title=${source.problems[0].message}>file has problems</span>`}
        ${source?.removedAt && html`<span class="wait" title=${`${source.path} of ${source.name}`}>file removed</span>`}
        <${About} file=${file} /></div></td>
    <td>${run.dagRunId ? html`<${Time} at=${run.startedAt || run.queuedAt} />`
      : html`<span class="faint">never ran</span>`}</td>
    <td><${Recent} runs=${file.recentRuns ?? []} /></td>
    <td data-label="duration" class="number">${run.dagRunId ? durationText(inMillis ?? run) : ""}</td>
    <td data-label="next">
      ${suspended ? html`<span class="wait">suspended</span>` : next ? html`<${NextTime} at=${next.at}
        zone=${next.zone} />`
        : ""}</td>
    <td class="tags"><${Tags} tags=${dag.tags ?? []} /></td>
    <td class="actions">
      ${start && html`<button type="button" class="quiet on-hover" title="Start…" aria-label=${`Start ${dag.name}`}
        onClick=${start}><${Icon} name="runs" /></button>`}
      <${Menu} label=${`Actions of ${dag.name}`} items=${itemsOf(file, reload)} /></td></tr>`;
}

/** Why the latest run failed, else what the DAG does. @param {{ file: Api.DAGFile }} props */
function About({ file: { dag, latestDAGRun: run } }) {
  if (run.status === RUN.FAILED && run.cause) return html`<${Truncated} class="bad what" text=${run.cause} />`;
  return dag.description && html`<${Truncated} class="faint what" text=${dag.description} />`;
}

/** @param {Api.DAGFile} file @param {Reload} reload @returns {import("../../types/ui").MaybeItem[]} */
function itemsOf({ fileName, dag, suspended, errors, mayStart, mayEdit }, reload) {
  const toggle = () => attempt(() => post(["dags", fileName, "suspend"], { suspend: !suspended }).then(reload));
  return [
    mayStart && { title: "Start…", href: href(["dags", fileName], { start: 1 }),
      disabled: errors.length > 0 && "The definition has problems" },
    mayStart && (dag.schedule || suspended)
      && { title: suspended ? "Resume schedule" : "Suspend schedule", onChoose: toggle },
    { title: "Runs", href: href("/dag-runs", { q: dag.name }) },
    { title: mayEdit ? "Edit definition" : "Definition", href: href(["dags", fileName, "spec"]) },
  ];
}

/** @param {{ tags: string[] }} props */
function Tags({ tags }) {
  const more = tags.slice(TAGS);
  const { value } = query;
  const to = (/** @type {string} */ tag) =>
    href("/dags", { sort: value.get("sort"), q: withPart(textIn(value, KEYS), "tag", tag) });
  return html`${tags.slice(0, TAGS).map((tag) => html`<a class="tag" key=${tag} href=${to(tag)}>${tag}</a> `)}
    ${more.length > 0 && html`<span class="faint small" title=${more.join(", ")}>${more.length} more</span>`}`;
}

/** The latest runs as small bars, the newest on the right. @param {{ runs: Api.RecentRun[] }} props */
function Recent({ runs }) {
  const longest = Math.max(0.001, ...runs.map((run) => secondsOf(run) ?? 0));
  return html`<span class="recent">${[...runs].reverse().map((run) => {
    const { word, tone } = lookOfRow(run);
    const begun = run.startedAtMillis === undefined ? "" : exact(new Date(run.startedAtMillis));
    const title = [word, duration(secondsOf(run)), begun].filter(Boolean).join(", ");
    return html`<a key=${run.dagRunId} class=${`recent-run ${tone}`}
      href=${href(pageOf({ name: run.name, runId: run.dagRunId }))} data-tip=${title} aria-label=${title}>
      <span style=${{ height: `${Math.max(20, ((secondsOf(run) ?? 0) / longest) * 100)}%` }}></span></a>`;
  })}</span>`;
}
