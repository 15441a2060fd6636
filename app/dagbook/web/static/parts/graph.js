// Layered drawing of a DAG: similar steps are folded into one box, arrow keys move between steps.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/core.js";
import { lettersIn, tally, toGraph } from "../lib/graph.js";
import { place } from "../lib/layout.js";
import { NODE, nodeStatus } from "../lib/status.js";
import { Loading } from "./basic.js";
import { iconPath } from "./icon.js";

/** @typedef {import("../lib/graph.js").Graph} Graph */
/** @typedef {import("../lib/graph.js").GraphNode} GraphNode */
/** @typedef {import("../lib/layout.js").Placed} Placed */
/** @typedef {import("../lib/layout.js").Point} Point */
/** @typedef {{ scale: number, x: number, y: number }} View */

const ZOOM = 1.2;

/**
 * @param {{ steps: GraphStep[], chosen?: string | null, onChoose?: ((name: string) => void) }} props
 */
export function DagGraph({ steps, chosen, onChoose }) {
  const [unfolded, setUnfolded] = useState(/** @type {Set<string>} */ (new Set()));
  const [direction, setDirection] = useState("TB");
  const shape = JSON.stringify([steps.map(({ name, depends }) => [name, depends]), [...unfolded], direction]);
  const graph = useMemo(() => toGraph(steps, unfolded), [shape, steps]);
  const [placed, setPlaced] = useState(/** @type {Placed | null} */ (null));
  useEffect(() => {
    let current = true;
    place(graph, direction).then((result) => current && setPlaced(result));
    return () => {
      current = false;
    };
  }, [shape]);
  if (!placed) return html`<${Loading} what="graph" />`;
  const unfold = (/** @type {string} */ id) => setUnfolded(new Set([...unfolded, id]));
  return html`<${Canvas} graph=${graph} placed=${placed} chosen=${chosen} onChoose=${onChoose} onUnfold=${unfold}
    folded=${unfolded.size ? () => setUnfolded(new Set()) : null}
    onTurn=${() => setDirection(direction === "LR" ? "TB" : "LR")} />`;
}

/**
 * @param {{ graph: Graph, placed: Placed, chosen?: string | null, onChoose?: ((name: string) => void),
 *   onUnfold: (id: string) => void, folded: (() => void) | null, onTurn: () => void }} props
 */
function Canvas({ graph, placed, chosen, onChoose, onUnfold, folded, onTurn }) {
  const frame = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [view, setView] = useState(/** @type {View} */ ({ scale: 0, x: 0, y: 0 }));
  const fit = () => {
    if (!frame.current) return;
    const { clientWidth, clientHeight } = frame.current;
    const scale = Math.min(1.25, clientWidth / placed.width, clientHeight / placed.height);
    setView({ scale, x: (clientWidth - placed.width * scale) / 2, y: (clientHeight - placed.height * scale) / 2 });
  };
  useEffect(fit, [placed]);
  const zoom = (/** @type {number} */ factor) => {
    const { clientWidth = 0, clientHeight = 0 } = frame.current ?? {};
    setView((before) => around(before, factor, clientWidth / 2, clientHeight / 2));
  };
  const drag = useDrag(setView);
  const wheel = (/** @type {Targeted<WheelEvent, HTMLElement>} */ event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const box = event.currentTarget.getBoundingClientRect();
    setView((before) =>
      around(before, event.deltaY < 0 ? ZOOM : 1 / ZOOM, event.clientX - box.left, event.clientY - box.top),
    );
  };
  // Zooming and dragging transform the drawing as a whole: hundreds of boxes must not be rendered again per frame.
  const drawing = useMemo(
    () => html`
      ${placed.lines.map(({ from, to, points }) => html`<path key=${`${from}>${to}`} class="edge"
        d=${curve(points)} />`)}
      ${graph.nodes.filter(({ id }) => placed.places[id]).map((node) => html`<${Box} key=${node.id} node=${node}
        at=${placed.places[node.id]}
        chosen=${node.step?.name === chosen} onChoose=${onChoose} onUnfold=${onUnfold} />`)}`,
    [graph, placed, chosen],
  );
  const size = { "--tall": placed.height, "--ratio": placed.height / placed.width };
  return html`<div class="graph">
    <div class="graph-bar">
      <button type="button" class="quiet" aria-label="Zoom in" onClick=${() => zoom(ZOOM)}>+</button>
      <button type="button" class="quiet" aria-label="Zoom out" onClick=${() => zoom(1 / ZOOM)}>−</button>
      <button type="button" class="quiet" onClick=${fit}>Fit</button>
      <button type="button" class="quiet" onClick=${onTurn}>Rotate</button>
      ${folded && html`<button type="button" class="quiet" onClick=${folded}>Fold groups</button>`}
    </div>
    <div class="graph-frame" ref=${frame} style=${size} onPointerDown=${drag} onWheel=${wheel}
      onKeyDown=${(/** @type {Targeted<KeyboardEvent, HTMLElement>} */ event) => walk(event, graph, placed)}>
      <svg role="group" aria-label="Graph of the steps" width="100%" height="100%">
        ${view.scale > 0 && html`<g transform=${`translate(${view.x} ${view.y}) scale(${view.scale})`}>
${drawing}</g>`}</svg>
    </div>
  </div>`;
}

/**
 * @param {View} view
 * @param {number} factor
 * @param {number} x
 * @param {number} y
 */
function around(view, factor, x, y) {
  const scale = Math.min(4, Math.max(0.02, view.scale * factor));
  const grown = scale / view.scale;
  return { scale, x: x - (x - view.x) * grown, y: y - (y - view.y) * grown };
}

/** @param {(change: (before: View) => View) => void} setView */
function useDrag(setView) {
  return (/** @type {Targeted<PointerEvent, HTMLElement>} */ event) => {
    if (event.target.closest(".box")) return;
    const element = event.currentTarget;
    let [x, y] = [event.clientX, event.clientY];
    const move = (/** @type {PointerEvent} */ moved) => {
      const [dx, dy] = [moved.clientX - x, moved.clientY - y];
      [x, y] = [moved.clientX, moved.clientY];
      setView((before) => ({ ...before, x: before.x + dx, y: before.y + dy }));
    };
    element.setPointerCapture(event.pointerId);
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerup", () => element.removeEventListener("pointermove", move), { once: true });
  };
}

/** @param {Point[]} points */
function curve(points) {
  const [first, ...rest] = points;
  let text = `M${first.x} ${first.y}`;
  for (let at = 0; at < rest.length - 1; at += 1) {
    const [one, next] = [rest[at], rest[at + 1]];
    text += ` Q${one.x} ${one.y} ${(one.x + next.x) / 2} ${(one.y + next.y) / 2}`;
  }
  const end = rest.at(-1) ?? first;
  return `${text} L${end.x} ${end.y}`;
}

/**
 * @param {{ node: GraphNode, at: import("../lib/layout.js").Box, chosen: boolean, onChoose?: ((name: string) => void),
 *   onUnfold: (id: string) => void }} props
 */
function Box({ node, at, chosen, onChoose, onUnfold }) {
  const act = () => (node.step ? onChoose?.(node.step.name) : onUnfold(node.id));
  const press = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  };
  const { label, title, tone, icon } = node.step ? describe(node.step) : describeGroup(node.group ?? []);
  return html`<g class="box ${tone}" tabindex="0" role="button" aria-pressed=${chosen} aria-label=${title}
    data-node=${node.id}
    transform=${`translate(${at.x - at.width / 2} ${at.y - at.height / 2})`} onClick=${act} onKeyDown=${press}>
    <title>${title}</title>
    <rect width=${at.width} height=${at.height} rx="6" />
    ${node.group && html`<rect class="back" x="3" y="3" width=${at.width} height=${at.height} rx="6" />`}
    ${icon && html`<path transform="translate(10 14)" d=${iconPath(icon)} class="sign" />`}
    <text x=${icon ? 34 : 12} y="27">${cut(label, lettersIn(at.width))}</text>
  </g>`;
}

/** @param {{ name: string, status?: number }} step */
function describe({ name, status }) {
  const { word, tone, icon } = status === undefined ? { word: "", tone: "idle", icon: null } : nodeStatus(status);
  return { label: name, title: word ? `${name}: ${word}` : name, tone, icon };
}

/** @param {GraphStep[]} group */
function describeGroup(group) {
  const counts = tally(group);
  const words = counts
    .filter(([status]) => status !== undefined)
    .map(([status, count]) => `${count} ${nodeStatus(status).word}`);
  const worst = counts.find(([status]) => status === NODE.FAILED) ?? counts[0];
  const { tone, icon } = worst[0] === undefined ? { tone: "idle", icon: null } : nodeStatus(worst[0]);
  const title = `${group.length} steps like ${group[0].name}${words.length ? `: ${words.join(", ")}` : ""}; show them`;
  return { label: `${group.length} × ${group[0].name}`, title, tone, icon };
}

/**
 * @param {string} text
 * @param {number} longest
 */
function cut(text, longest) {
  const letters = [...text];
  return letters.length > longest ? `${letters.slice(0, longest - 1).join("")}…` : text;
}

/** @type {Record<string, [x: number, y: number]>} */
const WAYS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

/**
 * Move to the nearest box in the direction of an arrow key.
 * @param {Targeted<KeyboardEvent, HTMLElement>} event
 * @param {Graph} graph
 * @param {Placed} placed
 */
function walk(event, graph, placed) {
  const way = WAYS[event.key];
  const here = placed.places[event.target.dataset.node ?? ""];
  if (!way || !here) return;
  event.preventDefault();
  const near = graph.nodes
    .map(({ id }) => ({ id, ...placed.places[id] }))
    .map((box) => ({
      id: box.id,
      ahead: (box.x - here.x) * way[0] + (box.y - here.y) * way[1],
      beside: Math.abs((box.x - here.x) * way[1] + (box.y - here.y) * way[0]),
    }))
    .filter(({ ahead }) => ahead > 1)
    .sort((one, other) => one.ahead + 2 * one.beside - (other.ahead + 2 * other.beside))[0];
  if (!near) return;
  /** @type {SVGElement | null} */
  const box = event.currentTarget.querySelector(`[data-node=${CSS.escape(near.id)}]`);
  box?.focus();
}
