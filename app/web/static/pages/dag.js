// One DAG: how it fares, what it does, when it starts, and every text it has had.

import { html, useEffect, useMemo, useState } from "../vendor/core.js";
import { ask, post } from "../lib/api.js";
import { useDraft } from "../lib/drafts.js";
import { duration, plural } from "../lib/format.js";
import { stepsOf } from "../lib/graph.js";
import { useLoad } from "../lib/load.js";
import { go, guard, href, query, setQuery } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { may } from "../lib/session.js";
import { runStatus } from "../lib/status.js";
import { useStateIcon, useTitle } from "../lib/title.js";
import { Act, Confirm, Dialog, Empty, Failure, Loaded, Loading, NotThere, Status, Tabs, Time } from "../parts/basic.js";
import { Diff } from "../parts/diff.js";
import { DraftOffer, NextOfText } from "../parts/draft.js";
import { Editor, placesOf } from "../parts/editor.js";
import { FormDialog } from "../parts/form.js";
import { DagGraph } from "../parts/graph.js";
import { attempt, notify } from "../parts/notice.js";
import { RunGrid } from "../parts/rungrid.js";
import { StartDialog } from "../parts/startdialog.js";

const TABS = [
  { id: "overview", title: "Overview" },
  { id: "graph", title: "Graph" },
  { id: "spec", title: "Definition" },
  { id: "revisions", title: "Revisions" },
  { id: "schedule", title: "Schedule" },
];
const CHECK_AFTER = 400; // milliseconds without a key

export default function DagPage({ params }) {
  const name = params.name;
  const tab = params.tab ?? "overview";
  const path = ["dags", name];
  const concerns = (change) => (change.kind === "dag" && (change.fileName === name || change.name === name)) || (change.kind === "run" && change.name === name && !change.root);
  const loaded = useLoad(path, {}, concerns);
  const known = TABS.find(({ id }) => id === tab);
  const latest = loaded.data?.latestDAGRun;
  useStateIcon(latest?.dagRunId && runStatus(latest.status).tone);
  const missing = (error) => html`<${NotThere} title="There is no such DAG" error=${error}><a href=${href("/dags")}>All DAGs</a> · <a href=${href("/dag-runs", { name })}>Runs of ${name}</a><//>`;
  useTitle(name, loaded.error?.status === 404 && "not found", tab === "overview" ? latest?.dagRunId && runStatus(latest.status).word : known?.title);
  return html`<${Loaded} from=${loaded} what="DAG" missing=${missing}>${(details) => html`
    <${Header} name=${name} details=${details} reload=${loaded.reload} />
    ${details.errors.map((error) => html`<p class="bad wide-text" key=${error}>${error}</p>`)}
    <${Tabs} label="Views of the DAG" tabs=${TABS} chosen=${tab} onChoose=${(id) => go(href(id === "overview" ? path : [...path, id]))} />
    ${tab === "overview" && html`<${Overview} name=${name} details=${details} concerns=${concerns} />`}
    ${tab === "graph" && html`<${Whole} details=${details} />`}
    ${tab === "spec" && html`<${Spec} name=${name} />`}
    ${tab === "revisions" && html`<${Revisions} name=${name} concerns=${concerns} />`}
    ${tab === "schedule" && html`<${Schedule} name=${name} details=${details} />`}
    ${!known && html`<${Empty} title="There is no such view"><p><a href=${href(path)}>Overview of ${name}</a></p><//>`}`}<//>`;
}

function Header({ name, details, reload }) {
  const [asked, setAsked] = useState(query.peek().get("start") ? "start" : null);
  const close = () => setAsked(null);
  useEffect(() => {
    if (query.peek().has("start")) setQuery({ start: null }); // once: not again on a reload, or on the way back
  }, []);
  const { dag, suspended } = details;
  const path = ["dags", name];
  const toggle = () => attempt(() => post([...path, "suspend"], { suspend: !suspended }).then(reload), suspended ? `${name} starts by its schedule again.` : `${name} is suspended: its schedule starts nothing.`);
  return html`<header>
    <div class="row"><h1 class="wide-text">${dag?.name ?? name}</h1>
      ${(dag?.tags ?? []).map((tag) => html`<a class="tag" key=${tag} href=${href("/dags", { tag })}>${tag}</a>`)}
      ${suspended && html`<span class="wait">suspended</span>`}
      <span class="grow"></span>
      ${dag && html`<${Act} right="run" class="primary" onClick=${() => setAsked("start")}>Start<//>`}
      <${Act} right="run" onClick=${toggle}>${suspended ? "Resume schedule" : "Suspend schedule"}<//>
      <${Act} right="run" onClick=${() => setAsked("stop")}>Stop all<//>
      <${Act} right="write" onClick=${() => setAsked("rename")}>Rename<//>
      <${Act} right="write" class="danger" onClick=${() => setAsked("delete")}>Delete<//>
    </div>
    ${dag?.description && html`<p>${dag.description}</p>`}
    ${asked === "start" && html`<${StartDialog} fileName=${name} dag=${dag} latest=${details.latestDAGRun} onClose=${close} />`}
    ${asked === "stop" && html`<${Confirm} title=${`Stop all runs of ${name}?`} action="Stop all" onClose=${close} onConfirm=${async () => {
      const { errors } = await post([...path, "stop-all"]);
      for (const error of errors ?? []) notify(error, "bad");
      await reload();
    }}><p>Every run of this DAG that is under way is asked to end.</p><//>`}
    ${asked === "rename" && html`<${FormDialog} title=${`Rename ${name}`} action="Rename" onClose=${close} onSave=${async (body) => {
      await post([...path, "rename"], body);
      go(href(["dags", body.newFileName]), { replace: true });
    }}><p>Its history and its runs stay with it.</p><label>New name<input name="newFileName" value=${name} required maxlength="40" pattern="[A-Za-z0-9_.\\-]+" /></label><//>`}
    ${asked === "delete" && html`<${Confirm} title=${`Delete ${name}?`} action="Delete the DAG" typed=${name} onClose=${close} onConfirm=${async () => {
      await ask(path, { method: "DELETE" });
      go("/dags");
    }}><p>Its definition and all revisions of it are removed for ever. Its runs stay.</p><//>`}
  </header>`;
}

function Overview({ name, details, concerns }) {
  const history = useLoad(["dags", name, "dag-runs"], {}, concerns);
  const statistics = useLoad(["dags", name, "statistics"], {}, concerns);
  const { latestDAGRun: latest, dag } = details;
  const begun = latest?.dagRunId;
  return html`
    <div class="cards">
      <section class="card" aria-label="Latest run"><h2>Latest run</h2>
        ${begun ? html`<p><a href=${href(pageOf({ name: latest.name, runId: latest.dagRunId }))}><${Status} of=${latest.status} /></a> <span class="faint"><${Time} at=${latest.startedAt || latest.queuedAt} /></span></p>` : html`<p class="faint">It has never run.</p>`}
        <p><a href=${href("/dag-runs", { name: dag?.name ?? name })}>All its runs</a></p></section>
      <section class="card" aria-label="How it usually goes"><h2>How it usually goes</h2>
        <${Loaded} from=${statistics} what="statistics">${(numbers) => html`<${Numbers} numbers=${numbers} />`}<//></section>
      <section class="card" aria-label="Next start"><h2>Next start</h2><${NextStarts} name=${name} dag=${dag} suspended=${details.suspended} count=${1} /></section>
    </div>
    <h2>Steps in the latest runs</h2>
    <${Loaded} from=${history} what="history">${({ dagRuns }) => (dagRuns.length ? html`<div class="card grid-card"><${RunGrid} runs=${dagRuns} /></div>` : html`<${Empty} title="No runs yet"><p>Start it, and each run becomes a column here.</p><//>`)}<//>`;
}

function Numbers({ numbers }) {
  const { runs, succeeded, failed, p50Seconds: p50, p95Seconds: p95 } = numbers;
  if (!runs) return html`<p class="faint">No run has ended yet.</p>`;
  const known = p50 !== undefined && p50 !== null;
  return html`<dl class="facts">${known && html`<dt>Half take up to</dt><dd class="number">${duration(p50)}</dd><dt>95 % take up to</dt><dd class="number">${duration(p95)}</dd>`}
    <dt>Of the last ${runs}</dt><dd>${succeeded ?? 0} succeeded, ${failed ?? 0} failed</dd></dl>
    ${!known && html`<p class="faint">What is usual shows once a run has succeeded.</p>`}`;
}

function NextStarts({ name, dag, suspended, count }) {
  const next = useLoad(dag?.schedule?.length ? ["dags", name, "schedule", "next"] : null, { count });
  if (!dag?.schedule?.length) return html`<p class="faint">It has no schedule: it starts by hand or by a call.</p>`;
  return html`${suspended && html`<p class="wait">Suspended: the schedule starts nothing.</p>`}
    <${Loaded} from=${next} what="next starts">${(answer) => html`<ul class="plain">${timesOf(answer).map((at) => html`<li key=${at}><${Time} at=${at} /> <span class="faint"><${Time} at=${at} words=${false} /></span></li>`)}</ul>`}<//>`;
}

const timesOf = (answer) => (answer.times ?? answer.next ?? answer.starts ?? []).map((one) => (typeof one === "string" ? one : one.at));

function Whole({ details }) {
  const steps = stepsOf((details.dag?.steps ?? []).map((step) => ({ step })));
  const [chosen, setChosen] = useState(null);
  const step = details.dag?.steps?.find(({ name }) => name === chosen);
  if (!steps.length) return html`<${Empty} title="No steps"><p>The definition has none, or cannot be read.</p><//>`;
  return html`<${DagGraph} steps=${steps} chosen=${chosen} onChoose=${setChosen} />
    ${step && html`<${Dialog} title=${step.name} onClose=${() => setChosen(null)}><div class="body">${step.description && html`<p>${step.description}</p>`}
      <pre class="events" tabindex="0">${[step.cmdWithArgs, step.script].filter(Boolean).join("\n") || step.run || "calls another DAG"}</pre></div><//>`}`;
}

function Spec({ name }) {
  const [state, setState] = useState({ text: null, etag: null, failure: null });
  const load = async () => {
    try {
      const { answer, etag } = await ask(["dags", name, "spec"], { whole: true });
      setState({ text: answer.spec, etag, failure: null });
    } catch (failure) {
      setState({ text: null, etag: null, failure });
    }
  };
  useEffect(() => {
    load();
  }, [name]);
  if (state.failure) return html`<${Failure} error=${state.failure} retry=${load} />`;
  if (state.text === null) return html`<${Loading} what="definition" />`;
  return html`<${Workbench} key=${state.etag} name=${name} stored=${state.text} etag=${state.etag} onSaved=${load} />`;
}

function Workbench({ name, stored, etag, onSaved }) {
  const [text, setText] = useState(stored);
  const [checked, setChecked] = useState({ errors: [], dag: null });
  const [saving, setSaving] = useState(false);
  const [place, setPlace] = useState(() => (Number(query.peek().get("line")) > 0 ? { line: Number(query.peek().get("line")) } : null));
  const changed = text !== stored;
  const draft = useDraft(name, { text, stored, etag });
  const [begun, setBegun] = useState({ text: stored, count: 0 }); // what the editor began with
  const restart = (from) => {
    setText(from);
    setBegun({ text: from, count: begun.count + 1 });
  };
  useEffect(() => {
    const timer = setTimeout(async () => {
      try {
        setChecked(await post("dags/validate", { spec: text, name }));
      } catch (error) {
        setChecked({ errors: [error.message], dag: null });
      }
    }, CHECK_AFTER);
    return () => clearTimeout(timer);
  }, [text]);
  useEffect(() => guard(() => changed), [changed]);
  const problems = useMemo(() => placesOf(checked.errors ?? []), [checked]);
  const steps = stepsOf((checked.dag?.steps ?? []).map((step) => ({ step })));
  return html`<div class="workbench">
    <section aria-label="Text of the definition">
      <div class="row"><span class="faint">${changed ? "Not saved" : "Saved"}</span><span class="grow"></span>
        <button type="button" disabled=${!changed} onClick=${() => restart(stored)}>Discard</button>
        <${Act} right="write" class="primary" disabled=${!changed || problems.length > 0} title=${problems.length ? "The text has problems" : ""} onClick=${() => setSaving(true)}>Save<//></div>
      ${draft.offered && may("write") && html`<${DraftOffer} draft=${draft.offered} etag=${etag} onTake=${() => restart(draft.take().text)} onDrop=${draft.drop} />`}
      <${Editor} key=${begun.count} value=${begun.text} onChange=${setText} problems=${problems} place=${place} readOnly=${!may("write")} label=${`Definition of ${name}`} />
    </section>
    <section aria-label="What the text says">
      <h2>${problems.length ? plural(problems.length, "problem") : "No problems"}</h2>
      <ul class="plain problems">${problems.map((problem, index) => html`<li key=${index}><button type="button" class="quiet wide-text" title="Go to this line" onClick=${() => setPlace({ line: problem.line, column: problem.column })}><span><span class="number">line ${problem.line}</span>: ${problem.message}</span></button></li>`)}</ul>
      <${NextOfText} starts=${checked.nextStarts} />
      ${steps.length > 0 && html`<${DagGraph} steps=${steps} />`}
    </section>
    ${saving && html`<${Save} name=${name} text=${text} etag=${etag} onClose=${() => setSaving(false)} onSaved=${onSaved} />`}
  </div>`;
}

function Save({ name, text, etag, onClose, onSaved }) {
  const [newer, setNewer] = useState(false);
  const save = async ({ note }) => {
    try {
      const saved = await ask(["dags", name, "spec"], { method: "PUT", body: { spec: text, ...(note && { note }) }, etag: newer ? null : etag });
      if (saved?.errors.length) throw new Error(saved.errors.join("\n"));
    } catch (error) {
      if (error.status !== 412) throw error;
      setNewer(true);
      return false;
    }
    notify(`${name} is saved.`);
    onSaved();
    return true;
  };
  return html`<${FormDialog} title=${`Save ${name}`} action=${newer ? "Save over the newer revision" : "Save"} onSave=${save} onClose=${onClose}>
    ${newer && html`<p class="bad" role="alert">Somebody saved another revision since you opened this one. <a href=${href(["dags", name, "revisions"])} target="_blank">Look at it</a> before you save over it.</p>`}
    <label>Note<input name="note" maxlength="1000" placeholder="what changed, and why" /></label>
  <//>`;
}

function Revisions({ name, concerns }) {
  const page = Number(query.value.get("page") ?? 1);
  const loaded = useLoad(["dags", name, "revisions"], { page, perPage: 50 }, concerns);
  const [asked, setAsked] = useState(null);
  const chosen = query.value.get("number");
  const close = () => setAsked(null);
  return html`<${Loaded} from=${loaded} what="revisions">${({ revisions, pagination }) => html`
    <div class="scroll"><table class="stack"><thead><tr><th class="number">No.</th><th>Saved</th><th>By</th><th>Note</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
      <tbody>${revisions.map((revision, index) => html`<tr key=${revision.number} aria-current=${String(revision.number) === chosen ? "true" : null}>
        <td class="number">${index === 0 && page === 1 ? html`<span class="tag">now</span> ` : ""}${revision.number}</td>
        <td><${Time} at=${revision.savedAt} /></td><td>${revision.author ?? html`<span class="faint">nobody known</span>`}</td><td class="wide-text">${revision.redactedAt ? "redacted" : revision.note}</td>
        <td class="actions">
          <button type="button" aria-label=${`Show revision ${revision.number}`} onClick=${() => setAsked({ kind: "show", revision })}>Show</button>
          ${revision.number > 1 && html`<button type="button" aria-label=${`Changes of revision ${revision.number}`} onClick=${() => setAsked({ kind: "diff", from: revision.number - 1, to: revision.number })}>Changes</button>`}
          ${!(index === 0 && page === 1) && html`<button type="button" aria-label=${`Compare revision ${revision.number} with now`} onClick=${() => setAsked({ kind: "diff", from: revision.number, to: revisions[0].number })}>Compare with now</button>
          <${Act} right="write" aria-label=${`Restore revision ${revision.number}`} onClick=${() => setAsked({ kind: "restore", revision })}>Restore<//>`}
        </td></tr>`)}</tbody></table></div>
    ${pagination?.totalPages > 1 && html`<p class="row"><button type="button" disabled=${page <= 1} onClick=${() => setQuery({ page: page - 1 })}>Newer</button><span>Page ${page} of ${pagination.totalPages}</span><button type="button" disabled=${page >= pagination.totalPages} onClick=${() => setQuery({ page: page + 1 })}>Older</button></p>`}
    ${asked?.kind === "show" && html`<${RevisionText} name=${name} number=${asked.revision.number} onClose=${close} />`}
    ${asked?.kind === "diff" && html`<${RevisionDiff} name=${name} from=${asked.from} to=${asked.to} onClose=${close} />`}
    ${asked?.kind === "restore" && html`<${Confirm} title=${`Restore revision ${asked.revision.number}?`} action="Restore" danger=${false} onClose=${close} onConfirm=${async () => {
      const { errors } = await post(["dags", name, "revisions", String(asked.revision.number), "restore"], { note: `restores revision ${asked.revision.number}` });
      if (errors?.length) throw new Error(errors.join("\n"));
      await loaded.reload();
    }}><p>Its text is saved as the newest revision. Nothing is lost.</p><//>`}`}<//>`;
}

function RevisionText({ name, number, onClose }) {
  const loaded = useLoad(["dags", name, "revisions", String(number)]);
  return html`<${Dialog} title=${`Revision ${number} of ${name}`} wide onClose=${onClose}><div class="body"><${Loaded} from=${loaded} what="text">${({ spec }) => html`<pre class="events" tabindex="0">${spec ?? "This text was redacted."}</pre>`}<//></div><//>`;
}

function RevisionDiff({ name, from, to, onClose }) {
  const loaded = useLoad(["dags", name, "revisions", "diff"], { from, to });
  return html`<${Dialog} title=${`Revision ${from} → ${to} of ${name}`} wide onClose=${onClose}><div class="body"><${Loaded} from=${loaded} what="changes">${({ diff }) => html`<${Diff} text=${diff} />`}<//></div><//>`;
}

function Schedule({ name, details }) {
  const { dag, suspended } = details;
  const settings = useLoad(["dags", name, "settings"]);
  const past = useLoad("schedules/slots", { dag: name, perPage: 20 });
  const save = async (event) => {
    event.preventDefault();
    const { catchup, hours } = Object.fromEntries(new FormData(event.target));
    await attempt(() => ask(["dags", name, "settings"], { method: "PUT", body: { catchup, ...(hours && { catchupWindowSec: Math.round(Number(hours) * 3600) }) } }).then(settings.reload), "Saved.");
  };
  return html`
    <h2>Expressions</h2>
    ${dag?.schedule?.length ? html`<ul class="plain">${dag.schedule.map(({ expression }) => html`<li key=${expression}><code>${expression}</code></li>`)}</ul>` : html`<p class="faint">None in the <a href=${href(["dags", name, "spec"])}>definition</a>.</p>`}
    <h2>Next starts</h2><${NextStarts} name=${name} dag=${dag} suspended=${suspended} count=${10} />
    <h2>Starts that were missed while no server ran</h2>
    <${Loaded} from=${settings} what="settings">${(set) => html`<form class="filters" key=${JSON.stringify(set)} onSubmit=${save}>
      <label>Made up<select name="catchup" value=${set.catchup}><option value="none">none</option><option value="latest">the latest</option><option value="all">all</option></select></label>
      <label>If not older than (hours)<input name="hours" inputmode="decimal" size="6" value=${set.catchupWindowSec / 3600} /></label>
      <${Act} right="write" type="submit">Save<//></form>`}<//>
    <h2>What became of it</h2>
    <${Loaded} from=${past} what="slots">${({ slots }) => (slots.length
      ? html`<table class="stack"><tbody>${slots.map((slot, index) => html`<tr key=${index}><td><${Time} at=${slot.scheduledAt} /></td><td>${slot.kind}</td><td>${slot.outcome}</td><td class="faint wide-text">${slot.reason}</td></tr>`)}</tbody></table>`
      : html`<p class="faint">No schedule of it was due yet.</p>`)}<//>`;
}

