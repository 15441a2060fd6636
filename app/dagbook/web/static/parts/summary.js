// The summaries that steps of a run wrote, above its steps.

import { html, useEffect, useState } from "../vendor/core.js";
import { nodesOf, pathOf } from "../lib/runs.js";
import { useApi } from "../lib/use-api.js";
import { whenLoaded } from "./basic.js";

/**
 * Nothing, and no request, unless a step has written one. Its place has a fixed height, so that it moves nothing.
 * @param {{ run: Run }} props
 */
export function Summary({ run }) {
  const key = nodesOf(run).filter((node) => node.hasSummary)
    .map((node) => [node.step.name, node.finishedAtMillis, node.retryCount, node.doneCount].join()).join();
  const subRunId = run.dagRunId === run.rootDAGRunId ? null : run.dagRunId;
  const address = { name: run.rootDAGRunName, runId: run.rootDAGRunId, subRunId };
  const loaded = useApi(key ? /** @type {const} */ ([...pathOf(address), "summary"]) : null);
  const [whole, setWhole] = useState(false);
  useEffect(() => {
    if (loaded.data) loaded.reload();
  }, [key]);
  if (!key) return null;
  return html`<section class=${whole ? "summary whole" : "summary"} aria-label="Summary">
    <button type="button" class="quiet" aria-expanded=${whole} onClick=${() => setWhole(!whole)}>
      ${whole ? "Show less" : "Show all"}</button>
    <div class="summary-text" tabindex="0" role="group" aria-label="Text of the summary">
      ${whenLoaded(loaded, "summary", ({ summaries, hasMore }) => html`
        ${summaries.map(({ step, html: made }) => html`<article key=${step}>
          ${summaries.length > 1 && html`<p class="faint">${step}</p>`}
          ${/* The server makes it of Markdown, without any HTML of the author's (runs/output/markdown.py). */ ""}
          <div dangerouslySetInnerHTML=${{ __html: made }}></div></article>`)}
        ${hasMore && html`<p class="faint">There are more: each step shows its own.</p>`}`)}</div></section>`;
}
