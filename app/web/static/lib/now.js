// One clock for all relative times of a page: it ticks only while something looks at it.

import { useEffect, useState } from "../vendor/core.js";

/** The time in milliseconds, renewed every so often; `active` false stops it. */
export function useNow(everySeconds = 15, active = true) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!active) return undefined;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), everySeconds * 1000);
    return () => clearInterval(timer);
  }, [everySeconds, active]);
  return now;
}
