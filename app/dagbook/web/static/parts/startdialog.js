// Dialog that starts or enqueues a DAG with parameters.

import { html, useRef, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { fieldsOf, isNumber, pairsOf, textOf, valuesOf } from "../lib/params.js";
import { useApi } from "../lib/use-api.js";
import { go } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { isActive } from "../lib/status.js";
import { Dialog, whenLoaded } from "./basic.js";
import { FormDialog } from "./form.js";

const FULL = "max_run_reached"; // code of an error: a limit of active runs

/** Start the DAG of a run as it is now, with parameters of the run. @param {{ run: Run, onClose: () => void }} props */
export function RunAgainDialog({ run, onClose }) {
  const loaded = useApi(["dags", run.name]);
  if (loaded.data?.dag) return html`<${StartDialog} fileName=${run.name} dag=${loaded.data.dag}
    latest=${loaded.data.latestDAGRun} again=${run} onClose=${onClose} />`;
  return html`<${Dialog} title=${`Run ${run.name} again`} onClose=${onClose}><div class="body">
    ${whenLoaded(loaded, "DAG", () => html`<p>The definition of this DAG has problems: nothing can be started.</p>`)}
    </div><//>`;
}

/**
 * `latest` is the run whose parameters can be reused, `again` the one whose parameters are filled in.
 * @param {{ fileName: string, dag: Api.DAGDetails, latest?: Run, again?: Run, onClose: () => void }} props
 */
export function StartDialog({ fileName, dag, latest, again, onClose }) {
  const fields = fieldsOf(dag.params);
  const given = new Map(pairsOf(again?.paramsList).map(({ name, value }) => [name, value]));
  const filled = fields.map(({ key, value }) => [key, given.get(key) ?? value]);
  const [values, setValues] = useState(Object.fromEntries(filled));
  const [free, setFree] = useState(again?.params ?? dag.defaultParams ?? "");
  const [way, setWay] = useState(/** @type {"start" | "enqueue"} */ ("start"));
  const params = fields.length ? textOf(fields, values) : free;
  const fixed = dag.runConfig?.disableParamEdit;
  const asLast = () => {
    const text = latest?.params ?? "";
    if (fields.length) setValues({ ...values, ...valuesOf(fields, text) });
    else setFree(text);
  };
  const begin = async (/** @type {"start" | "enqueue"} */ how, /** @type {string} */ dagRunId) => {
    const body = { ...(fixed ? {} : { params }), ...(dagRunId ? { dagRunId } : {}) };
    const started = await (how === "start" ? post(["dags", fileName, "start"], body)
      : post(["dags", fileName, "enqueue"], body));
    go(pageOf({ name: dag.name, runId: started.dagRunId }));
  };
  const instead = useRef(/** @type {"enqueue" | null} */ (null));
  const save = async (/** @type {Fields} */ { dagRunId }) => {
    const how = instead.current ?? way;
    instead.current = null;
    setWay(how);
    await begin(how, dagRunId);
  };
  // Submitted with the same form, so that its errors show in the same place.
  const enqueue = html`<button type="submit" onClick=${() => (instead.current = "enqueue")}>Enqueue</button>`;
  const lost = fields.length ? [...given.keys()].filter((name) => !fields.some(({ key }) => key === name)) : [];
  const isBusy = way === "start" && dag.maxActiveRuns === 1 && latest && isActive(latest.status);
  return html`<${FormDialog} title=${again ? `Run ${dag.name} again` : `Start ${dag.name}`}
    action=${way === "start" ? "Start" : "Add to the queue"} onSave=${save} onClose=${onClose}
    ways=${(/** @type {Failed & { code?: string }} */ { code }) => code === FULL && way === "start" && enqueue}>
    ${fixed && html`<p class="faint">This DAG always runs with these parameters.</p>`}
    ${fields.map((field) => html`<${Field} key=${field.key} field=${field} value=${values[field.key]} disabled=${fixed}
      onChange=${(/** @type {string} */ value) => setValues({ ...values, [field.key]: value })} />`)}
    ${lost.length > 0 && html`<p class="wait">No longer a parameter of this DAG: ${lost.join(", ")}</p>`}
    ${!fields.length && html`<label>
      Parameters<input value=${free} disabled=${fixed} placeholder="NAME=value, or values in order"
        onInput=${(/** @type {InputChange} */ event) => setFree(event.target.value)} /></label>`}
    ${latest?.params && !again && !fixed && html`<p>
      <button type="button" onClick=${asLast}>Use the parameters of the latest run</button></p>`}
    ${fields.length > 0 && html`<p class="faint wide-text">It runs with <code>${params}</code></p>`}
    ${!dag.runConfig?.disableRunIdEdit && html`<label>
      Run id<input name="dagRunId" placeholder="generated if empty" autocomplete="off" /></label>`}
    <fieldset class="ways"><legend>When</legend>
      <label class="inline">
        <input type="radio" name="way" checked=${way === "start"} onChange=${() => setWay("start")} />now</label>
      <label class="inline">
        <input type="radio" name="way" checked=${way === "enqueue"} onChange=${() => setWay("enqueue")} />
        when the queue has room</label></fieldset>
    ${isBusy && html`<p class="wait">A run is active, and this DAG allows one at a time: choose “when the queue has
      room” to start it after that one.</p>`}
  <//>`;
}

/**
 * @param {{ field: import("../../types/ui").Field, value: string, onChange: (value: string) => void,
 *   disabled?: boolean }} props
 */
function Field({ field, value, onChange, disabled }) {
  const label = field.name || `Parameter ${field.key}`;
  const input = (/** @type {InputChange} */ event) => onChange(event.target.value);
  if (field.kind === "truth") {
    return html`<label class="inline">
      <input type="checkbox" checked=${value === "true"} disabled=${disabled}
        onChange=${(/** @type {InputChange} */ event) => onChange(String(event.target.checked))} />${label}</label>`;
  }
  if (field.kind === "lines") return html`<label>${label}
    <textarea rows="4" value=${value} disabled=${disabled} onInput=${input}></textarea></label>`;
  const mode = field.kind === "number" ? "decimal" : "text";
  const odd = field.kind === "number" && !isNumber(value);
  return html`<label>${label}
    <input type=${field.kind === "date" ? "date" : "text"} inputmode=${mode} value=${value} disabled=${disabled}
      onInput=${input} />${odd && html`<small role="status">The default is a number: ${field.value}</small>`}</label>`;
}
