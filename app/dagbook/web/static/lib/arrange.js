// Drawing of a graph whose layout is known: handlers, and lines between boxes. Pure.

/** @import { Box, Graph, Line, Placed, Point, Size } from "../../types/ui" */

/** Pixels between boxes of one layer, between layers, and around the drawing. */
export const [BESIDE, BETWEEN, MARGIN] = [16, 44, 12];
const [HEAD, HALF] = [7, 4]; // pixels: length of an arrowhead, and half of its width

/**
 * The same drawing, in which steps with the same neighbours stand in the order of the definition.
 * @param {Graph} graph
 * @param {Placed} placed
 * @returns {Placed}
 */
export function inOrder({ nodes, edges }, placed) {
  const { places, lines } = placed;
  const beside = new Map(Object.keys(places).map((id) => [id, /** @type {[string[], string[]]} */ ([[], []])]));
  for (const { from, to } of edges) {
    beside.get(to)?.[0].push(from);
    beside.get(from)?.[1].push(to);
  }
  const ids = nodes.map(({ id }) => id).filter((id) => places[id]);
  const equals = Map.groupBy(ids, (id) => JSON.stringify(beside.get(id)?.map((names) => names.sort())));
  const order = (/** @type {string} */ one, /** @type {string} */ other) =>
    places[one].y - places[other].y || places[one].x - places[other].x;
  const names = new Map([...equals.values()].flatMap((equal) => {
    const sorted = [...equal].sort(order);
    return equal.map((id, at) => /** @type {const} */ ([sorted[at], id]));
  }));
  const named = (/** @type {string} */ id) => names.get(id) ?? id;
  return {
    ...placed,
    places: Object.fromEntries(Object.entries(places).map(([id, box]) => [named(id), box])),
    lines: lines.map((line) => ({ ...line, from: named(line.from), to: named(line.to) })),
  };
}

/** Add the handlers in a row below the steps. @param {Graph} graph @param {Placed} placed @returns {Placed} */
export function withHandlers({ nodes }, placed) {
  const handlers = nodes.filter(({ step }) => step?.handler);
  if (!handlers.length) return placed;
  const [{ width, height }] = handlers;
  const y = placed.height + BESIDE + height / 2;
  const boxes = handlers.map(({ id }, index) =>
    [id, { x: MARGIN + width / 2 + index * (width + BESIDE), y, width, height }]);
  return {
    ...placed,
    places: { ...placed.places, ...Object.fromEntries(boxes) },
    width: Math.max(placed.width, 2 * MARGIN + handlers.length * (width + BESIDE) - BESIDE),
    height: y + height / 2 + MARGIN,
  };
}

/** The paths of a line, from middle to middle of sides, and of its head. @param {Line} line @param {Placed} placed */
export function pathOf({ from, to, points }, { places, direction }) {
  const down = direction === "TB";
  const half = (/** @type {Box} */ box) => (down ? box.height : box.width) / 2;
  const move = (/** @type {Point} */ { x, y }, /** @type {number} */ far) =>
    down ? { x, y: y + far } : { x: x + far, y };
  const [first, tip] = [move(places[from], half(places[from])), move(places[to], -half(places[to]))];
  const end = move(tip, -HEAD);
  let [line, before] = [`M${first.x} ${first.y}`, first];
  // The outer points of the layout are beside those of the boxes: a line between neighbouring layers is one curve.
  for (const point of [...points.slice(2, -2), end]) {
    const [x, y] = [(before.x + point.x) / 2, (before.y + point.y) / 2];
    line += down ? `C${before.x} ${y} ${point.x} ${y}` : `C${x} ${before.y} ${x} ${point.y}`;
    line += ` ${point.x} ${point.y}`;
    before = point;
  }
  const corners = down ? [[-HALF, -HEAD], [HALF, -HEAD]] : [[-HEAD, -HALF], [-HEAD, HALF]];
  return { line, head: `M${tip.x} ${tip.y}${corners.map(([x, y]) => `L${tip.x + x} ${tip.y + y}`).join("")}Z` };
}
