// Shared clocks for the times of a page; they tick only while they are used.

import { signal } from "../vendor/core.js";

/** @type {Map<number, ReturnType<typeof clockOf>>} */
const clocks = new Map(); // by the seconds between ticks

/** @param {number} seconds between ticks */
function clockOf(seconds) {
  let timer = 0;
  const now = signal(Date.now(), {
    watched: () => {
      tick();
      timer = setInterval(tick, seconds * 1000);
    },
    unwatched: () => clearInterval(timer),
  });
  const tick = () => void (now.value = Date.now());
  return now;
}

/**
 * The current time in milliseconds, updated every `everySeconds`; `active` false stops it.
 * @param {number} [everySeconds]
 * @param {boolean} [active]
 */
export function useNow(everySeconds = 15, active = true) {
  const clock = clocks.get(everySeconds) ?? clockOf(everySeconds);
  clocks.set(everySeconds, clock);
  return active ? clock.value : Date.now();
}
