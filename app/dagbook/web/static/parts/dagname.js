// A field for the name of a stored DAG, with those whose names have what is typed.

import { html, useId, useState } from "../vendor/core.js";
import { useApi } from "../lib/use-api.js";

const MOST = 20;

/** @param {{ value?: string }} props */
export function DagName({ value = "" }) {
  const id = useId();
  const [typed, setTyped] = useState("");
  const { data } = useApi(typed ? "dags" : null, { name: typed, perPage: MOST });
  return html`<input name="dag" required maxlength="64" autocomplete="off" list=${id} defaultValue=${value}
      onInput=${(/** @type {InputChange} */ event) => setTyped(event.target.value.trim())} />
    <datalist id=${id}>${data?.dags.map(({ dag }) => html`<option key=${dag.name} value=${dag.name}></option>`)}
    </datalist>`;
}
