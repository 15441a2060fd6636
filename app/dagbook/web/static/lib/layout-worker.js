// Worker that computes the layout of a graph, so that the page stays responsive.

import { Graph, layout } from "../vendor/graph.js";
import { BESIDE, BETWEEN, MARGIN } from "./arrange.js";

/** @import { Question } from "../../types/ui" */

/** @typedef {import("../../types/ui").Placed["direction"]} Direction */

const SMALL = 100; // nodes, up to which both directions are computed, and the one that shows more is taken

self.onmessage = ({ data }) => {
  const { id, nodes, pane, turned } = /** @type {Question} */ (data);
  /** @type {Direction[]} */
  const directions = nodes.length <= SMALL ? ["TB", "LR"] : [turned ? "LR" : "TB"];
  const seen = (/** @type {{ width: number, height: number }} */ { width, height }) =>
    Math.min(1, pane.width / width, pane.height / height);
  const drawings = directions.map((direction) => draw(data, direction));
  drawings.sort((one, other) => seen(other) - seen(one));
  self.postMessage({ id, ...drawings[turned ? drawings.length - 1 : 0] });
};

/** @param {Question} question @param {Direction} direction */
function draw({ nodes, edges }, direction) {
  const graph = new Graph();
  graph.setGraph({ rankdir: direction, nodesep: BESIDE, ranksep: BETWEEN, marginx: MARGIN, marginy: MARGIN });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id, width, height } of nodes) graph.setNode(id, { width, height });
  for (const { from, to } of edges) graph.setEdge(from, to);
  layout(graph);
  const places = Object.fromEntries(nodes.map(({ id }) => {
    const { x, y, width, height } = graph.node(id);
    return [id, { x, y, width, height }];
  }));
  const lines = edges.map((edge) => ({ ...edge, points: graph.edge(edge.from, edge.to).points }));
  const { width, height } = graph.graph();
  return { places, lines, width, height, direction };
}
