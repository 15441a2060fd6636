// Graph of steps and their dependencies, to be drawn. Pure.

const FOLD_FROM = 12; // groups of at least so many similar steps are drawn as one node
/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ id: string, step?: GraphStep, group?: GraphStep[] } & Size} GraphNode one step, or a group of them */
/** @typedef {{ from: string, to: string }} Edge */
/** @typedef {{ nodes: GraphNode[], edges: Edge[] }} Graph */

const [NARROWEST, WIDEST, HEIGHT] = [150, 300, 44]; // pixels
const [LETTER, AROUND] = [8.4, 52]; // pixels of a character of a name, and of what is beside it
/** Characters of a name that fit into a box. @param {number} width of the box, in pixels */
export const lettersIn = (width) => Math.floor((width - AROUND) / LETTER);

/**
 * Nodes and edges of a run or of a definition.
 * `unfolded` has the keys of the groups whose steps are drawn one by one.
 * @param {GraphStep[]} steps
 * @param {Set<string>} [unfolded]
 */
export function toGraph(steps, unfolded = new Set()) {
  const names = new Set(steps.map((step) => step.name));
  /** @type {Map<string, string[]>} */
  const below = new Map(steps.map((step) => [step.name, []]));
  for (const step of steps) for (const name of step.depends) below.get(name)?.push(step.name);
  const longest = Math.max(0, ...steps.map(({ name }) => [...name].length));
  const width = Math.min(WIDEST, Math.max(NARROWEST, Math.ceil(longest * LETTER) + AROUND));
  const ids = new Map(); // name of a step -> id of its node
  /** @type {GraphNode[]} */
  const nodes = [];
  for (const group of alike(steps, below)) {
    const key = `group:${group[0].name}`;
    if (group.length < FOLD_FROM || unfolded.has(key)) {
      for (const step of group) {
        nodes.push({ id: `step:${step.name}`, step, width, height: HEIGHT });
        ids.set(step.name, `step:${step.name}`);
      }
    } else {
      nodes.push({ id: key, group, width, height: HEIGHT });
      for (const step of group) ids.set(step.name, key);
    }
  }
  const edges = new Map();
  for (const step of steps) {
    for (const name of step.depends.filter((one) => names.has(one))) {
      const [from, to] = [ids.get(name), ids.get(step.name)];
      if (from !== to) edges.set(`${from}\n${to}`, { from, to });
    }
  }
  return { nodes, edges: [...edges.values()] };
}

/**
 * Groups of similar steps: those with the same dependencies and the same dependents.
 * @param {GraphStep[]} steps
 * @param {Map<string, string[]>} below
 */
function alike(steps, below) {
  const groups = new Map();
  for (const step of steps) {
    const key = JSON.stringify([[...step.depends].sort(), [...(below.get(step.name) ?? [])].sort()]);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(step);
  }
  return groups.values();
}

/**
 * Steps with their dependencies; in a chain a step without `depends` depends on the one before it.
 * @param {{ step: Api.Step, status?: number }[]} nodes
 * @param {{ chain?: boolean }} [options]
 */
export function stepsOf(nodes, { chain = false } = {}) {
  return nodes.map((node, index) => ({
    name: node.step.name,
    depends: node.step.depends ?? (chain && index ? [nodes[index - 1].step.name] : []),
    status: node.status,
    node,
  }));
}

/**
 * The names of a step and of all steps that depend on it, directly or not.
 * @param {GraphStep[]} steps
 * @param {string} name
 */
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

/**
 * The number of steps of a group in each status, largest first.
 * @template T
 * @param {{ status?: T }[]} group
 */
export function tally(group) {
  /** @type {Map<T | undefined, number>} */
  const counts = new Map();
  for (const { status } of group) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1]);
}
