// Statuses of runs and steps: number in the API, word, icon (parts/basic.js) and tone; never indicated by colour alone.

/** @import { Look } from "../../types/ui" */

const BOTH = Object.freeze({ NOT_STARTED: 0, RUNNING: 1, FAILED: 2, ABORTED: 3, SUCCEEDED: 4 });
export const RUN = Object.freeze({ ...BOTH, QUEUED: 5, PARTIALLY_SUCCEEDED: 6 });
export const NODE = Object.freeze({ ...BOTH, SKIPPED: 5, PARTIALLY_SUCCEEDED: 6 });

/** @type {Record<number, Look>} */
const COMMON = {
  [RUN.NOT_STARTED]: { word: "not started", icon: "circle", tone: "idle" },
  [RUN.RUNNING]: { word: "running", icon: "arc", tone: "busy" },
  [RUN.FAILED]: { word: "failed", icon: "cross", tone: "bad" },
  [RUN.ABORTED]: { word: "aborted", icon: "square", tone: "off" },
  [RUN.SUCCEEDED]: { word: "succeeded", icon: "check", tone: "good" },
  [RUN.PARTIALLY_SUCCEEDED]: { word: "partly succeeded", icon: "mixed", tone: "mixed" },
};
/** @type {Record<number, Look>} */
const RUN_LOOKS = { ...COMMON, [RUN.QUEUED]: { word: "queued", icon: "wait", tone: "wait" } };
/** @type {Record<number, Look>} */
const NODE_LOOKS = { ...COMMON, [NODE.SKIPPED]: { word: "skipped", icon: "skip", tone: "off" } };
/** How a running run or step looks while it waits for an approval. @type {Look} */
export const WAITING = { word: "waiting for approval", icon: "users", tone: "wait" };
/** @type {Look} */
const UNKNOWN = { word: "unknown", icon: "unknown", tone: "off" };

/** @param {number | undefined} status */
export const runStatus = (status) => RUN_LOOKS[status ?? -1] ?? UNKNOWN;
/** @param {number | undefined} status */
export const nodeStatus = (status) => NODE_LOOKS[status ?? -1] ?? UNKNOWN;

/** @param {{ status: number, waiting?: unknown }} node */
export const lookOf = ({ status, waiting }) => (waiting ? WAITING : nodeStatus(status));
/** The look of a run in a list. @param {{ status: number, waitingForApproval?: boolean }} run */
export const lookOfRow = ({ status, waitingForApproval }) => (waitingForApproval ? WAITING : runStatus(status));

/**
 * Every status of a run as it is shown: its key in addresses (as in `dagbook runs --status`), and the filter of the
 * API. Of the two that the API has one number for, each leaves out the other.
 */
export const RUN_STATUSES = [
  ...Object.entries(RUN).map(([name, number]) => ({
    key: name.toLowerCase().replaceAll("_", "-"),
    look: runStatus(number),
    filter: { status: number, ...(number === RUN.RUNNING && { waitingForApproval: false }) },
  })),
  { key: "waiting", look: WAITING, filter: { status: RUN.RUNNING, waitingForApproval: true } },
];

/**
 * The filter of the API for a status as it is written: its key, its word, or its number as in earlier links.
 * @param {string} value
 * @returns {{ status?: Api.RunStatus, waitingForApproval?: boolean }}
 */
export function readStatus(value) {
  const plain = value.toLowerCase().replace(/[\s_]+/gu, "-");
  const found = RUN_STATUSES.find(({ key, look }) => key === plain || look.word.replaceAll(" ", "-") === plain);
  if (found) return found.filter;
  if (statusKey(value) === value)
    throw new Error(`"${value}" is none of ${RUN_STATUSES.map(({ key }) => key).join(", ")}`);
  return { status: /** @type {Api.RunStatus} */ (Number(value)) }; // the number of running includes those that wait
}

/** The key of a status in an address. @param {string} text a key or a number */
export const statusKey = (text) =>
  RUN_STATUSES.find(({ filter, look }) => text === String(filter.status) && look !== WAITING)?.key ?? text;

/** The filter of a list by status. @type {import("../../types/ui").FilterKey} */
export const STATUS_FILTER = {
  param: "status",
  hint: "failed",
  values: RUN_STATUSES.map(({ key, look }) => [key, look.word]),
  read: readStatus,
  pick: "Status",
  any: "any status",
  // In earlier links the number of running is that of all running ones, also of those that wait for an approval.
  old: { status: (value) => (value === String(RUN.RUNNING) ? value : statusKey(value)) },
};

const ACTIVE = new Set([RUN.NOT_STARTED, RUN.RUNNING, RUN.QUEUED]);

/** Whether a run is finished. @param {number} status */
export const isOver = (status) => status in RUN_LOOKS && !isActive(status);
/** @param {number} status */
export const isActive = (status) => ACTIVE.has(/** @type {typeof RUN.QUEUED} */ (status));
/** Whether a step may still write output. @param {number} status */
export const isNodeActive = (status) => status === NODE.NOT_STARTED || status === NODE.RUNNING;
