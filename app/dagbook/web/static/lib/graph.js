// Graph of steps and their dependencies, to be drawn. Pure.

import { countLooks, countsText, lookOfNode } from "./runs.js";
import { isOver, lookOfRow } from "./status.js";

/** @import { Edge, Graph, GraphNode, Link, Look, Size } from "../../types/ui" */

const FOLD_FROM = 12; // groups of at least so many similar steps are drawn as one node

const [NARROWEST, WIDEST] = [120, 300]; // pixels
const [LOW, HIGH] = [32, 48]; // pixels, without and with a second line
const [LETTER, SMALL, AROUND, TIME] = [7.6, 6.7, 44, 64]; // pixels: a character of each line, padding, a duration

/**
 * Nodes and edges of a run or of a definition.
 * `unfolded` has the keys of the groups whose steps are drawn one by one.
 * @param {GraphStep[]} steps
 * @param {Set<string>} [unfolded]
 * @returns {Graph}
 */
export function toGraph(steps, unfolded = new Set()) {
  const names = new Set(steps.filter(({ handler }) => !handler).map((step) => step.name));
  const ids = new Map(); // name of a step -> id of its node
  /** @type {Omit<GraphNode, keyof Size>[]} */
  const found = [];
  for (const group of alike(steps)) {
    const key = `group:${group[0].name}`;
    if (group.length < FOLD_FROM || unfolded.has(key)) {
      for (const step of group) {
        const id = `${step.handler ? "handler" : "step"}:${step.name}`;
        found.push({ id, step, look: step.look, text: step.name, note: step.handler || step.count || "" });
        if (!step.handler) ids.set(step.name, id);
      }
    } else {
      const looks = group.flatMap(({ look }) => look ?? []);
      const [{ look } = {}] = countLooks(looks);
      found.push({ id: key, group, look, text: `${group.length} × ${group[0].name}`, note: countsText(looks) });
      for (const step of group) ids.set(step.name, key);
    }
  }
  const size = sizeOf(found, steps.some(({ times }) => times));
  const edges = new Map();
  /** @type {Set<string>} */
  const path = new Set();
  for (const step of steps.filter(({ handler }) => !handler)) {
    for (const name of step.depends.filter((one) => names.has(one))) {
      const [from, to] = [ids.get(name), ids.get(step.name)];
      if (from === to) continue;
      edges.set(keyOf({ from, to }), { from, to });
      if (step.link?.after === name) path.add(keyOf({ from, to }));
    }
  }
  return { nodes: found.map((node) => ({ ...node, ...size })), edges: [...edges.values()], path };
}

/** @param {Edge} edge */
export const keyOf = ({ from, to }) => `${from}\n${to}`;

/** One size, so that nodes can exchange places. @param {Omit<GraphNode, keyof Size>[]} nodes @param {boolean} timed */
function sizeOf(nodes, timed) {
  const longest = (/** @type {"text" | "note"} */ line) => Math.max(0, ...nodes.map((node) => [...node[line]].length));
  const width = Math.max(longest("text") * LETTER + AROUND + (timed ? TIME : 0), longest("note") * SMALL + AROUND);
  return { width: Math.ceil(Math.min(WIDEST, Math.max(NARROWEST, width))), height: longest("note") ? HIGH : LOW };
}

/**
 * Groups of similar steps: those with the same dependencies and the same dependents. A handler is one of its own.
 * @param {GraphStep[]} steps
 */
function alike(steps) {
  /** @type {Map<string, string[]>} */
  const below = new Map(steps.map((step) => [step.name, []]));
  for (const step of steps) for (const name of step.depends) below.get(name)?.push(step.name);
  return Map.groupBy(steps, ({ name, depends, handler }) =>
    JSON.stringify(handler ? [handler] : [[...depends].sort(), [...(below.get(name) ?? [])].sort()])).values();
}

/** @typedef {{ step: Api.Step } & Partial<Api.Node>} AnyNode a step of a run, or of a definition */
/** @typedef {Map<string, { status: number, waitingForApproval?: boolean }>} Known the runs that steps called, by id */

/**
 * Steps with their dependencies; `over`: their run has finished.
 * @param {AnyNode[]} nodes @param {Known | null} [known] @param {boolean} [over] @returns {GraphStep[]}
 */
export const stepsOf = (nodes, known = null, over = false) =>
  nodes.map((node) => ({ ...shown(node, known, over), depends: node.step.depends ?? [] }));

/** Steps and handlers. @param {Run} run @param {Known | null} [known] @param {Link[]} [links] its critical path */
export function stepsOfRun(run, known = null, links = []) {
  const handlers = /** @type {const} */ ({ "on wait": run.onWait, "on success": run.onSuccess,
    "on failure": run.onFailure, "on cancel": run.onCancel, "on exit": run.onExit });
  const over = isOver(run.status);
  const all = [...stepsOf(run.nodes, known, over), ...handlersOf(handlers, over)];
  const byNode = new Map(links.map((link) => [/** @type {unknown} */ (link.node), link]));
  return all.map((step) => ({ ...step, link: byNode.get(step.times) }));
}

/** Steps and handlers of a definition. @param {Api.DAGDetails} dag */
export function stepsOfDag({ steps = [], handlerOn = {} }) {
  const handlers = Object.entries(handlerOn).map(([event, step]) => [`on ${event}`, step && { step }]);
  return [...stepsOf(steps.map((step) => ({ step }))), ...handlersOf(Object.fromEntries(handlers))];
}

/** @param {Record<string, AnyNode | undefined>} handlers by event @param {boolean} [over] @returns {GraphStep[]} */
const handlersOf = (handlers, over = false) => Object.entries(handlers).flatMap(([handler, node]) =>
  node ? [{ ...shown(node, null, over), depends: [], handler }] : []);

/** @param {AnyNode} node @param {Known | null} known @param {boolean} over */
function shown(node, known, over) {
  const { step, status, startedAt, waiting } = node;
  const look = status === undefined ? undefined : lookOfNode({ status, startedAt, waiting }, over);
  return { name: step.name, status, look, times: look && node, count: callsText(node, known) };
}

/**
 * How many runs a step calls, "40 × child: 2 failed, 38 succeeded"; empty for fewer than two.
 * @param {AnyNode} node
 * @param {Known | null} known
 */
function callsText({ step, subRuns }, known) {
  const items = step.parallel?.items;
  const count = subRuns?.length ?? (Array.isArray(items) ? items.length : 0);
  if (count < 2) return "";
  const looks = (subRuns ?? []).flatMap(({ dagRunId }) => {
    const sub = known?.get(dagRunId);
    return sub ? lookOfRow(sub) : [];
  });
  return [`${count} × ${step.call ?? "sub-run"}`, countsText(looks)].filter(Boolean).join(": ");
}

/** The names of a step and all that depend on it, directly or not. @param {GraphStep[]} steps @param {string} name */
export function withDescendants(steps, name) {
  const found = new Set([name]);
  for (let grown = true; grown; ) {
    grown = false;
    for (const step of steps) {
      if (!found.has(step.name) && step.depends.some((one) => found.has(one))) {
        found.add(step.name);
        grown = true;
      }
    }
  }
  return found;
}
