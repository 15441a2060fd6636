// The tries of steps, asked for when their titles come into sight.

import { useRef, useState } from "../vendor/core.js";
import { get } from "./api.js";
import { concernsRun, pathOf } from "./runs.js";
import { useChanges, useEndOf } from "./use-api.js";

/**
 * A function that returns a try of a step, undefined until it is loaded. One that has ended is not asked for again.
 * @param {RunAddress} root of the page, which hears of changes
 * @param {boolean} active
 * @param {number} [attempt] of the run, which has tries of its own
 */
export function useTries(root, active, attempt) {
  const [known, setKnown] = useState(/** @type {Map<string, Api.StepTry[]>} */ (new Map()));
  const asked = useRef(/** @type {Set<string>} */ (new Set()));
  const renew = () => {
    asked.current.clear();
    setKnown((before) => new Map(before));
  };
  useChanges(active ? (change) => change.kind === "run" && concernsRun(root, change) : null, renew);
  useEndOf(active, renew);
  return (/** @type {RunAddress} */ address, /** @type {string} */ step, /** @type {number} */ execution) => {
    const path = /** @type {const} */ ([...pathOf(address), "steps", step]);
    const key = JSON.stringify([path, attempt]);
    const one = known.get(key)?.find(({ number }) => number === execution);
    if (one?.finishedAtMillis === undefined && !asked.current.has(key)) {
      asked.current.add(key);
      // Without an answer the titles have no outcomes.
      get(path).then(({ tries }) => setKnown((before) => new Map(before).set(key, tries)), () => {});
    }
    return one;
  };
}
