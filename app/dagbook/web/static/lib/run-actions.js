// Operations on runs and their steps.

import { get, patch, post } from "./api.js";
import { withDescendants } from "./graph.js";
import { pathOf } from "./runs.js";
import { NODE } from "./status.js";

/** @param {RunAddress} address */
export const stop = (address) => post([...pathOf(address), "stop"]);

/** GET in the contract, although it changes data. @param {RunAddress} address */
export const dequeue = (address) => get([...pathOf(address), "dequeue"]);

/** @param {RunAddress} address @param {string} [stepName] the only step to retry */
export const retry = (address, stepName) =>
  post([...pathOf(address), "retry"], { dagRunId: address.runId, ...(stepName ? { stepName } : {}) });

/** @param {RunAddress} address @param {string} step @param {Api.NodeStatus} status */
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
