// The runs that the steps of a run called: a list, in which changes of the feed show before it is loaded again.

import { useEffect, useMemo, useState } from "../vendor/core.js";
import { listen } from "./feed.js";
import { concernsRun, pathOf, withNews } from "./runs.js";
import { isOver } from "./status.js";
import { useApi } from "./use-api.js";

const TOGETHER = 500; // milliseconds: of thousands of sub-runs, many end in each

/** @type {Map<string, Change>} */
const NONE = new Map();

/**
 * The runs that the steps of a run called, by id; null until they are loaded, or without an address.
 * @param {RunAddress | null} address
 * @returns {Map<string, Api.SubDAGRunDetail> | null}
 */
export function useSubRuns(address) {
  const path = address && /** @type {const} */ ([...pathOf({ ...address, subRunId: null }), "sub-dag-runs"]);
  const { data, error } = useApi(path, { parentSubDAGRunId: address?.subRunId }, (change) => address !== null
    && change.kind === "run" && concernsRun(address, change) && (Boolean(change.root) || isOver(change.status ?? -1)));
  const news = useNews(address);
  const found = useMemo(() => withNews(data?.subRuns ?? [], news), [data, news]);
  return data || error ? found : null;
}

/** The newest change of each sub-run of a run. @param {RunAddress | null} address */
function useNews(address) {
  const [news, setNews] = useState(NONE);
  useEffect(() => {
    if (!address) return undefined;
    /** @type {Map<string, Change>} */
    let fresh = new Map();
    /** @type {number | undefined} */
    let timer;
    const show = () => {
      const shown = fresh;
      [fresh, timer] = [new Map(), undefined];
      setNews((before) => new Map([...before, ...shown]));
    };
    const stop = listen((change) => {
      if (change.kind !== "run" || !change.root || !change.dagRunId || !concernsRun(address, change)) return;
      fresh.set(change.dagRunId, change);
      timer ??= setTimeout(show, TOGETHER);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [address && `${address.name}/${address.runId}`]);
  return news;
}
