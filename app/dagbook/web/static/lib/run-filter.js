// The filter of the list of runs. Pure.

import { SPANS, like, readTime, writeTime } from "./filter-text.js";
import { STATUS_FILTER } from "./status.js";

const TRIGGERS = ["api", "reschedule", "schedule", "webhook", "file", "sftp", "http", "run", "backfill"];
/** @type {[value: string, word: string][]} */
const SUB_RUNS = [["include", "also runs that steps called"], ["only", "only those"]];
const DURATION = like(/^\d[\d.a-z]*$/u, "a duration such as 90s, 5m or 1h30m");

/** A span of time in links of earlier versions: as now, or in seconds. @param {string} value */
function spanText(value) {
  const hours = Number(value) / 3600;
  if (!Number.isInteger(hours)) return value;
  return hours > 24 && hours % 24 === 0 ? `${hours / 24}d` : `${hours}h`;
}

/** @type {import("../../types/ui").FilterKeys} */
export const RUN_KEYS = {
  "": { param: "name", hint: "part of a name" },
  status: STATUS_FILTER,
  tag: { param: "tag", hint: "nightly", many: true },
  after: { param: "fromDate", hint: "yesterday", values: SPANS, read: readTime, pick: "When", any: "any time",
    drops: "before", old: { fromDate: writeTime, within: spanText } },
  before: { param: "toDate", hint: "2026-11-30", read: readTime, old: { toDate: writeTime } },
  error: { param: "error", hint: "KeyError" },
  param: { param: "param", hint: "NAME=value", many: true, read: like(/^[^=]+=/u, "NAME=value") },
  trigger: { param: "trigger", hint: "schedule", values: TRIGGERS.map((name) => [name, name]), pick: "Trigger",
    any: "any trigger" },
  actor: { param: "actor", hint: "ada" },
  longer: { param: "minDuration", hint: "5m", read: DURATION },
  shorter: { param: "maxDuration", hint: "90s", read: DURATION },
  id: { param: "dagRunId", hint: "019ad1" },
  revision: { param: "revision", hint: "3", read: like(/^\d{1,9}$/u, "the number of a revision") },
  subruns: { param: "subRuns", hint: "include", values: SUB_RUNS, read: like(/^(include|only)$/u, "include or only") },
};
