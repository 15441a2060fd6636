// Worker that computes the layout of a graph, so that the page stays responsive.

import { Graph, layout } from "../vendor/graph.js";

self.onmessage = ({ data }) => {
  const { id, nodes, edges, direction } = /** @type {import("./layout.js").Question} */ (data);
  const graph = new Graph();
  graph.setGraph({ rankdir: direction, nodesep: 18, ranksep: 46, marginx: 12, marginy: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(node.id, { width: node.width, height: node.height });
  for (const edge of edges) graph.setEdge(edge.from, edge.to);
  layout(graph);
  const places = Object.fromEntries(nodes.map(({ id: name }) => [name, pick(graph.node(name))]));
  const lines = edges.map((edge) => ({ ...edge, points: graph.edge(edge.from, edge.to).points }));
  const { width, height } = graph.graph();
  self.postMessage({ id, places, lines, width, height });
};

/** @param {{ x: number, y: number, width: number, height: number }} node */
function pick({ x, y, width, height }) {
  return { x, y, width, height };
}
