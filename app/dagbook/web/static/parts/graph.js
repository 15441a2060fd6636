// Layered drawing of a DAG, of which a worker makes the layout: similar steps are folded into one box, arrow keys move
// between steps.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/core.js";
import { inOrder, pathOf, withHandlers } from "../lib/arrange.js";
import { duration, secondsOf } from "../lib/format.js";
import { keyOf, toGraph } from "../lib/graph.js";
import { NODE } from "../lib/status.js";
import { useNow } from "../lib/clock.js";
import { Icon, Loading } from "./basic.js";

/** @import { Graph, GraphNode, Placed, Point, Size } from "../../types/ui" */

/** @typedef {{ current: HTMLDivElement | null }} Pane what scrolls */

const ZOOM = 1.2;
const [LEAST, SMALLEST, LARGEST, MOST] = [0.05, 0.75, 1, 3]; // scales; a graph opens readable: between the inner two
const LARGE = 60; // nodes, from which on a map and a search help
const MAP = { width: 176, height: 112 }; // pixels, at most
/** What computes layouts, so that the page stays responsive. @type {Worker | null} */
let worker = null;
let count = 0; // questions
/** @type {Map<number, (placed: Placed) => void>} */
const waiting = new Map();

/**
 * `legend` shows above the drawing.
 * @param {{ steps: GraphStep[], chosen?: string | null, onChoose?: ((name: string) => void), legend?: Children }} props
 */
export function DagGraph({ steps, chosen, onChoose, legend }) {
  const [unfolded, setUnfolded] = useState(/** @type {Set<string>} */ (new Set()));
  const [turned, setTurned] = useState(false);
  const [whole, setWhole] = useState(false); // window
  const [found, setFound] = useState(/** @type {string | undefined} */ (undefined));
  const pane = useRef(/** @type {HTMLDivElement | null} */ (null));
  const graph = useMemo(() => toGraph(steps, unfolded), [steps, unfolded]);
  const placed = useLayout(graph, turned, pane);
  const focus = graph.nodes.find(({ step }) => step && step.name === chosen)?.id;
  const { scale, fits, zoom, fit } = useScale(pane, placed, whole);
  const show = (/** @type {string | undefined} */ id) => id && placed && bring(pane, placed.places[id], scale);
  useLayoutEffect(() => {
    show(focus ?? graph.nodes[0]?.id);
  }, [focus, placed, fits]);
  const act = (/** @type {GraphNode} */ { id, step }) =>
    step ? onChoose?.(step.name) : setUnfolded(new Set([...unfolded, id]));
  const drawing = useMemo(() => placed && html`<${Lines} placed=${placed} path=${graph.path} />
    ${graph.nodes.filter(({ id }) => placed.places[id]).map((node) => html`<${Box} key=${node.id} node=${node}
      at=${placed.places[node.id]} chosen=${node.id === focus} found=${node.id === found} onAct=${act} />`)}`,
    [graph, placed, focus, found]);
  const find = (/** @type {string} */ text) => {
    const id = text ? graph.nodes.find(({ step, group = [] }) => [...(step ? [step] : []), ...group]
      .some(({ name }) => name.toLowerCase().includes(text.toLowerCase())))?.id : undefined;
    setFound(id);
    show(id);
  };
  const isLarge = graph.nodes.length > LARGE;
  const size = placed && { width: `${placed.width}px`, height: `${placed.height}px`, zoom: String(scale) };
  return html`<div class=${whole ? "graph whole" : "graph"} tabindex="-1"
    onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Escape" && setWhole(false)}>
    <div class="graph-bar">
      <button type="button" class="quiet" aria-label="Zoom in" onClick=${() => zoom(ZOOM)}>+</button>
      <button type="button" class="quiet" aria-label="Zoom out" onClick=${() => zoom(1 / ZOOM)}>−</button>
      <button type="button" class="quiet" onClick=${() => fit(LEAST)}>Fit</button>
      <button type="button" class="quiet" onClick=${() => setTurned(!turned)}>Rotate</button>
      ${unfolded.size > 0 && html`<button type="button" class="quiet" onClick=${() => setUnfolded(new Set())}>
        Fold groups</button>`}
      ${isLarge && html`<input type="search" aria-label="Find a step" placeholder="Find a step" list="graph-steps"
          onInput=${(/** @type {InputChange} */ event) => find(event.target.value)} />
        <datalist id="graph-steps">${steps.map(({ name }) => html`<option key=${name} value=${name} />`)}</datalist>`}
      <span class="grow"></span>
      <button type="button" class="quiet" title=${whole ? "Back to the page (Escape)" : "In the whole window"}
        onClick=${() => setWhole(!whole)}>${whole ? "Close" : "Expand"}</button></div>
    ${legend}
    <div class="graph-pane">
      <div class="graph-frame" ref=${pane} onPointerDown=${drag} onWheel=${(/** @type {WheelEvent} */ event) => {
          if (!event.ctrlKey && !event.metaKey) return;
          event.preventDefault();
          zoom(event.deltaY < 0 ? ZOOM : 1 / ZOOM, event);
        }}
        onKeyDown=${(/** @type {Targeted<KeyboardEvent, HTMLElement>} */ event) => placed && walk(event, graph,
          placed)}>
        ${!placed && html`<${Loading} what="graph" />`}
        <div class="graph-layer" role="group" aria-label="Graph of the steps" style=${size}>${drawing}</div></div>
      ${isLarge && placed && html`<${MiniMap} graph=${graph} placed=${placed} pane=${pane} scale=${scale} />`}
    </div></div>`;
}

/** The layout; until it is there, the one before. @param {Graph} graph @param {boolean} turned @param {Pane} pane */
function useLayout(graph, turned, pane) {
  const [placed, setPlaced] = useState(/** @type {Placed | null} */ (null));
  const shape = JSON.stringify([graph.nodes.map(({ id, width, height }) => [id, width, height]), graph.edges]);
  useEffect(() => {
    let current = true;
    const { clientWidth: width = 1, clientHeight: height = 1 } = pane.current ?? {};
    place(graph, { width, height }, turned).then((found) => current && setPlaced(found));
    return () => {
      current = false;
    };
  }, [shape, turned]);
  return placed;
}

/**
 * The scale of a drawing, and how often it was fitted; what is under the pointer, or else in the middle, stays there.
 * @param {Pane} pane
 * @param {Placed | null} placed
 * @param {boolean} whole
 */
function useScale(pane, placed, whole) {
  const [{ scale, fits }, setState] = useState({ scale: LARGEST, fits: 0 });
  const kept = useRef(/** @type {{ x: number, y: number, left: number, top: number } | null} */ (null));
  const fit = (/** @type {number} */ least) => {
    if (!pane.current || !placed) return;
    const { clientWidth, clientHeight } = pane.current;
    const wanted = Math.min(LARGEST, clientWidth / placed.width, clientHeight / placed.height);
    setState({ scale: Math.max(least, wanted), fits: fits + 1 });
  };
  useLayoutEffect(() => fit(SMALLEST), [placed, whole]);
  useLayoutEffect(() => {
    if (kept.current) {
      const { x, y, left, top } = kept.current;
      pane.current?.scrollTo(x * scale - left, y * scale - top);
    }
    kept.current = null;
  }, [scale]);
  const zoom = (/** @type {number} */ factor, /** @type {{ clientX: number, clientY: number } | null} */ at = null) => {
    if (!pane.current) return;
    const { scrollLeft, scrollTop, clientWidth, clientHeight } = pane.current;
    const box = pane.current.getBoundingClientRect();
    const [left, top] = at ? [at.clientX - box.left, at.clientY - box.top] : [clientWidth / 2, clientHeight / 2];
    kept.current = { x: (scrollLeft + left) / scale, y: (scrollTop + top) / scale, left, top };
    setState({ scale: Math.min(MOST, Math.max(LEAST, scale * factor)), fits });
  };
  return { scale, fits, zoom, fit };
}

/**
 * Scroll a box into the middle if it is not in sight.
 * @param {Pane} pane
 * @param {import("../../types/ui").Box | undefined} box
 * @param {number} scale
 */
function bring({ current: pane }, box, scale) {
  if (!pane || !box) return;
  const { scrollLeft, scrollTop, clientWidth, clientHeight } = pane;
  const isSeen = (/** @type {number} */ at, /** @type {number} */ size, /** @type {number} */ from,
    /** @type {number} */ length) => (at - size / 2) * scale >= from && (at + size / 2) * scale <= from + length;
  if (isSeen(box.x, box.width, scrollLeft, clientWidth) && isSeen(box.y, box.height, scrollTop, clientHeight)) return;
  pane.scrollTo(box.x * scale - clientWidth / 2, box.y * scale - clientHeight / 2);
}

/** Scroll by dragging the paper with a mouse. @param {Targeted<PointerEvent, HTMLElement>} event */
function drag(event) {
  if (event.button !== 0 || event.pointerType !== "mouse" || event.target.closest(".box")) return;
  const pane = event.currentTarget;
  const move = (/** @type {PointerEvent} */ { movementX, movementY }) => pane.scrollBy(-movementX, -movementY);
  pane.setPointerCapture(event.pointerId);
  pane.addEventListener("pointermove", move);
  pane.addEventListener("lostpointercapture", () => pane.removeEventListener("pointermove", move), { once: true });
}

/** @param {{ placed: Placed, path: Set<string> }} props */
function Lines({ placed, path }) {
  const draw = (/** @type {boolean} */ onPath) => {
    const paths = placed.lines.filter((line) => path.has(keyOf(line)) === onPath).map((line) => pathOf(line, placed));
    return html`<g class=${onPath ? "critical" : ""}>
      <path class="edge" d=${paths.map(({ line }) => line).join("")} />
      <path class="head" d=${paths.map(({ head }) => head).join("")} /></g>`;
  };
  return html`<svg class="graph-lines" width=${placed.width} height=${placed.height} aria-hidden="true">
    ${draw(false)}${draw(true)}</svg>`;
}

/**
 * @param {{ node: GraphNode, at: import("../../types/ui").Box, chosen: boolean, found: boolean,
 *   onAct: (node: GraphNode) => void }} props
 */
function Box({ node, at, chosen, found, onAct }) {
  const { step, group, look, text, note } = node;
  const critical = isCritical(node) && "on the critical path";
  const title = group ? `${[`${group.length} steps like ${group[0].name}${note && `: ${note}`}`, critical]
    .filter(Boolean).join(", ")}; show them`
    : [look ? `${text}: ${look.word}` : text, note, critical].filter(Boolean).join(", ");
  const style = { left: `${at.x - at.width / 2}px`, top: `${at.y - at.height / 2}px`, width: `${at.width}px`,
    height: `${at.height}px` };
  const kinds = ["box", look?.tone ?? "idle", group && "group", step?.handler && "handler", found && "found",
    critical && "critical"];
  return html`<button type="button" class=${kinds.filter(Boolean).join(" ")} style=${style} title=${title}
    aria-label=${title} aria-pressed=${group ? undefined : chosen} data-node=${node.id} onClick=${() => onAct(node)}>
    ${look && html`<${Icon} name=${look.icon} />`}<span class="box-name cut">${text}</span>
    ${step?.times && html`<${Elapsed} times=${step.times} active=${step.status === NODE.RUNNING} />`}
    ${note && html`<small class="cut">${note}</small>`}</button>`;
}

/** @param {GraphNode} node */
const isCritical = ({ step, group = [] }) => [step, ...group].some((one) => one?.link);

/** @param {{ times: Timed, active: boolean }} props */
function Elapsed({ times, active }) {
  const seconds = secondsOf(times, useNow(1, active));
  return seconds === null ? null : html`<span class="number faint">${duration(seconds)}</span>`;
}

/**
 * All of the drawing in small, and the part of it that is in sight; a press moves there.
 * @param {{ graph: Graph, placed: Placed, pane: Pane, scale: number }} props
 */
function MiniMap({ graph, placed, pane, scale }) {
  const seen = useRef(/** @type {HTMLElement | null} */ (null));
  const small = Math.min(MAP.width / placed.width, MAP.height / placed.height);
  useLayoutEffect(() => {
    const { current: frame } = pane;
    if (!frame) return undefined;
    const update = () => {
      const { scrollLeft: left, scrollTop: top, clientWidth: width, clientHeight: height } = frame;
      for (const [name, value] of Object.entries({ left, top, width, height }))
        seen.current?.style.setProperty(name, `${(value / scale) * small}px`);
    };
    update();
    frame.addEventListener("scroll", update);
    return () => frame.removeEventListener("scroll", update);
  });
  /** @type {Record<string, string>} */
  const paths = {}; // by tone
  let critical = "";
  for (const node of graph.nodes) {
    const box = placed.places[node.id];
    const tone = node.look?.tone ?? "idle";
    const line = box ? `M${box.x - box.width / 2} ${box.y}h${box.width}` : "";
    paths[tone] = `${paths[tone] ?? ""}${line}`;
    if (isCritical(node)) critical += line;
  }
  const go = (/** @type {Targeted<PointerEvent, HTMLElement>} */ { buttons, currentTarget, clientX, clientY }) => {
    const { left, top } = currentTarget.getBoundingClientRect();
    const { clientWidth = 0, clientHeight = 0 } = pane.current ?? {};
    const far = scale / small;
    if (buttons) pane.current?.scrollTo((clientX - left) * far - clientWidth / 2, (clientY - top) * far
      - clientHeight / 2);
  };
  const [width, height] = [placed.width * small, placed.height * small];
  return html`<div class="graph-map" aria-hidden="true" style=${{ width: `${width}px`, height: `${height}px` }}
    onPointerDown=${go} onPointerMove=${go}>
    <svg width=${width} height=${height} viewBox=${`0 0 ${placed.width} ${placed.height}`}>
      ${Object.entries(paths).map(([tone, d]) => html`<path key=${tone} class=${tone} d=${d} />`)}
      <path class="critical" d=${critical} /></svg>
    <div class="graph-window" ref=${seen}></div></div>`;
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
  const across = way.toReversed();
  const along = (/** @type {Point} */ { x, y }, /** @type {number[]} */ to) =>
    (x - here.x) * to[0] + (y - here.y) * to[1];
  const near = graph.nodes.filter(({ id }) => placed.places[id])
    .map(({ id }) => ({ id, ahead: along(placed.places[id], way), beside: Math.abs(along(placed.places[id], across)) }))
    .filter(({ ahead }) => ahead > 1)
    .sort((one, other) => one.ahead + 2 * one.beside - (other.ahead + 2 * other.beside))[0];
  if (!near) return;
  /** @type {HTMLElement | null} */
  const box = event.currentTarget.querySelector(`[data-node=${CSS.escape(near.id)}]`);
  box?.focus();
}

function startWorker() {
  const made = new Worker(new URL("../lib/layout-worker.js", import.meta.url), { type: "module" });
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
function place(graph, pane, turned) {
  worker ??= startWorker();
  const target = worker;
  const id = (count += 1);
  const steps = graph.nodes.filter(({ step }) => !step?.handler);
  const nodes = steps.map(({ id: name, width, height }) => ({ id: name, width, height }));
  return new Promise((resolve) => {
    waiting.set(id, (placed) => resolve(withHandlers(graph, inOrder(graph, placed))));
    target.postMessage({ id, nodes, edges: graph.edges, pane, turned });
  });
}
