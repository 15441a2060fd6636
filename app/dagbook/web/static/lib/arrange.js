// Drawing of a graph whose layout is known: handlers, and lines between boxes. Pure.

/** @typedef {import("./graph.js").Graph} Graph */
/** @typedef {import("./graph.js").Size} Size */
/** @typedef {{ x: number, y: number }} Point */
/** @typedef {Point & Size} Box its centre and size */
/** @typedef {{ from: string, to: string, points: Point[] }} Line */
/**
 * From top to bottom, or from left to right.
 * @typedef {{ places: Record<string, Box>, lines: Line[], direction: "TB" | "LR" } & Size} Placed
 */

/** Pixels between boxes of one layer, between layers, and around the drawing. */
export const [BESIDE, BETWEEN, MARGIN] = [16, 44, 12];
const [LEAD, HEAD, HALF] = [20, 7, 4]; // pixels: where a line turns, length of an arrowhead, and half of its width

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
  /** @type {Map<string, string[]>} */
  const equals = new Map();
  for (const { id } of nodes.filter((node) => places[node.id])) {
    const key = JSON.stringify(beside.get(id)?.map((names) => names.sort()));
    equals.set(key, [...(equals.get(key) ?? []), id]);
  }
  const order = (/** @type {string} */ one, /** @type {string} */ other) =>
    places[one].y - places[other].y || places[one].x - places[other].x;
  const names = new Map([...equals.values()].flatMap((ids) => {
    const sorted = [...ids].sort(order);
    return ids.map((id, at) => /** @type {const} */ ([sorted[at], id]));
  }));
  const named = (/** @type {string} */ id) => names.get(id) ?? id;
  return {
    ...placed,
    places: Object.fromEntries(Object.entries(places).map(([id, box]) => [named(id), box])),
    lines: lines.map((line) => ({ ...line, from: named(line.from), to: named(line.to) })),
  };
}

/**
 * The drawing with its handlers in a row below the steps.
 * @param {Graph} graph
 * @param {Placed} placed
 * @returns {Placed}
 */
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

/**
 * The path of a line, which begins and ends in the middle of a side, and that of its arrowhead.
 * @param {Line} line
 * @param {Placed} placed
 */
export function pathOf({ from, to, points }, { places, direction }) {
  const [start, end] = [places[from], places[to]];
  const down = direction === "TB";
  const move = (/** @type {Point} */ { x, y }, /** @type {number} */ far) =>
    down ? { x, y: y + far } : { x: x + far, y };
  const half = (/** @type {Box} */ box) => (down ? box.height : box.width) / 2;
  const [first, tip] = [move(start, half(start)), move(end, -half(end))];
  const last = move(tip, -HEAD);
  const bends = [move(first, LEAD), ...points.slice(1, -1), move(last, -LEAD)];
  const parts = bends.map((bend, at) => {
    const next = bends[at + 1];
    const until = next ? { x: (bend.x + next.x) / 2, y: (bend.y + next.y) / 2 } : last;
    return `Q${bend.x} ${bend.y} ${until.x} ${until.y}`;
  });
  const corners = down ? [[-HALF, -HEAD], [HALF, -HEAD]] : [[-HEAD, -HALF], [-HEAD, HALF]];
  const head = `M${tip.x} ${tip.y}${corners.map(([x, y]) => `L${tip.x + x} ${tip.y + y}`).join("")}Z`;
  return { line: `M${first.x} ${first.y}${parts.join("")}`, head };
}
