// Batches: many scheduled times or runs that are done one after the other, and how far each one is.

import { html } from "../vendor/core.js";
import { isAbout } from "../lib/batches.js";
import { href, query } from "../lib/router.js";
import { useTitle } from "../lib/title.js";
import { useApi } from "../lib/use-api.js";
import { Empty, whenLoaded } from "../parts/basic.js";
import { BatchTable, Turn } from "../parts/batchlist.js";

export default function Batches() {
  useTitle("Batches");
  const cursor = query.value.get("cursor");
  /** @type {Concerns} */
  const concerns = (change) =>
    change.kind === "batch" || Boolean(loaded.data?.batches.some((batch) => isAbout(change, batch)));
  const loaded = useApi("batches", { cursor }, concerns);
  return html`<h1>Batches</h1>
    ${whenLoaded(loaded, "batches", ({ batches, nextCursor }) => html`${batches.length
      ? html`<${BatchTable} batches=${batches} />`
      : html`<${Empty} title="No batches">
        <p>A batch starts many scheduled times of a DAG, or does its failed ones again, a few at a time. To make one,
          select times on the page <em>Schedule</em> of a <a href=${href("/dags")}>DAG</a>, or
          run <code>dagbook backfill DAG --from DAY --to DAY</code>.</p><//>`}
      <${Turn} cursor=${cursor} next=${nextCursor} names=${["Newest", "Older"]} />`)}`;
}
