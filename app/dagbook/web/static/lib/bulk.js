// What a batch can do to many runs at once, and its request. Pure.

import { plural } from "./format.js";
import { RUN, isOver } from "./status.js";

/** @typedef {"retry" | "again" | "stop" | "dequeue" | "delete"} BulkAction */
/**
 * @typedef {{ title: string, right: "run" | "write", fits: (run: RunSummary) => boolean, parallel?: number,
 *   about: string }} Bulk `parallel` is how many runs are made at a time
 */

const hasFailed = (/** @type {RunSummary} */ { status }) => status === RUN.FAILED || status === RUN.ABORTED;

/** @type {Record<BulkAction, Bulk>} */
export const BULK = {
  retry: { title: "Retry", right: "run", fits: hasFailed, parallel: 4,
    about: "Failed runs go on; one whose DAG has another text by now is replaced by a new run." },
  again: { title: "Do again", right: "run", fits: ({ status }) => isOver(status), parallel: 1,
    about: "A new run with the same params replaces each of them, oldest first." },
  stop: { title: "Stop", right: "run", fits: ({ status }) => status === RUN.RUNNING || status === RUN.NOT_STARTED,
    about: "Their steps are stopped." },
  dequeue: { title: "Remove from the queue", right: "run", fits: ({ status }) => status === RUN.QUEUED,
    about: "They will not start; retried ones are as before." },
  delete: { title: "Delete", right: "write", fits: ({ status }) => isOver(status),
    about: "Their logs are deleted, too." },
};
export const BULK_ACTIONS = /** @type {BulkAction[]} */ (Object.keys(BULK));

/** @param {{ name: string, dagRunId: string }} run */
export const keyOf = ({ name, dagRunId }) => `${name}/${dagRunId}`;

/**
 * The filter of a batch for that of a list; null if it is about all runs, or also about those that steps called.
 * @param {Record<string, any>} params
 * @returns {Api.RunsFilter | null}
 */
export const filterOf = ({ subRuns, ...filter }) => (subRuns || !Object.keys(filter).length ? null : filter);

/** What will happen, in words. @param {Api.CreatedBatch} planned */
export function planText({ runs, steps, held, revision }) {
  const found = Object.entries(runs).sort(([a, one], [b, other]) => other - one || a.localeCompare(b))
    .map(([status, count]) => `${count.toLocaleString("en")} ${status.replaceAll("_", " ")}`);
  const { retry = 0, again = 0 } = steps;
  const text = revision ? ` with revision ${revision}` : "";
  return [
    `${plural(Object.values(runs).reduce((sum, count) => sum + count, 0), "run")} found${
      found.length ? `: ${found.join(", ")}` : ""}.`,
    retry > 0 && `${plural(retry, "run")} will be retried.`,
    again > 0 && `${plural(again, "run")} will be replaced by new ones${text}.`,
    ...Object.entries(held).map(([batch, count]) => `Batch ${batch} has ${count} of them already.`),
  ].filter(Boolean).join(" ");
}
