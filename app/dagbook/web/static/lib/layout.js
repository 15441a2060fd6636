// Client of the layout worker.

/** @typedef {import("./graph.js").Graph} Graph */
/** @typedef {{ id: string, width: number, height: number }} Sized */
/** @typedef {{ id: number, nodes: Sized[], edges: Graph["edges"], direction: string }} Question */
/** @typedef {{ x: number, y: number }} Point */
/** @typedef {Point & { width: number, height: number }} Box */
/** @typedef {{ from: string, to: string, points: Point[] }} Line */
/** @typedef {{ places: Record<string, Box>, lines: Line[], width: number, height: number }} Placed */

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
 * Compute the positions of nodes and edges.
 * @param {Graph} graph
 * @param {string} direction
 * @returns {Promise<Placed>}
 */
export function place({ nodes, edges }, direction) {
  worker ??= start();
  const target = worker;
  const id = (count += 1);
  const sizes = nodes.map(({ id: name, width, height }) => ({ id: name, width, height }));
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    target.postMessage({ id, nodes: sizes, edges, direction });
  });
}
