// Search in the lines of definitions and in the errors of runs.

import { html, useEffect, useRef, useState } from "../vendor/core.js";
import { plural } from "../lib/format.js";
import { useApi, useReady } from "../lib/use-api.js";
import { href, query, setQuery } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { useTitle } from "../lib/title.js";
import { Empty, Failure, Loading, whenLoaded, Status, Time } from "../parts/basic.js";

export default function Search() {
  const text = query.value.get("q") ?? "";
  const box = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  useEffect(() => {
    if (!text) box.current?.focus();
  }, []);
  useTitle("Search", text);
  const submit = (/** @type {FormSubmit} */ event) => {
    event.preventDefault();
    setQuery({ q: typed.trim() }, { replace: false });
  };
  return html`<h1>Search</h1>
    <form class="filters" role="search" onSubmit=${submit}>
      <label class="grow">
        Text<input ref=${box} type="search" name="q" value=${typed}
          onInput=${(/** @type {InputChange} */ event) => setTyped(event.target.value)} /></label>
      <button type="submit" class="primary">Search</button>
    </form>
    ${text ? html`<${Found} text=${text} />` : html`<${Empty} title="Search DAGs, definitions and errors">
      <p>Names of DAGs, lines of definitions (also by regular expression), and errors of runs.</p><//>`}`;
}

/** @param {{ text: string }} props */
function Found({ text }) {
  const names = useApi("dags", { name: text, perPage: 20 });
  const definitions = useApi("dags/search", { q: text });
  const errors = useApi("dag-runs", { error: text, limit: 20, fromDate: 0 }); // without a date it is only today
  if (!useReady(names, definitions, errors)) return html`<${Loading} what="results" />`;
  const empty =
    names.data &&
    !names.data.dags.length &&
    definitions.data &&
    !definitions.data.results.length &&
    !definitions.data.errors.length &&
    errors.data &&
    !errors.data.dagRuns.length &&
    !errors.data.nextCursor;
  if (empty) {
    return html`<${Empty} title="No results">
      <p>No DAG name, definition or error matches. Try fewer words.</p>
      <p>To search the output of steps, open a <a href=${href("/dag-runs")}>run</a>.</p><//>`;
  }
  return html`
    <section aria-label="DAGs">
      <h2>DAGs ${names.data && html`<span class="faint">${names.data.pagination?.totalRecords ?? names.data.dags.length}
        </span>`}</h2>
      ${whenLoaded(names, "DAGs", ({ dags }) => (dags.length ? html`<ul class="plain">
          ${dags.map(({ fileName, dag }) => html`<li key=${fileName}>
            <a class="wide-text" href=${href(["dags", fileName])}><${Marked} text=${dag.name} of=${text} />
            </a> <span class="faint">${dag.description}</span></li>`)}</ul>`
            : html`<p class="faint">No DAG name matches.</p>`))}
    </section>
    <section aria-label="Definitions">
      <h2>Definitions ${definitions.data && html`<span class="faint">${plural(definitions.data.results.length, "DAG")}
        </span>`}</h2>
      ${whenLoaded(definitions, "definitions", ({ results, errors: problems }) => html`
        ${problems.map((problem) => html`<${Failure} key=${problem} error=${{ message: problem }} />`)}
        ${results.length ? results.map((result) => html`<${Definition} key=${result.name} result=${result}
          text=${text} />`) : html`<p class="faint">No definition matches.</p>`}`)}
    </section>
    <section aria-label="Runs by error"><h2>Runs with this error</h2>
      ${whenLoaded(errors, "runs", ({ dagRuns }) => (dagRuns.length
        ? html`<table class="stack">
          <tbody>
            ${dagRuns.map((run) => html`<tr key=${run.dagRunId}>
              <td><a href=${href(pageOf({ name: run.name, runId: run.dagRunId }))}>${run.name}</a></td>
              <td><${Status} of=${run.status} /></td><td><${Time} at=${run.startedAt} /></td></tr>`)}</tbody></table>
            <p><a href=${href("/dag-runs", { error: text })}>All runs with this error</a></p>`
        : html`<p class="faint">No error matches.</p>`))}
    </section>`;
}

/** @param {{ result: Api.SearchResultItem, text: string }} props */
function Definition({ result, text }) {
  return html`<article class="card found">
    <h3><a class="wide-text" href=${href(["dags", result.name, "spec"], { line: result.matches[0]?.lineNumber })}>
        ${result.dag.name}</a></h3>
    ${merged(result.matches).map((match) => html`<pre key=${match.lineNumber} tabindex="0">
      ${match.line.split("\n").map((line, index) => html`<a class="faint number"
        href=${href(["dags", result.name, "spec"], { line: match.startLine + index })}
        aria-label=${`Open line ${match.startLine + index} of ${result.dag.name}`}>
        ${match.startLine + index}</a>  <${Marked} text=${line} of=${text} />${"\n"}`)}</pre>`)}
  </article>`;
}

/**
 * Merge matches whose context lines overlap.
 * @param {Api.SearchDAGsMatchItem[]} matches
 */
function merged(matches) {
  /** @type {Api.SearchDAGsMatchItem[]} */
  const pieces = [];
  for (const match of [...matches].sort((one, other) => one.startLine - other.startLine)) {
    const last = pieces.at(-1);
    const lines = match.line.split("\n");
    const end = last ? last.startLine + last.line.split("\n").length : 0;
    if (last && match.startLine <= end) last.line = [last.line, ...lines.slice(end - match.startLine)].join("\n");
    else pieces.push({ ...match });
  }
  return pieces;
}

/** @param {{ text: string, of: string }} props */
function Marked({ text, of }) {
  const at = text.toLowerCase().indexOf(of.toLowerCase());
  if (at < 0) return text;
  return html`${text.slice(0, at)}<mark>${text.slice(at, at + of.length)}</mark>${text.slice(at + of.length)}`;
}
