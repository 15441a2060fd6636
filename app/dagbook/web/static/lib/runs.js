// Reading of runs: their API paths and pages, their steps and tries, and why they wait or ended. Pure but for
// `findLeaf`, whose caller gives what sends requests.

import { clock, durationText, instant, plural, short } from "./format.js";
import { NODE, RUN, WAITING, isOver, lookOf, nodeStatus, runStatus } from "./status.js";

/** @import { Banner, Leaf, Look, Reason, RunPath, Tone } from "../../types/ui" */

/** @type {("onWait" | "onSuccess" | "onFailure" | "onCancel" | "onExit")[]} */
const HANDLERS = ["onWait", "onSuccess", "onFailure", "onCancel", "onExit"];
const DEEPEST = 20; // levels of sub-runs
/** The text of a reason that is not known yet. */
export const UNKNOWN = "…";

/**
 * The path of a run below /api/v2; a sub-run is addressed through its root.
 * @param {{ name: string, runId: string, subRunId?: string | null }} address
 */
export function pathOf({ name, runId, subRunId }) {
  const root = /** @type {RunPath} */ (["dag-runs", name, runId]);
  // Operations on sub-runs have the same response types as those on runs.
  return subRunId ? /** @type {RunPath} */ (/** @type {unknown} */ ([...root, "sub-dag-runs", subRunId])) : root;
}

/** The path of a run's page. @param {{ name: string, runId: string, subRunId?: string | null }} address */
export function pageOf({ name, runId, subRunId }) {
  return ["dag-runs", name, runId, ...(subRunId ? [subRunId] : [])];
}

/** Steps and handlers of a run, in order. @param {Run} run */
export function nodesOf(run) {
  return [...run.nodes, ...HANDLERS.flatMap((name) => run[name] ?? [])];
}

/** The key step: the first failed one, else one that waits for approval, runs, or was aborted. @param {Run} run */
export function keyStep(run) {
  const nodes = nodesOf(run);
  const withStatus = (/** @type {Api.NodeStatus} */ status) => nodes.find((node) => node.status === status);
  return withStatus(NODE.FAILED) ?? nodes.find((node) => node.waiting) ?? withStatus(NODE.RUNNING)
    ?? nodes.find((node) => node.status === NODE.ABORTED && node.startedAt !== "-") ?? nodes[0];
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
 * The runs to list below a step: the failed ones first, at most `most`, and the one that the user has opened.
 * @param {Api.SubDAGRun[]} called
 * @param {Map<string, Api.SubDAGRunDetail>} known
 * @param {string} inside
 * @param {number} most
 */
export function listedFirst(called, known, inside, most) {
  const failed = (/** @type {Api.SubDAGRun} */ { dagRunId }) => Number(known.get(dagRunId)?.status === RUN.FAILED);
  const first = called.toSorted((one, other) => failed(other) - failed(one)).slice(0, most);
  const opened = called.find(({ dagRunId }) => dagRunId === inside);
  return opened && !first.includes(opened) ? [...first, opened] : first;
}

/** What a step was called for: the item, or the id of the run where it has none. @param {Api.SubDAGRun} called */
export const itemOf = ({ dagRunId, params }) => params || short(dagRunId);

/** Why a run is queued, waits, failed or was aborted; null for others. @param {Run} run @returns {Reason | null} */
export function reasonOf(run) {
  if (run.waitingFor?.message) return { step: null, text: waitText(run.waitingFor), tone: "wait" };
  const asking = waitingNode(run);
  if (asking) return { step: asking.step.name, text: "waits for approval", tone: "wait" };
  const isFailed = (/** @type {Api.Node} */ { status }) => status === NODE.FAILED;
  const step = run.nodes.find(isFailed);
  if (run.error && !step) return { step: null, text: run.error, tone: run.status === RUN.FAILED ? "bad" : "off" };
  const failed = step ?? nodesOf(run).find(isFailed);
  if (!failed) return null;
  return { step: failed.step.name, text: firstAndLast(failed.error || "failed"), tone: "bad" };
}

/** The first and the last line of an error. @param {string} error */
export function firstAndLast(error) {
  const lines = error.trim().split("\n");
  return [...new Set([lines[0], lines[lines.length - 1]])].join(" – ");
}

/** The first step that waits for an approval. @param {Run} run */
const waitingNode = (run) => nodesOf(run).find((node) => node.waiting);

/** @type {Look} */
const NOT_RUN = { word: "not run", icon: "dash", tone: "idle" };
/** @type {Look} */
const SKIPPED = { word: "skipped", icon: "skip", tone: "off" };

/** The look of a run: waiting for an approval, or skipped because a precondition was not met. @param {Run} run */
export function lookOfRun(run) {
  if (run.waitingForApproval || waitingNode(run)) return WAITING;
  const unmet = run.status === RUN.ABORTED && run.preconditions.some(({ error }) => error);
  return unmet && !nodesOf(run).some(({ startedAt }) => instant(startedAt)) ? SKIPPED : runStatus(run.status);
}

/**
 * The look of a step: one that the end of its run left out was not run, whatever the number of its status.
 * @param {{ status: number, startedAt?: string, waiting?: unknown }} node
 * @param {boolean} over whether its run has finished
 */
export function lookOfNode(node, over) {
  const isLeftOut = node.status === NODE.ABORTED || (over && node.status === NODE.NOT_STARTED);
  return isLeftOut && !instant(node.startedAt) ? NOT_RUN : lookOf(node);
}

/** @type {Tone[]} */
export const BY_URGENCY = ["bad", "wait", "busy", "mixed", "off", "idle", "good"];

/** How many have each look, those that need attention first. @param {Look[]} looks */
export function countLooks(looks) {
  const groups = Map.groupBy(looks, ({ word }) => word).values();
  const rank = (/** @type {{ look: Look }} */ { look }) => BY_URGENCY.indexOf(look.tone);
  return [...groups].map((equal) => ({ look: equal[0], count: equal.length })).sort((a, b) => rank(a) - rank(b));
}

/** How many have each look, "2 failed, 38 succeeded". @param {Look[]} looks */
export const countsText = (looks) =>
  countLooks(looks).map(({ look, count }) => `${count.toLocaleString("en")} ${look.word}`).join(", ");

/** Whether a change concerns a run. @param {{ name: string, runId: string }} address @param {Change} change */
export function concernsRun({ name, runId }, change) {
  const root = change.root ?? change;
  return (change.kind === "run" || change.kind === "log") && root.name === name && root.dagRunId === runId;
}

/** What a run may have replaced by its values, and the results of conditions: not part of a definition. */
const EVALUATED = new Set(["command", "args", "commands", "preconditions"]);

/** @param {Api.Step} step */
const definitionOf = (step) => JSON.stringify(Object.entries(step).filter(([key]) => !EVALUATED.has(key)).sort());

/**
 * The names of the steps that differ between a run and a definition, as far as the API describes them.
 * @param {Api.Step[]} ran
 * @param {Api.Step[]} [defined]
 */
export function changedSteps(ran, defined = []) {
  const [before, after] = [ran, defined].map((steps) => new Map(steps.map((step) => [step.name, definitionOf(step)])));
  return [...new Set([...after.keys(), ...before.keys()])].filter((name) => before.get(name) !== after.get(name));
}

/**
 * Whether a change is one of this very run or sub-run; its details are the same whatever the runs do that it called.
 * @param {RunAddress} address
 * @param {Change} change
 */
export function isOf({ name, runId, subRunId }, change) {
  return change.kind === "run" && change.dagRunId === (subRunId ?? runId) && concernsRun({ name, runId }, change);
}

/**
 * Sub-runs by their ids, with their changes since, as the feed reports them; what has ended is as the list has it.
 * @param {Api.SubDAGRunDetail[]} list
 * @param {Map<string, Change>} news
 */
export function withNews(list, news) {
  const found = new Map(list.map((sub) => [sub.dagRunId, sub]));
  for (const [dagRunId, { status, statusLabel, at = "", removed }] of news) {
    const known = found.get(dagRunId);
    if (removed || status === undefined || statusLabel === undefined || (known && isOver(known.status))) continue;
    const startedAt = known?.startedAt ?? at;
    const ended = isOver(status) && { finishedAt: at };
    found.set(dagRunId, { ...known, dagRunId, status, statusLabel, startedAt, ...ended });
  }
  return found;
}

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

/** "Try 2 of 3"; null for the only one. @param {number} execution @param {number | null} count if known */
export function tryTitle(execution, count) {
  if (count === null) return `Try ${execution}`;
  if (execution > count) return `Execution ${execution}`; // of a step that repeats
  return count === 1 ? null : `Try ${execution} of ${count}`;
}

/** "failed with exit code 1 · 12 s"; empty until it is known. @param {Api.StepTry | undefined} one */
export function outcomeOf(one) {
  if (!one) return "";
  if (one.finishedAtMillis === undefined) return "running";
  const word = one.status === undefined ? "ended" : nodeStatus(one.status).word;
  return `${word}${(one.exitCode ?? 0) > 0 ? ` with exit code ${one.exitCode}` : ""} · ${durationText(one)}`;
}

/**
 * The wait reason in a sentence, with times of the viewer's time zone. The server's own sentence names ids as well.
 * @param {Api.WaitingFor} waitingFor
 */
export function waitText(waitingFor) {
  const ahead = waitingFor.position - 1;
  return ahead > 0 ? `${plural(ahead, "run")} ahead. ${causeOf(waitingFor)}` : causeOf(waitingFor);
}

/** The reason without the position, the same for most runs of a queue. @param {Partial<Api.WaitingFor>} wait */
export function causeOf(wait) {
  const { reason, queue, message = "", limit = 0, running = 0, heldBy = [] } = wait;
  if (reason === "limit") {
    const names = heldBy.map(({ name, startedAt }) => `${name}${sinceText(startedAt)}`).join(", ");
    const more = running - heldBy.length;
    const others = more > 0 && heldBy.length ? ` and ${more} more` : "";
    return `Queue ${queue} is full (${running} of ${limit} active)${names && `: ${names}${others}`}`;
  }
  if (reason === "paused") return pauseText(wait);
  return reason === "turn" ? "Starts next" : message.replace(/`([^`]*)`/g, "“$1”");
}

/** @param {Partial<Api.WaitingFor>} wait */
function pauseText({ queue, everything, since, by, until, pauseReason }) {
  const what = everything ? "Everything is paused" : `Queue ${queue} is paused${sinceText(since)}`;
  const end = clock(until) ? ` until ${clock(until)}` : "";
  return `${what}${by ? ` by ${by}` : ""}${end}${pauseReason ? `: ${pauseReason}` : ""}`;
}

/** The reason that most runs of a queue have in common, empty if each has its own. @param {RunSummary[]} queued */
export function sharedCause(queued) {
  const groups = Map.groupBy(queued, ({ waitingFor }) => (waitingFor ? causeOf(waitingFor) : ""));
  const [cause, runs] = [...groups].sort(([, one], [, other]) => other.length - one.length)[0] ?? ["", []];
  return runs.length > 1 || queued.length === 1 ? cause : "";
}

/** @param {string | undefined} at */
const sinceText = (at) => (clock(at) ? ` since ${clock(at)}` : "");
