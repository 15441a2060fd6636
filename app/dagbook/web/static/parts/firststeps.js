// What to do first on a server without DAGs and runs: see an example run, add all examples, write a DAG, or import.

import { html, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { go, href } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { may } from "../lib/session.js";
import { ActionButton, Empty } from "./basic.js";
import { NewDag, addExamples, examples } from "./newdag.js";
import { attempt } from "./notice.js";

const [FIRST] = examples;

export function FirstSteps() {
  const [busy, setBusy] = useState(false);
  const [asked, setAsked] = useState(false);
  const act = async (/** @type {() => Promise<unknown>} */ work) => {
    setBusy(true);
    if (!(await attempt(work))) setBusy(false); // else another page comes
  };
  const run = async () => {
    await addExamples([FIRST]);
    const { dagRunId } = await post(["dags", FIRST, "start"], {});
    go(pageOf({ name: FIRST, runId: dagRunId }));
  };
  const add = async () => {
    await addExamples(examples);
    go("/dags");
  };
  if (!may("create")) return html`<h1>Welcome to Dagbook</h1><${Empty} title="There is no workflow here yet">
    <p>Ask a manager to add one.</p><//>`;
  return html`<h1>Welcome to Dagbook</h1>
    <p>There is no workflow here yet. A workflow is called a DAG: a short text in YAML with steps, such as commands.</p>
    <div class="cards first-steps">
      <section class="card"><h2>See one run</h2>
        <p>Adds the example <code>${FIRST}</code> and starts it. You see its steps, and what each of them prints.</p>
        <${ActionButton} right="run" class="primary" disabled=${busy}
          onClick=${() => act(run)}>Run the first example<//></section>
      <section class="card"><h2>Look at examples</h2>
        <p>Adds ${examples.length} small DAGs: parameters, outputs, graphs, retries, handlers, loops, queues, approvals,
          schedules. One of them starts every ten minutes until you suspend it.</p>
        <${ActionButton} right="create" disabled=${busy} onClick=${() => act(add)}>Add the examples<//></section>
      <section class="card"><h2>Write your own</h2>
        <p>Begins with one step. The editor marks mistakes while you type, and keeps every version that you save.</p>
        <${ActionButton} right="create" disabled=${busy} onClick=${() => setAsked(true)}>New DAG<//></section>
      <section class="card"><h2>Bring what you have</h2>
        <p>From Dagu 1.x, in a terminal on this machine; the first line only shows what it would do:</p>
        <pre>dagbook import DIRECTORY --dry-run${"\n"}dagbook import DIRECTORY</pre>
        <p>Or let Dagbook follow a directory or a Git repository: <a href=${href("/sources")}>Sources</a>.</p></section>
    </div>
    ${asked && html`<${NewDag} onClose=${() => setAsked(false)} />`}`;
}
