// Dialog that makes a DAG and opens its editor.

import { html } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { go } from "../lib/router.js";
import { FormDialog } from "./form.js";

const EXAMPLE = "steps:\n  - name: hello\n    command: echo hello\n";

/** @param {{ onClose: () => void }} props */
export function NewDag({ onClose }) {
  const save = async (/** @type {Fields} */ { name }) => {
    const made = await post("dags", { name, spec: EXAMPLE });
    go(["dags", made.name, "spec"]);
  };
  return html`<${FormDialog} title="New DAG" action="Create" onSave=${save} onClose=${onClose}>
    <label>
      Name<input name="name" required maxlength="40" pattern="[A-Za-z0-9_.\\-]+" placeholder="letters, digits, _ . -"
        autocomplete="off" /></label>
    <p class="faint">It starts with one example step. The editor opens next.</p>
  <//>`;
}
