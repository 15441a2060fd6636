// What needs attention on the dashboard. Pure.

import { clock, plural } from "./format.js";
import { secondsOf } from "./durations.js";

export const LONG = 6 * 3600; // seconds that a run may be active
const STUCK = 3600; // seconds that the head of a queue may wait

/**
 * A part of the sentence: text of the link, where it leads, and the rest.
 * @typedef {{ link: string, to: string | string[], search?: Record<string, string | number>, rest: string,
 *   tone: "bad" | "wait" }} Concern
 */

/**
 * @typedef {object} Observed
 * @property {number} failed runs that failed
 * @property {boolean} [moreFailed] whether there are more of them
 * @property {string} since "yesterday", or the time of day from which failures count
 * @property {number} approvals
 * @property {string[]} queues names of those that do not move
 * @property {number} long runs that take long
 * @property {boolean} [unscheduled] whether no server starts what is due
 * @property {Pick<Api.Source, "name" | "broken" | "problem">[]} [sources]
 */

/**
 * The parts of the sentence, the most urgent first; none when nothing needs attention.
 * @param {Observed} observed
 * @param {number} day seconds that a day of failures has
 * @returns {Concern[]}
 */
export function concernsOf({ failed, moreFailed, since, approvals, queues, long, unscheduled, sources = [] }, day) {
  const unread = sources.filter(({ problem }) => problem);
  const broken = sources.filter((source) => source.broken > 0);
  const files = broken.reduce((sum, source) => sum + source.broken, 0);
  /** @type {(Concern | false)[]} */
  const all = [
    unscheduled === true && { link: "no scheduler", to: "/workers", rest: " is active", tone: "bad" },
    failed > 0 && {
      link: `${failed.toLocaleString("en")}${moreFailed ? "+" : ""} failed`,
      to: "/dag-runs",
      search: { status: "failed", within: day },
      rest: ` since ${since}`,
      tone: "bad",
    },
    approvals > 0 && {
      link: `${approvals.toLocaleString("en")} ${approvals === 1 ? "waits" : "wait"}`,
      to: "/approvals",
      rest: " for approval",
      tone: "wait",
    },
    unread.length > 0 && {
      link: unread.length === 1 ? `source ${unread[0].name}` : plural(unread.length, "source"),
      to: unread.length === 1 ? ["sources", unread[0].name] : "/sources",
      rest: " cannot be synced",
      tone: "bad",
    },
    files > 0 && {
      link: plural(files, "file"),
      to: broken.length === 1 ? ["sources", broken[0].name] : "/sources",
      rest: ` ${files === 1 ? "has" : "have"} problems`,
      tone: "wait",
    },
    queues.length > 0 && {
      link: queues.length === 1 ? `queue ${queues[0]}` : plural(queues.length, "queue"),
      to: "/queues",
      rest: queues.length === 1 ? " does not move" : " do not move",
      tone: "wait",
    },
    long > 0 && {
      link: plural(long, "run"),
      to: "/dag-runs",
      search: { status: "running" },
      rest: ` ${long === 1 ? "takes" : "take"} more than ${LONG / 3600} hours`,
      tone: "wait",
    },
  ];
  return all.filter((one) => one !== false);
}

/**
 * Queues that do not move: paused, without a worker that fits, or with a head that waits for more than an hour.
 * @param {Api.Queue[]} queues
 * @param {number} now
 */
export function stuckQueues(queues, now) {
  return queues.filter(({ paused, queued: [head] }) => {
    if (!head) return false;
    const held = paused || ["noWorker", "queuesOff"].includes(head.waitingFor?.reason ?? "");
    return held || (secondsOf({ startedAt: head.queuedAt }, now) ?? 0) > STUCK;
  });
}

/**
 * Runs that take long; those that wait for an approval are counted as such.
 * @param {RunSummary[]} running
 * @param {number} now
 */
export const longRuns = (running, now) =>
  running.filter((run) => !run.waitingForApproval && (secondsOf(run, now) ?? 0) > LONG);

/**
 * From when failures count, in words.
 * @param {number} seen when they were last marked as seen, in milliseconds
 * @param {number} begin of the day, in milliseconds
 */
export const sinceText = (seen, begin) => (seen > begin ? clock(new Date(seen)) : "yesterday");
