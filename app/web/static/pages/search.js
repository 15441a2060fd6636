// One box for all: definitions line by line, and runs by the text of their errors.

import { html, useEffect, useRef, useState } from "../vendor/core.js";
import { plural } from "../lib/format.js";
import { useLoad } from "../lib/load.js";
import { href, query, setQuery } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { useTitle } from "../lib/title.js";
import { Empty, Loaded, Status, Time } from "../parts/basic.js";

export default function Search() {
  const text = query.value.get("q") ?? "";
  const box = useRef();
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  useEffect(() => {
    if (!text) box.current.focus();
  }, []);
  useTitle("Search", text);
  const submit = (event) => {
    event.preventDefault();
    setQuery({ q: typed.trim() }, { replace: false });
  };
  return html`<h1>Search</h1>
    <form class="filters" role="search" onSubmit=${submit}>
      <label class="grow">Text<input ref=${box} type="search" name="q" value=${typed} onInput=${(event) => setTyped(event.target.value)} /></label>
      <button type="submit" class="primary">Search</button>
    </form>
    ${text ? html`<${Found} text=${text} />` : html`<${Empty} title="What are you looking for?"><p>A name of a DAG, anything in a definition (a regular expression), or the text of an error.</p><//>`}`;
}

function Found({ text }) {
  const names = useLoad("dags", { name: text, perPage: 20 });
  const definitions = useLoad("dags/search", { q: text });
  const errors = useLoad("dag-runs", { error: text, limit: 20 });
  return html`
    <section aria-label="DAGs"><h2>DAGs ${names.data && html`<span class="faint">${names.data.pagination?.totalRecords ?? names.data.dags.length}</span>`}</h2>
      <${Loaded} from=${names} what="DAGs">${({ dags }) => (dags.length ? html`<ul class="plain">${dags.map(({ fileName, dag }) => html`<li key=${fileName}><a class="wide-text" href=${href(["dags", fileName])}><${Marked} text=${dag.name} of=${text} /></a> <span class="faint">${dag.description}</span></li>`)}</ul>` : html`<p class="faint">No DAG has that in its name.</p>`)}<//>
    </section>
    <section aria-label="Definitions"><h2>Definitions ${definitions.data && html`<span class="faint">${plural(definitions.data.results.length, "DAG")}</span>`}</h2>
      <${Loaded} from=${definitions} what="definitions">${({ results, errors: problems }) => html`
        ${problems.map((problem) => html`<p class="bad" key=${problem}>${problem}</p>`)}
        ${results.length ? results.map((result) => html`<${Definition} key=${result.name} result=${result} text=${text} />`) : html`<p class="faint">No definition has a line like that.</p>`}`}<//>
    </section>
    <section aria-label="Runs by error"><h2>Runs that failed with it</h2>
      <${Loaded} from=${errors} what="runs">${({ dagRuns }) => (dagRuns.length
        ? html`<table class="stack"><tbody>${dagRuns.map((run) => html`<tr key=${run.dagRunId}><td><a href=${href(pageOf({ name: run.name, runId: run.dagRunId }))}>${run.name}</a></td><td><${Status} of=${run.status} /></td><td><${Time} at=${run.startedAt} /></td></tr>`)}</tbody></table>
            <p><a href=${href("/dag-runs", { error: text })}>All runs with this error</a></p>`
        : html`<p class="faint">No run failed with that text.</p>`)}<//>
    </section>`;
}

function Definition({ result, text }) {
  return html`<article class="card found"><h3><a class="wide-text" href=${href(["dags", result.name, "spec"])}>${result.dag.name}</a></h3>
    ${result.matches.map((match) => html`<pre key=${match.lineNumber} tabindex="0">${match.line.split("\n").map((line, index) => html`<span class="faint number">${match.startLine + index}  </span><${Marked} text=${line} of=${text} />${"\n"}`)}</pre>`)}
  </article>`;
}

function Marked({ text, of }) {
  const at = text.toLowerCase().indexOf(of.toLowerCase());
  if (at < 0) return text;
  return html`${text.slice(0, at)}<mark>${text.slice(at, at + of.length)}</mark>${text.slice(at + of.length)}`;
}
