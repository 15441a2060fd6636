// What needs attention on the dashboard, as a sentence. Pure.

import { plural } from "./format.js";

/** @import { Concern, Observed } from "../../types/ui" */

const FULL = 90; // percent of the disk
const SOON = 7 * 86400; // seconds until it is full

/** The parts of the sentence, the most urgent first, or none. @param {Observed} observed @returns {Concern[]} */
export function concernsOf({ found, failing, more = false, approvals = 0, unscheduled = false }) {
  const { fromDate, toDate, disk, sources = [] } = found;
  const unread = sources.filter(({ problem }) => problem);
  const broken = sources.filter((source) => source.broken > 0);
  const files = broken.reduce((sum, source) => sum + source.broken, 0);
  const missed = found.missed.reduce((sum, { starts }) => sum + starts, 0);
  const stuck = found.queues.filter((queue) => queue.stuck);
  const [late, long] = ["late", "long"].map((kind) => found.unusual.filter((run) => run.kind === kind).length);
  const isOne = failing === 1 && !more;
  const all = [
    unscheduled && concern("bad", ["no scheduler", " is active"], "/workers"),
    found.pausedSince && concern("wait", ["everything", " has been paused for more than a day"], "/queues"),
    failing > 0 && concern("bad", [`${failing}${more ? "+" : ""} ${isOne ? "DAG" : "DAGs"}`,
      isOne ? " is failing" : " are failing"], "/dag-runs", { status: "failed", fromDate, toDate }),
    missed > 0 && concern("bad", [plural(missed, "start"), ` ${missed === 1 ? "was" : "were"} missed`], "/schedules",
      { tab: "past" }),
    approvals > 0 && concern("wait", [plural(approvals, "waits", "wait"), " for approval"], "/approvals"),
    unread.length > 0 && concern("bad", [unread.length === 1 ? `source ${unread[0].name}`
      : plural(unread.length, "source"), " cannot be synced"], pageOf(unread)),
    files > 0 && concern("wait", [plural(files, "file"), ` ${files === 1 ? "has" : "have"} problems`], pageOf(broken)),
    stuck.length === 1 && concern("wait", [`queue ${stuck[0].name}`, " does not move"], "/queues"),
    stuck.length > 1 && concern("wait", [plural(stuck.length, "queue"), " do not move"], "/queues"),
    late > 0 && concern("wait", [plural(late, "run"), ` ${late === 1 ? "is" : "are"} late`], "/queues"),
    long > 0 && concern("wait", [plural(long, "run"), ` ${long === 1 ? "takes" : "take"} longer than usual`],
      "/dag-runs", { status: "running" }),
    disk && (disk.usedPercent >= FULL || (disk.fullInSeconds ?? SOON) < SOON)
      && concern("wait", ["the disk", ` is ${Math.round(disk.usedPercent)} % full`], "/system"),
  ];
  return all.filter((one) => typeof one === "object");
}

/** @type {(tone: "bad" | "wait", text: [link: string, rest: string], to: Concern["to"], search?: object) => Concern} */
const concern = (tone, [link, rest], to, search) => ({ link, to, search, rest, tone });

/** The page of the only source, else that of all. @param {{ name: string }[]} sources */
const pageOf = (sources) => (sources.length === 1 ? ["sources", sources[0].name] : "/sources");
