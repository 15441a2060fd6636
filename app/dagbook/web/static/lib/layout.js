// Client of the layout worker.

import { inOrder, withHandlers } from "./arrange.js";

/** @import { Placed } from "./arrange.js" */
/** @import { Graph, Size } from "./graph.js" */
/** @typedef {{ nodes: ({ id: string } & Size)[], edges: Graph["edges"], pane: Size, turned: boolean }} Task */
/** @typedef {Task & { id: number }} Question */

/** @type {Worker | null} */
let worker = null;
let count = 0;
/** @type {Map<number, (placed: Placed) => void>} */
const waiting = new Map();

function start() {
  const made = new Worker(new URL("./layout-worker.js", import.meta.url), { type: "module" });
  made.onmessage = ({ data }) => {
    waiting.get(data.id)?.(data);
    waiting.delete(data.id);
  };
  return made;
}

/**
 * Compute the positions of nodes and edges, in the direction of which the pane shows more, or in the other one.
 * @param {Graph} graph
 * @param {Size} pane
 * @param {boolean} turned
 * @returns {Promise<Placed>}
 */
export function place(graph, pane, turned) {
  worker ??= start();
  const target = worker;
  const id = (count += 1);
  const steps = graph.nodes.filter(({ step }) => !step?.handler);
  const nodes = steps.map(({ id: name, width, height }) => ({ id: name, width, height }));
  return new Promise((resolve) => {
    waiting.set(id, (placed) => resolve(withHandlers(graph, inOrder(graph, placed))));
    target.postMessage({ id, nodes, edges: graph.edges, pane, turned });
  });
}
