// Data of a page: loaded once, loaded again when something it shows has changed.

import { useCallback, useEffect, useRef, useState } from "../vendor/core.js";
import { HTTP, asError, get, isAbort } from "./api.js";
import { listen, liveness } from "./feed.js";

const SETTLE = 150; // milliseconds: a burst of changes is one reload

/**
 * Data as they are loaded: of these, or none yet.
 * @template T
 * @typedef {{ data: T | null, error: Failed | null, loading: boolean, reload: () => Promise<void> }} Loading
 */

/**
 * Load from the API and keep it fresh; the last data stay while newer ones are loaded.
 * @template {string | readonly string[]} const P
 * @param {import("../../types/requests").Known<"get", P> | null} path null loads nothing yet
 * @param {import("../../types/requests").Query<"get", P>} [query]
 * @param {Concerns | null} [concerns] tells of a change whether the data may differ after it
 * @returns {Loading<import("../../types/requests").Answer<"get", P>>}
 */
export function useApi(path, query, concerns = null) {
  const key = path === null ? null : JSON.stringify([path, query ?? {}]);
  const [state, setState] = useState(
    /** @type {{ key: string | null, data: any, error: Failed | null }} */ ({ key: null, data: null, error: null }),
  );
  // Ends the load that is under way, or the pause behind it.
  const control = useRef(/** @type {AbortController | null} */ (null));
  const busy = useRef(false);
  const stale = useRef(false); // something changed meanwhile

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
    // What changes all the time is loaded at most half of the time.
    if (stale.current) setTimeout(() => own.signal.aborted || reload(), Math.max(SETTLE, performance.now() - begin));
  }, [key]);
  // A change breaks no load off: with one every moment none would ever arrive.
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
 * Call something, a little later and once for many, when a change concerns the caller.
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
 * Call something once more when it is over, for the last lines come with the end.
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
