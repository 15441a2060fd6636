// Hooks that load data for a page and reload them after changes.

import { useCallback, useEffect, useRef, useState } from "../vendor/core.js";
import { HTTP, asError, get, isAbort, received } from "./api.js";
import { listen, liveness } from "./feed.js";
import { Budget, Pace } from "./pace.js";

const budget = new Budget();

/** @type {{ key: string, answer: unknown } | null} */
let primed = null;

/**
 * Give what is already loaded to the page that is about to open.
 * @template {string | readonly string[]} const P
 * @param {import("../../types/requests").Known<"get", P>} path
 * @param {import("../../types/requests").Answer<"get", P>} answer
 */
export const prime = (path, answer) => void (primed = { key: keyOf(path, {}), answer });

/** @param {unknown} path @param {object} query */
const keyOf = (path, query) => JSON.stringify([path, query]);

/**
 * State of a load; `data` is null until the first load has finished.
 * @template T
 * @typedef {{ data: T | null, error: Failed | null, loading: boolean, reload: () => Promise<void> }} Loading
 */

/**
 * Load from the API and reload after changes; the last data are kept while newer ones are loaded.
 * @template {string | readonly string[]} const P
 * @param {import("../../types/requests").Known<"get", P> | null} path null: load nothing yet
 * @param {import("../../types/requests").Query<"get", P>} [query]
 * @param {Concerns | null} [concerns] whether the data may differ after a change
 * @returns {Loading<import("../../types/requests").Answer<"get", P>>}
 */
export function useApi(path, query, concerns = null) {
  const key = path === null ? null : keyOf(path, query ?? {});
  const [state, setState] = useState(
    /** @type {{ key: string | null, data: any, error: Failed | null }} */ ({ key: null, data: null, error: null }),
  );
  const control = useRef(/** @type {AbortController | null} */ (null)); // of the active load
  const active = useRef(/** @type {Promise<void> | null} */ (null));

  const load = async () => {
    control.current?.abort();
    if (path === null) return;
    const own = new AbortController();
    control.current = own;
    const known = primed?.key === key ? primed.answer : null;
    primed = null;
    try {
      const data = known ?? (await get(path, query, { signal: own.signal }));
      if (!own.signal.aborted) setState({ key, data, error: null });
    } catch (error) {
      if (isAbort(error) || own.signal.aborted) return;
      setState((before) => ({ key, data: before.key === key ? before.data : null, error: asError(error) }));
    }
  };
  const reload = useCallback(() => (active.current = load()), [key]);
  // A change does not abort a load: with frequent changes no load would ever finish.
  const refresh = () => active.current?.then(reload);

  useEffect(() => {
    reload();
    return () => control.current?.abort();
  }, [reload]);
  useChanges(concerns, refresh);
  const unanswered = state.key === key && state.error?.status === HTTP.UNREACHABLE;
  const live = liveness.value === "live";
  useEffect(() => {
    if (live && unanswered) reload(); // the server is back
  }, [live, unanswered]);

  const fresh = state.key === key;
  return { data: fresh ? state.data : null, error: fresh ? state.error : null, loading: !fresh, reload };
}

/**
 * @template T
 * @typedef {{ data: T | null, failure: Failed | null, busy: boolean }} Asked
 */

/**
 * What is loaded when `ask` is called, and again when it is called again; the data are kept until then.
 * @template T
 * @param {() => Promise<T>} send
 */
export function useAnswer(send) {
  const [state, setState] = useState(/** @type {Asked<T>} */ ({ data: null, failure: null, busy: false }));
  const ask = async () => {
    setState((before) => ({ ...before, failure: null, busy: true }));
    try {
      setState({ data: await send(), failure: null, busy: false });
    } catch (error) {
      setState({ data: null, failure: asError(error), busy: false });
    }
  };
  return { ...state, ask };
}

/**
 * Whether the first loads of a page have finished, so that it shows what belongs together at once: one part that is
 * later than another would move it. What is loaded again later changes in its place.
 * @param {...Loading<any>} loads
 */
export function useReady(...loads) {
  const isReady = useRef(false);
  isReady.current ||= loads.every(({ loading }) => !loading);
  return isReady.current;
}

/**
 * Call `react` after changes that concern the caller, not more often than is useful (lib/pace.js); it returns a promise
 * when it loads something.
 * @param {Concerns | null} concerns
 * @param {() => unknown} react
 */
export function useChanges(concerns, react) {
  const latest = useRef({ concerns, react });
  latest.current = { concerns, react };
  const wanted = concerns !== null;
  useEffect(() => {
    if (!wanted) return undefined;
    const pace = new Pace(budget);
    /** @type {number | undefined} */
    let timer;
    let due = Infinity; // when the next load begins
    /** @type {Change[] | null} */
    let missed = null; // changes during a load
    const load = async () => {
      const [begin, before] = [performance.now(), received()];
      [due, missed] = [Infinity, []];
      try {
        await latest.current.react();
      } finally {
        pace.note(begin, performance.now(), received() - before);
        const changes = missed;
        missed = null;
        changes.forEach(plan);
      }
    };
    const plan = (/** @type {Change} */ change) => {
      const now = performance.now();
      const at = pace.due(now, change);
      if (at >= due) return;
      clearTimeout(timer);
      due = at;
      timer = setTimeout(load, at - now);
    };
    const stop = listen((change) => {
      if (change.kind !== "reset" && !latest.current.concerns?.(change)) return;
      if (missed) missed.push(change);
      else plan(change);
    });
    return () => {
      clearTimeout(timer);
      due = -Infinity;
      stop();
    };
  }, [wanted]);
}

/** Call `react` when `active` ends: then the last output comes. @param {boolean} active @param {() => unknown} react */
export function useEndOf(active, react) {
  const before = useRef(active);
  useEffect(() => {
    if (before.current && !active) react();
    before.current = active;
  }, [active]);
}
