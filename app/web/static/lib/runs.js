// What one can ask of a run, and how its answers read. The API's addresses of runs and sub-runs are here only.

import { ask, get, post } from "./api.js";
import { clock, short } from "./format.js";
import { withDescendants } from "./graph.js";

const HANDLERS = ["onSuccess", "onFailure", "onCancel", "onExit"];

/** The path of a run below /api/v2; a sub-run is addressed through its root. */
export function pathOf({ name, runId, subRunId }) {
  const root = ["dag-runs", name, runId];
  return subRunId ? [...root, "sub-dag-runs", subRunId] : root;
}

/** Where the page of a run lies. */
export function pageOf({ name, runId, subRunId }) {
  return ["dag-runs", name, runId, ...(subRunId ? [subRunId] : [])];
}

/** Steps and handlers of a run, in order. */
export function nodesOf(run) {
  return [...run.nodes, ...HANDLERS.map((name) => run[name]).filter(Boolean)];
}

/** The step that explains how a run ended: the first that failed, or the one that runs. */
export function telling(run) {
  const nodes = nodesOf(run);
  return nodes.find((node) => node.status === 2) ?? nodes.find((node) => node.status === 1) ?? nodes.find((node) => node.status === 3 && node.startedAt !== "-") ?? nodes[0];
}

/** Why a run is as it is: {step, text}; null when it went well. */
export function reasonOf(run) {
  if (run.waitingFor?.message) return { step: null, text: waitText(run.waitingFor) };
  const failed = nodesOf(run).find((node) => node.status === 2);
  if (!failed) return null;
  const lines = (failed.error || "failed").trim().split("\n");
  const last = lines.at(-1);
  return { step: failed.step.name, text: lines.length > 1 && last !== lines[0] ? `${lines[0]} – ${last}` : lines[0] };
}

/** Why a run waits, in the server's words, with short ids and the viewer's time of day. */
export function waitText({ message }) {
  return message
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, short)
    .replace(/\b\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)/g, (text) => clock(new Date(text)));
}

/** Whether a change of the feed may have changed what is shown of a run. */
export function concernsRun({ name, runId }, change) {
  const root = change.root ?? change;
  return (change.kind === "run" || change.kind === "log") && root.name === name && root.dagRunId === runId;
}

export const stop = (address) => post([...pathOf(address), "stop"]);
export const dequeue = (address) => get([...pathOf(address), "dequeue"]); // GET in the contract, though it changes something
export const retry = (address, stepName) => post([...pathOf(address), "retry"], { dagRunId: address.runId, ...(stepName ? { stepName } : {}) });
export const reschedule = (address, body) => post([...pathOf(address), "reschedule"], body);

export const setStatus = (address, step, status) =>
  ask([...pathOf(address), "steps", step, "status"], { method: "PATCH", body: { status } });

/** Try a step and all that comes after it again, whatever their statuses are. */
export async function retryFrom(address, steps, name) {
  const all = withDescendants(steps, name);
  for (const step of steps) {
    if (all.has(step.name) && step.status !== 0) await setStatus(address, step.name, 0);
  }
  await retry(address);
}
