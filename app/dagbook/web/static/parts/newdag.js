// Dialog that makes a DAG, from one step or from an example, and opens its editor; examples as DAGs.

import { html, useEffect, useState } from "../vendor/core.js";
import { HTTP, ApiError, asError, post } from "../lib/api.js";
import { config } from "../lib/config.js";
import { go } from "../lib/router.js";
import { Failure, Select } from "./basic.js";
import { FormDialog } from "./form.js";

/** The names of all examples, that of the first one to run first. They are files beside the scripts. */
export const { examples } = config;
const ONE_STEP = "steps:\n  - name: hello\n    command: echo hello\n";

/** @param {{ onClose: () => void }} props */
export function NewDag({ onClose }) {
  const [example, setExample] = useState("");
  const [spec, setSpec] = useState(ONE_STEP);
  const [failure, setFailure] = useState(/** @type {Failed | null} */ (null));
  useEffect(() => {
    let current = true;
    setFailure(null);
    const text = example ? readExample(example) : Promise.resolve(ONE_STEP);
    text.then((found) => current && setSpec(found), (error) => current && setFailure(asError(error)));
    return () => {
      current = false;
    };
  }, [example]);
  const save = async (/** @type {Fields} */ { name }) => {
    const made = await post("dags", { name, spec });
    go(["dags", made.name, "spec"]);
  };
  return html`<${FormDialog} title="New DAG" action="Create" onSave=${save} onClose=${onClose} wide=${example !== ""}>
    <label>
      Name<input name="name" required maxlength="40" pattern="[A-Za-z0-9_.\\-]+" placeholder="letters, digits, _ . -"
        autocomplete="off" /></label>
    <label>Begin with<${Select} value=${example} onSet=${setExample}
      options=${[["", "one step"], ...examples.map((one) => [one, `example: ${one}`])]} /></label>
    ${failure && html`<${Failure} error=${failure} />`}
    <pre class="events spec-preview" tabindex="0" aria-label="Text of the new DAG">${spec}</pre>
    <p class="faint">Nothing starts yet: the editor opens next.</p><//>`;
}

/** The text of an example. @param {string} name */
async function readExample(name) {
  const response = await fetch(new URL(`../examples/${name}.yaml`, import.meta.url));
  if (!response.ok) throw new ApiError(response.status, { message: `The example ${name} could not be loaded.` });
  return response.text();
}

/** Store examples as DAGs; one whose name is taken is left as it is. Throws ApiError. @param {string[]} names */
export async function addExamples(names) {
  for (const name of names) {
    const spec = await readExample(name);
    try {
      await post("dags", { name, spec });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === HTTP.CONFLICT)) throw error;
    }
  }
}
