// Search in names and lines of definitions, and, from the newest run backwards, in errors and output of runs.

import { html, useEffect, useRef, useState } from "../vendor/core.js";
import { asError, get, isAbort } from "../lib/api.js";
import { readTime, writePart } from "../lib/filter-text.js";
import { clock, plural } from "../lib/format.js";
import { useApi, useReady } from "../lib/use-api.js";
import { href, query, setQuery } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { useTitle } from "../lib/title.js";
import { Empty, Failure, Loading, Select, Table, whenLoaded } from "../parts/basic.js";

const LEAST = 2; // characters of a search in errors and output
const ROUNDS = 5; // requests until the user is asked whether to go on
const ENOUGH = 50; // results, too
/** @type {[value: string, word: string][]} */
const SPANS = [["1d", "last day"], ["7d", "last 7 days"], ["30d", "last 30 days"], ["365d", "last year"]];

export default function Search() {
  const text = query.value.get("q") ?? "";
  const since = query.value.get("since") ?? "7d";
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
      <label class="grow">Text<input ref=${box} type="search" name="q" value=${typed} maxlength="200"
          onInput=${(/** @type {InputChange} */ event) => setTyped(event.target.value)} /></label>
      <label>Runs of the<${Select} value=${since} options=${SPANS}
        onSet=${(/** @type {string} */ value) => setQuery({ since: value })} /></label>
      <button type="submit" class="primary">Search</button></form>
    ${text ? html`<${Found} text=${text}><${Runs} key=${`${since} ${text}`} text=${text} since=${since} /><//>`
      : html`<${Empty} title="Search DAGs, definitions, errors and output">
        <p>Names of DAGs, lines of definitions (also by regular expression), errors of runs, and lines of output.</p>
        <//>`}`;
}

/** `children` come below, once it is known where that is. @param {{ text: string, children?: Children }} props */
function Found({ text, children }) {
  const names = useApi("dags", { name: text, perPage: 20 });
  const definitions = useApi("dags/search", { q: text });
  if (!useReady(names, definitions)) return html`<${Loading} what="results" />`;
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
    </section>${children}`;
}

/** @typedef {Partial<Api.LineMatch> & Pick<Api.ErrorMatch, "name" | "dagRunId"> & { text: string }} Hit */
/** @typedef {{ hits: Hit[], runs: number, from: string, cursor: string | null }} Searched */

/**
 * Errors and lines of output, which are searched from the newest run backwards, so that more come at the end.
 * @param {{ text: string, since: string }} props
 */
function Runs({ text, since }) {
  const [searched, setSearched] = useState(/** @type {Searched} */ ({ hits: [], runs: 0, from: "", cursor: null }));
  const [busy, setBusy] = useState(true);
  const [failure, setFailure] = useState(/** @type {Failed | null} */ (null));
  const control = useRef(new AbortController());
  const search = async (/** @type {Searched} */ before) => {
    let [state, rounds] = [before, 0];
    setBusy(true);
    setFailure(null);
    try {
      do {
        const asked = state.cursor ? { cursor: state.cursor } : { after: readTime(since, new Date()) };
        const answer = await get("search/texts", { q: text, ...asked }, { signal: control.current.signal });
        state = extended(state, answer);
        setSearched(state);
        rounds += 1;
      } while (state.cursor && rounds < ROUNDS && state.hits.length - before.hits.length < ENOUGH);
    } catch (error) {
      if (isAbort(error)) return;
      setFailure(asError(error));
    }
    setBusy(false);
  };
  useEffect(() => {
    if (text.length >= LEAST) search(searched);
    return () => control.current.abort();
  }, []);
  const { hits, runs, from, cursor } = searched;
  if (text.length < LEAST) return null;
  const back = from && ` back to ${clock(new Date(from))}`;
  const further = () => search(searched);
  return html`<section aria-label="Errors and output"><h2>Errors and output</h2>
    <div class="row bulk">
      <span class="faint" role="status">
        ${busy ? "Searching, so far" : "Searched"} ${plural(runs, "run")}${back}: ${plural(hits.length, "result")}
      </span>
      ${cursor && html`<button type="button" disabled=${busy} onClick=${further}>Search further</button>`}
      <span class="grow"></span>
      <a href=${href("/dag-runs", { q: writePart("error", text) })}>All runs with this error</a></div>
    ${failure && html`<${Failure} error=${failure} retry=${further} />`}
    ${hits.length > 0 && html`<${Table} class="list" heads=${["DAG and step", "Where", "Text"]}>
      ${hits.map((hit, index) => html`<${HitRow} key=${index} hit=${hit} text=${text} />`)}<//>`}
    </section>`;
}

/** @param {Searched} before @param {Api.TextMatches} answer @returns {Searched} */
function extended(before, { errors, lines, searchedFrom, runsSearched, nextCursor }) {
  const found = [...errors.map((one) => ({ ...one, text: one.error })), ...lines];
  const runs = before.runs + runsSearched;
  return { hits: [...before.hits, ...found], runs, from: searchedFrom, cursor: nextCursor ?? null };
}

/** @param {{ hit: Hit, text: string }} props */
function HitRow({ hit: { name, dagRunId, subDAGRunId, stepName, stream, line, text: found }, text }) {
  const page = href(pageOf({ name, runId: dagRunId, subRunId: subDAGRunId }), { step: stepName, stream });
  return html`<tr>
    <td class="whole"><a class="wide-text" href=${page + (line ? `#L${line}` : "")}>
      ${name}${stepName && ` › ${stepName}`}</a></td>
    <td class="faint nowrap">${stream ? `${stream} ${line}` : "error"}</td>
    <td class="about"><div class="cut" title=${found}><${Marked} text=${found} of=${text} /></div></td></tr>`;
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

/** Merge matches whose context lines overlap. @param {Api.SearchDAGsMatchItem[]} matches */
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
