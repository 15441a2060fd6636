// Asks for the layout of a graph; only the last question of each asker is answered.

let worker = null;
let count = 0;
const waiting = new Map();

function start() {
  worker = new Worker(new URL("./layout-worker.js", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }) => {
    waiting.get(data.id)?.(data);
    waiting.delete(data.id);
  };
}

/** Place nodes: resolves to {places, lines, width, height}. */
export function place({ nodes, edges }, direction) {
  if (!worker) start();
  const id = (count += 1);
  const sizes = nodes.map(({ id: name, width, height }) => ({ id: name, width, height }));
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    worker.postMessage({ id, nodes: sizes, edges, direction });
  });
}
