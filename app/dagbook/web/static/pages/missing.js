import { html } from "../vendor/core.js";
import { href, path } from "../lib/router.js";
import { useTitle } from "../lib/title.js";
import { Empty } from "../parts/basic.js";

export default function Missing() {
  useTitle("Not found");
  return html`<h1>Not found</h1>
    <${Empty} title="There is no such page">
      <p>There is no page at <code>${path.value}</code>.</p>
      <p><a href=${href("/dags")}>All DAGs</a> · <a href=${href("/dag-runs")}>All runs</a> · <a href=${href("/search")}>
          Search</a></p><//>`;
}
