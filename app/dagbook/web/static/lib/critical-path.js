// The critical path of a run: the chain of steps that determined how long it took. Pure.

import { spanOf } from "./format.js";
import { nodesOf } from "./runs.js";

/** @import { CriticalPath, Link, Ran } from "../../types/ui" */

const SAME = 2; // milliseconds: a step starts in the moment in which the one ends that it waited for

/**
 * From the step that ended last, or has run for longest, back to the start. Each began when the last of its
 * dependencies ended, or later, when the end of another step made room under `maxActiveSteps`. Steps that kept the
 * result of an earlier attempt took no time of this one. Null if no step has started.
 * @param {Run} run
 * @param {number} [now]
 * @returns {CriticalPath | null}
 */
export function criticalPath(run, now = Date.now()) {
  const whole = spanOf(run, now);
  const ran = whole ? ranIn(run, whole, now) : new Map();
  const ends = new Map([...ran.values()].map((one) => [one.to, one]));
  const above = dependenciesOf(run, ran);
  /** @type {Link[]} */
  const links = [];
  const left = new Set(ran.values());
  for (let one = last(left); whole && one; ) {
    left.delete(one);
    const { node, from } = one;
    const due = last(above(one).filter((each) => left.has(each)));
    const isLate = from - (due?.to ?? whole.from) > SAME;
    const ending = isLate ? [0, 1, 2].map((ago) => ends.get(from - ago)) : [];
    /** @type {Ran | undefined} */
    const before = ending.find((each) => each && left.has(each)) ?? due;
    const name = before?.node.step.name;
    const after = name && node.step.depends?.includes(name) ? name : null;
    links.unshift({ ...one, after, wait: Math.max(0, from - (before?.to ?? whole.from)) });
    one = before;
  }
  if (!whole || !links.length) return null;
  const waited = links.reduce((sum, { wait }) => sum + wait, whole.to - links[links.length - 1].to);
  return { links, total: whole.to - whole.from, waited };
}

/**
 * What ran in this attempt. The handler that runs while approvals are waited for holds up nothing.
 * @param {Run} run
 * @param {{ from: number, to: number }} whole
 * @param {number} now
 * @returns {Map<Api.Node, Ran>}
 */
function ranIn(run, whole, now) {
  const found = new Map();
  for (const node of nodesOf(run)) {
    const span = node === run.onWait ? null : spanOf(node, now);
    if (span && span.from >= whole.from) found.set(node, { node, from: span.from, to: Math.min(span.to, whole.to) });
  }
  return found;
}

/** The one that ended last, of several the longest. @param {Iterable<Ran>} list */
const last = (list) => [...list].sort((one, other) => other.to - one.to || one.from - other.from).at(0);

/**
 * What has to end before a step begins: of dependencies that did not run their own ones; for a handler all before it.
 * @param {Run} run
 * @param {Map<Api.Node, Ran>} ran
 * @returns {(one: Ran) => Ran[]}
 */
function dependenciesOf(run, ran) {
  const named = new Map(run.nodes.map((node) => [node.step.name, node]));
  return ({ node, from }) => {
    if (named.get(node.step.name) !== node) return [...ran.values()].filter(({ to }) => to <= from + SAME);
    const found = new Set(node.step.depends);
    // A set is iterated in the order of insertion, also what is added meanwhile.
    for (const name of found) {
      const above = named.get(name);
      if (above && !ran.has(above)) above.step.depends?.forEach((each) => found.add(each));
    }
    return [...found].flatMap((name) => ran.get(/** @type {Api.Node} */ (named.get(name))) ?? []);
  };
}
