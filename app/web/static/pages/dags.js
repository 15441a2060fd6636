import { html } from "../vendor/core.js";
import { useLoad } from "../lib/load.js";
import { href } from "../lib/router.js";
import { useTitle } from "../lib/title.js";
import { Empty, Loaded, Status, Time } from "../parts/basic.js";

export default function Dags() {
  useTitle("DAGs");
  const list = useLoad("dags", { perPage: 100 }, (change) => change.kind === "dag" || change.kind === "run");
  return html`<h1>DAGs</h1>
    <${Loaded} from=${list} what="DAGs">${({ dags }) =>
      dags.length
        ? html`<table class="stack"><thead><tr><th>Name</th><th>Latest run</th><th>Started</th></tr></thead><tbody>
            ${dags.map(({ fileName, dag, latestDAGRun }) => html`<tr key=${fileName}>
              <td><a href=${href(["dags", fileName])}>${dag.name}</a></td>
              <td><${Status} of=${latestDAGRun.status} /></td>
              <td><${Time} at=${latestDAGRun.startedAt} /></td>
            </tr>`)}</tbody></table>`
        : html`<${Empty} title="No DAGs yet"><p>Create one, or send a file with <code>dagbook dag save</code>.</p><//>`}
    <//>`;
}
