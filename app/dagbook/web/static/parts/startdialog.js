// Dialog that starts or enqueues a DAG with parameters.

import { html, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { fieldsOf, isNumber, textOf, valuesOf } from "../lib/params.js";
import { go } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { FormDialog } from "./form.js";

/**
 * `latest` is the run whose parameters can be reused.
 * @param {{ fileName: string, dag: Api.DAGDetails, latest?: Run, onClose: () => void }} props
 */
export function StartDialog({ fileName, dag, latest, onClose }) {
  const fields = fieldsOf(dag.params);
  const [values, setValues] = useState(Object.fromEntries(fields.map(({ key, value }) => [key, value])));
  const [free, setFree] = useState(dag.defaultParams ?? "");
  const [way, setWay] = useState(/** @type {"start" | "enqueue"} */ ("start"));
  const params = fields.length ? textOf(fields, values) : free;
  const fixed = dag.runConfig?.disableParamEdit;
  const asLast = () => {
    const text = latest?.params ?? "";
    if (fields.length) setValues({ ...values, ...valuesOf(fields, text) });
    else setFree(text);
  };
  const save = async (/** @type {Fields} */ { dagRunId }) => {
    const body = { ...(fixed ? {} : { params }), ...(dagRunId ? { dagRunId } : {}) };
    const started = await (way === "start"
      ? post(["dags", fileName, "start"], body)
      : post(["dags", fileName, "enqueue"], body));
    go(pageOf({ name: dag.name, runId: started.dagRunId }));
  };
  return html`<${FormDialog} title=${`Start ${dag.name}`} action=${way === "start" ? "Start" : "Add to the queue"}
    onSave=${save} onClose=${onClose}>
    ${fixed && html`<p class="faint">This DAG always runs with these parameters.</p>`}
    ${fields.map((field) => html`<${Field} key=${field.key} field=${field} value=${values[field.key]} disabled=${fixed}
      onChange=${(/** @type {string} */ value) => setValues({ ...values, [field.key]: value })} />`)}
    ${!fields.length && html`<label>
      Parameters<input value=${free} disabled=${fixed} placeholder="NAME=value, or values in order"
        onInput=${(/** @type {InputChange} */ event) => setFree(event.target.value)} /></label>`}
    ${latest?.params && !fixed && html`<p>
      <button type="button" onClick=${asLast}>Use the parameters of the latest run</button></p>`}
    ${fields.length > 0 && html`<p class="faint wide-text">It runs with <code>${params}</code></p>`}
    ${!dag.runConfig?.disableRunIdEdit && html`<label>
      Run id<input name="dagRunId" placeholder="generated if empty" autocomplete="off" /></label>`}
    <fieldset class="ways"><legend>When</legend>
      <label class="inline">
        <input type="radio" name="way" checked=${way === "start"} onChange=${() => setWay("start")} />now</label>
      <label class="inline">
        <input type="radio" name="way" checked=${way === "enqueue"} onChange=${() => setWay("enqueue")} />
        when the queue has room</label>
    </fieldset>
  <//>`;
}

/**
 * @param {{ field: import("../lib/params.js").Field, value: string, onChange: (value: string) => void,
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
