// Shared clock for the relative times of a page; it ticks only while it is used.

import { useEffect, useState } from "../vendor/core.js";

const clocks = new Map(); // seconds between ticks -> {timer, watchers}

/**
 * The current time in milliseconds, updated every `everySeconds`; `active` false stops it.
 * @param {number} [everySeconds]
 * @param {boolean} [active]
 */
export function useNow(everySeconds = 15, active = true) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!active) return undefined;
    setNow(Date.now());
    return watch(everySeconds, setNow);
  }, [everySeconds, active]);
  return now;
}

/**
 * @param {number} everySeconds
 * @param {(now: number) => void} watcher
 */
function watch(everySeconds, watcher) {
  if (!clocks.has(everySeconds)) {
    const watchers = new Set();
    const tick = () => {
      const now = Date.now();
      for (const notify of watchers) notify(now);
    };
    clocks.set(everySeconds, { watchers, timer: setInterval(tick, everySeconds * 1000) });
  }
  const { watchers, timer } = clocks.get(everySeconds);
  watchers.add(watcher);
  return () => {
    watchers.delete(watcher);
    if (watchers.size) return;
    clearInterval(timer);
    clocks.delete(everySeconds);
  };
}
