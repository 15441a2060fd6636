// The failing step of a run, also below the steps that called other runs. Only the caller's `read` sends requests.

import { calledBy, firstFailed, keyStep, pathOf, reasonOf } from "./runs.js";
import { NODE } from "./status.js";

const DEEPEST = 20; // levels of sub-runs
/** The text of a reason that is not known yet. */
export const UNKNOWN = "…";

/**
 * A step, the sub-run that it is in (null: the run itself), and that run.
 * @typedef {{ step: string, subRunId: string | null, run: Run }} Leaf
 */

/** Whether the most relevant step of a run failed because of the runs that it called. @param {Run} run */
export const failedBelow = (run) => {
  const node = keyStep(run);
  return node?.status === NODE.FAILED && calledBy(node).length > 0;
};

/**
 * Find the most relevant step: where a step failed because of its sub-runs, that of the first failed sub-run.
 * @param {RunAddress} address of the run, or of a sub-run
 * @param {Run} run
 * @param {typeof import("./api.js").get} read
 * @returns {Promise<Leaf | null>} null for a run without steps
 */
export async function findLeaf(address, run, read) {
  const root = pathOf({ name: address.name, runId: address.runId });
  /** @type {Leaf | null} */
  let found = null;
  let subRunId = null;
  for (let level = 0; level < DEEPEST; level += 1) {
    const node = keyStep(run);
    if (!node) break;
    found = { step: node.step.name, subRunId, run };
    if (!failedBelow(run)) break;
    const query = { parentSubDAGRunId: subRunId ?? address.subRunId };
    const { subRuns } = await read(/** @type {const} */ ([...root, "sub-dag-runs"]), query);
    const failed = firstFailed(calledBy(node), new Map(subRuns.map((sub) => [sub.dagRunId, sub])));
    if (!failed) break;
    subRunId = failed.dagRunId;
    run = (await read(pathOf({ ...address, subRunId }))).dagRunDetails;
  }
  return found;
}

/**
 * Reason of a run: names of the step and, below a call, of the step in the sub-run; `target` is the one to show.
 * @typedef {{ names: string[], text: string, tone: "bad" | "off" | "wait",
 *   target: { step: string, subRunId: string | null } | null }} Banner
 */

/**
 * Why a run waits, failed or was aborted; of a call that failed the reason is that of its failed sub-run.
 * @param {Run} run
 * @param {Leaf | null} leaf null until it is known
 * @returns {Banner | null}
 */
export function bannerOf(run, leaf) {
  const own = reasonOf(run);
  if (!own) return null;
  const { step, text, tone } = own;
  const names = step ? [step] : [];
  if (!step || !failedBelow(run)) return { names, text, tone, target: step ? { step, subRunId: null } : null };
  if (!leaf) return { names, text: UNKNOWN, tone, target: null };
  const below = leaf.subRunId ? reasonOf(leaf.run) : null;
  return { names: [...names, ...(below?.step ? [below.step] : [])], text: (below ?? own).text, tone, target: leaf };
}
