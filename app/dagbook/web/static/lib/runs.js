// Reading of runs: their API paths and pages, their steps, and why they ended. Pure.

import { NODE, RUN, WAITING, runStatus } from "./status.js";
import { waitText } from "./wait-text.js";

/** @typedef {readonly ["dag-runs", string, string]} RunPath */

/** @type {("onWait" | "onSuccess" | "onFailure" | "onCancel" | "onExit")[]} */
const HANDLERS = ["onWait", "onSuccess", "onFailure", "onCancel", "onExit"];

/**
 * The path of a run below /api/v2; a sub-run is addressed through its root.
 * @param {{ name: string, runId: string, subRunId?: string | null }} address
 */
export function pathOf({ name, runId, subRunId }) {
  const root = /** @type {RunPath} */ (["dag-runs", name, runId]);
  // Operations on sub-runs have the same response types as those on runs.
  return subRunId ? /** @type {RunPath} */ (/** @type {unknown} */ ([...root, "sub-dag-runs", subRunId])) : root;
}

/**
 * The path of a run's page.
 * @param {{ name: string, runId: string, subRunId?: string | null }} address
 */
export function pageOf({ name, runId, subRunId }) {
  return ["dag-runs", name, runId, ...(subRunId ? [subRunId] : [])];
}

/**
 * Steps and handlers of a run, in order.
 * @param {Run} run
 */
export function nodesOf(run) {
  return [...run.nodes, ...HANDLERS.flatMap((name) => run[name] ?? [])];
}

/**
 * The most relevant step of a run: the first failed one, else one that waits for an approval, a running one, or an
 * aborted one.
 * @param {Run} run
 */
export function keyStep(run) {
  const nodes = nodesOf(run);
  return (
    nodes.find((node) => node.status === NODE.FAILED) ??
    nodes.find((node) => node.waiting) ??
    nodes.find((node) => node.status === NODE.RUNNING) ??
    nodes.find((node) => node.status === NODE.ABORTED && node.startedAt !== "-") ??
    nodes[0]
  );
}

/** The runs that a step called, those of its last execution first. @param {Api.Node} node */
export const calledBy = (node) => [...(node.subRuns ?? []), ...(node.subRunsRepeated ?? [])];

/**
 * The first failed one among the runs that a step called, else the first aborted one.
 * @param {Api.SubDAGRun[]} called
 * @param {Map<string, Api.SubDAGRunDetail>} known
 */
export function firstFailed(called, known) {
  const ended = (/** @type {Api.RunStatus} */ status) =>
    called.find(({ dagRunId }) => known.get(dagRunId)?.status === status);
  return ended(RUN.FAILED) ?? ended(RUN.ABORTED);
}

/**
 * The runs that a step called, the failed ones first.
 * @param {Api.SubDAGRun[]} called
 * @param {Map<string, Api.SubDAGRunDetail>} known
 */
export function failedFirst(called, known) {
  const failed = (/** @type {Api.SubDAGRun} */ { dagRunId }) => known.get(dagRunId)?.status === RUN.FAILED;
  return [...called.filter(failed), ...called.filter((one) => !failed(one))];
}

/** @typedef {{ step: string | null, text: string, tone: "bad" | "off" | "wait" }} Reason */

/**
 * Why a run is queued, waits, has failed or was aborted; null for other runs.
 * @param {Run} run
 * @returns {Reason | null}
 */
export function reasonOf(run) {
  if (run.waitingFor?.message) return { step: null, text: waitText(run.waitingFor), tone: "wait" };
  const asking = waitingNode(run);
  if (asking) return { step: asking.step.name, text: "waits for approval", tone: "wait" };
  const isFailed = (/** @type {Api.Node} */ { status }) => status === NODE.FAILED;
  const step = run.nodes.find(isFailed);
  if (run.error && !step) return { step: null, text: run.error, tone: run.status === RUN.FAILED ? "bad" : "off" };
  const failed = step ?? nodesOf(run).find(isFailed);
  if (!failed) return null;
  const lines = (failed.error || "failed").trim().split("\n");
  const last = lines.at(-1);
  const text = lines.length > 1 && last !== lines[0] ? `${lines[0]} – ${last}` : lines[0];
  return { step: failed.step.name, text, tone: "bad" };
}

/** The first step that waits for an approval. @param {Run} run */
const waitingNode = (run) => nodesOf(run).find((node) => node.waiting);

/** The look of a run's status, or that it waits for an approval. @param {Run} run */
export const lookOfRun = (run) => (waitingNode(run) ? WAITING : runStatus(run.status));

/**
 * Whether a change of the feed concerns a run.
 * @param {{ name: string, runId: string }} address
 * @param {Change} change
 */
export function concernsRun({ name, runId }, change) {
  const root = change.root ?? change;
  return (change.kind === "run" || change.kind === "log") && root.name === name && root.dagRunId === runId;
}
