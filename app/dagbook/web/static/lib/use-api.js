// Hooks that load data for a page and reload them after changes.

import { useCallback, useEffect, useRef, useState } from "../vendor/core.js";
import { HTTP, asError, get, isAbort } from "./api.js";
import { listen, liveness } from "./feed.js";

const SETTLE = 150; // milliseconds: a burst of changes is one reload

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
  const key = path === null ? null : JSON.stringify([path, query ?? {}]);
  const [state, setState] = useState(
    /** @type {{ key: string | null, data: any, error: Failed | null }} */ ({ key: null, data: null, error: null }),
  );
  // Aborts the active load, or the pause after it.
  const control = useRef(/** @type {AbortController | null} */ (null));
  const busy = useRef(false);
  const stale = useRef(false); // there was a change during the load

  const reload = useCallback(async () => {
    control.current?.abort();
    if (path === null) return;
    const own = new AbortController();
    control.current = own;
    [busy.current, stale.current] = [true, false];
    const begin = performance.now();
    try {
      const data = await get(path, query, { signal: own.signal });
      if (!own.signal.aborted) setState({ key, data, error: null });
    } catch (error) {
      if (!isAbort(error) && !own.signal.aborted) {
        setState((before) => ({ key, data: before.key === key ? before.data : null, error: asError(error) }));
      }
    }
    if (own.signal.aborted) return;
    busy.current = stale.current;
    // With permanent changes, at most half of the time is spent loading.
    if (stale.current) setTimeout(() => own.signal.aborted || reload(), Math.max(SETTLE, performance.now() - begin));
  }, [key]);
  // A change does not abort a load: with frequent changes no load would ever finish.
  const refresh = () => (busy.current ? (stale.current = true) : reload());

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
 * Call `react` after changes that concern the caller, debounced.
 * @param {Concerns | null} concerns
 * @param {() => unknown} react
 */
export function useChanges(concerns, react) {
  const latest = useRef({ concerns, react });
  latest.current = { concerns, react };
  const wanted = concerns !== null;
  useEffect(() => {
    if (!wanted) return undefined;
    /** @type {number | null} */
    let timer = null;
    const stop = listen((change) => {
      if (timer !== null || !(change.kind === "reset" || latest.current.concerns?.(change))) return;
      timer = setTimeout(() => {
        timer = null;
        latest.current.react();
      }, SETTLE);
    });
    return () => {
      if (timer !== null) clearTimeout(timer);
      stop();
    };
  }, [wanted]);
}

/**
 * Call `react` when `active` becomes false: the last lines of output come with the end.
 * @param {boolean} active
 * @param {() => unknown} react
 */
export function useEndOf(active, react) {
  const before = useRef(active);
  useEffect(() => {
    if (before.current && !active) react();
    before.current = active;
  }, [active]);
}
