// Operations on runs, and helpers to read their responses. Only this module builds the API paths of runs and sub-runs.

import { get, patch, post } from "./api.js";
import { withDescendants } from "./graph.js";
import { NODE, WAITING, runStatus } from "./status.js";
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

/** @typedef {{ step: string | null, text: string, tone: "bad" | "wait" }} Reason */

/**
 * Why a run is queued, waits or has failed; null for other runs.
 * @param {Run} run
 * @returns {Reason | null}
 */
export function reasonOf(run) {
  if (run.waitingFor?.message) return { step: null, text: waitText(run.waitingFor), tone: "wait" };
  const asking = waitingNode(run);
  if (asking) return { step: asking.step.name, text: "waits for approval", tone: "wait" };
  const failed = nodesOf(run).find((node) => node.status === NODE.FAILED);
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

/** @param {RunAddress} address */
export const stop = (address) => post([...pathOf(address), "stop"]);

/**
 * @param {RunAddress} address
 * @param {string} step
 * @param {Record<string, string>} inputs the values that the step asks for
 */
export const approve = (address, step, inputs) => post([...pathOf(address), "steps", step, "approve"], { inputs });

/**
 * @param {RunAddress} address
 * @param {string} step
 * @param {string} reason
 */
export const reject = (address, step, reason) => post([...pathOf(address), "steps", step, "reject"], { reason });

/** GET in the contract, although it changes data. @param {RunAddress} address */
export const dequeue = (address) => get([...pathOf(address), "dequeue"]);

/**
 * @param {RunAddress} address
 * @param {string} [stepName] the only step to retry
 */
export const retry = (address, stepName) =>
  post([...pathOf(address), "retry"], { dagRunId: address.runId, ...(stepName ? { stepName } : {}) });

/** @param {RunAddress} address */
export const reschedule = (address) => post([...pathOf(address), "reschedule"], {});

/**
 * @param {RunAddress} address
 * @param {string} step
 * @param {Api.NodeStatus} status
 */
export const setStatus = (address, step, status) => patch([...pathOf(address), "steps", step, "status"], { status });

/**
 * Retry a step and all steps that depend on it, regardless of their statuses.
 * @param {RunAddress} address
 * @param {GraphStep[]} steps
 * @param {string} name
 */
export async function retryFrom(address, steps, name) {
  const all = withDescendants(steps, name);
  for (const step of steps) {
    if (all.has(step.name) && step.status !== NODE.NOT_STARTED) await setStatus(address, step.name, NODE.NOT_STARTED);
  }
  await retry(address);
}
