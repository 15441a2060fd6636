// Data of a page: loaded once, loaded again when something it shows has changed.

import { useCallback, useEffect, useRef, useState } from "../vendor/core.js";
import { get } from "./api.js";
import { listen, liveness } from "./feed.js";

const SETTLE = 150; // milliseconds: a burst of changes is one reload

/**
 * Load from the API and keep it fresh.
 * @param path below /api/v2, or null to load nothing yet
 * @param concerns tells of a change whether the data may differ after it
 * @returns {{data, error, loading, reload}} the last data stay while newer ones are loaded
 */
export function useLoad(path, query = {}, concerns = null) {
  const key = path === null ? null : JSON.stringify([path, query]);
  const [state, setState] = useState({ key: null, data: null, error: null });
  const control = useRef(null); // ends the load that is under way, or the pause behind it
  const busy = useRef(false);
  const stale = useRef(false); // something changed meanwhile

  const reload = useCallback(async () => {
    control.current?.abort();
    if (key === null) return;
    const own = new AbortController();
    control.current = own;
    [busy.current, stale.current] = [true, false];
    const begin = performance.now();
    try {
      const data = await get(path, query, { signal: own.signal });
      if (!own.signal.aborted) setState({ key, data, error: null });
    } catch (error) {
      if (error.name !== "AbortError" && !own.signal.aborted) {
        setState((before) => ({ key, data: before.key === key ? before.data : null, error }));
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
  const unanswered = state.key === key && state.error?.status === 0;
  const live = liveness.value === "live";
  useEffect(() => {
    if (live && unanswered) reload(); // the server is back
  }, [live, unanswered]);

  const fresh = state.key === key;
  return { data: fresh ? state.data : null, error: fresh ? state.error : null, loading: !fresh, reload };
}

/** Call something, a little later and once for many, when a change concerns the caller. */
export function useChanges(concerns, react) {
  const latest = useRef();
  latest.current = { concerns, react };
  const wanted = concerns !== null;
  useEffect(() => {
    if (!wanted) return undefined;
    let timer = null;
    const stop = listen((change) => {
      if (timer !== null || !(change.kind === "reset" || latest.current.concerns(change))) return;
      timer = setTimeout(() => {
        timer = null;
        latest.current.react();
      }, SETTLE);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [wanted]);
}
