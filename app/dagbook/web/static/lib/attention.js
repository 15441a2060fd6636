// What needs attention on the dashboard, as a sentence. Pure.

import { plural } from "./format.js";

const FULL = 90; // percent of the disk
const SOON = 7 * 86400; // seconds until it is full

/**
 * A part of the sentence: text of the link, where it leads, and the rest.
 * @typedef {{ link: string, to: string | string[], search?: Record<string, string | number>, rest: string,
 *   tone: "bad" | "wait" }} Concern
 */

/**
 * @typedef {object} Observed
 * @property {Pick<Api.Overview, "fromDate" | "toDate" | "unusual" | "queues" | "missed" | "disk" | "sources">} found
 * @property {number} failing DAGs that failed, and have not worked since
 * @property {boolean} [more] whether there are more of them
 * @property {number} [approvals]
 * @property {boolean} [unscheduled] whether no server starts what is due
 */

/** The parts of the sentence, the most urgent first, or none. @param {Observed} observed @returns {Concern[]} */
export function concernsOf({ found, failing, more = false, approvals = 0, unscheduled = false }) {
  const { fromDate, toDate, disk, sources = [] } = found;
  const unread = sources.filter(({ problem }) => problem);
  const broken = sources.filter((source) => source.broken > 0);
  const files = broken.reduce((sum, source) => sum + source.broken, 0);
  const missed = found.missed.reduce((sum, { starts }) => sum + starts, 0);
  const stuck = found.queues.filter((queue) => queue.stuck);
  const [late, long] = ["late", "long"].map((kind) => found.unusual.filter((run) => run.kind === kind).length);
  /** @type {(Concern | false | undefined)[]} */
  const all = [
    unscheduled && { link: "no scheduler", to: "/workers", rest: " is active", tone: "bad" },
    failing > 0 && {
      link: `${failing}${more ? "+" : ""} ${failing === 1 && !more ? "DAG" : "DAGs"}`,
      to: "/dag-runs",
      search: { status: "failed", fromDate, toDate },
      rest: failing === 1 && !more ? " is failing" : " are failing",
      tone: "bad",
    },
    missed > 0 && {
      link: plural(missed, "start"),
      to: "/schedules",
      search: { tab: "past" },
      rest: ` ${missed === 1 ? "was" : "were"} missed`,
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
    stuck.length > 0 && {
      link: stuck.length === 1 ? `queue ${stuck[0].name}` : plural(stuck.length, "queue"),
      to: "/queues",
      rest: stuck.length === 1 ? " does not move" : " do not move",
      tone: "wait",
    },
    late > 0 && { link: plural(late, "run"), to: "/queues", rest: ` ${late === 1 ? "is" : "are"} late`, tone: "wait" },
    long > 0 && {
      link: plural(long, "run"),
      to: "/dag-runs",
      search: { status: "running" },
      rest: ` ${long === 1 ? "takes" : "take"} longer than usual`,
      tone: "wait",
    },
    disk && (disk.usedPercent >= FULL || (disk.fullInSeconds ?? SOON) < SOON) && {
      link: "the disk",
      to: "/system",
      rest: ` is ${Math.round(disk.usedPercent)} % full`,
      tone: "wait",
    },
  ];
  return all.filter((one) => one !== false && one !== undefined);
}
