// The time zone in which pages show times: that of the browser, until the user chooses another one; and their clocks,
// which tick while they are used.

import { signal } from "../vendor/core.js";

/** The chosen zone; null is that of the browser. Components that format a time follow it. */
export const zone = signal(/** @type {string | null} */ (null));

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map(); // one takes long to make

/**
 * A time in the zone of the page, or in another one that the browser knows.
 * @param {Date} time
 * @param {Intl.DateTimeFormatOptions} options
 * @param {{ locale?: string, other?: string | null }} [how]
 */
export function timeText(time, options, { locale, other = zone.value } = {}) {
  const key = JSON.stringify([options, locale, other]);
  const format = formats.get(key) ?? new Intl.DateTimeFormat(locale, { ...options, timeZone: other ?? undefined });
  formats.set(key, format);
  return format.format(time);
}

/** The name of a zone, one for all of UTC; null if the browser knows none. @param {string | null | undefined} name */
export function knownZone(name) {
  try {
    const known = name ? new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone : null;
    return known && /^(Etc\/)?(UTC|UCT|Universal|Zulu)$/.test(known) ? "UTC" : known;
  } catch {
    return null;
  }
}

/** The zone of the browser. */
export const ownZone = () => knownZone(new Intl.DateTimeFormat().resolvedOptions().timeZone) ?? "UTC";

/** The zone in which the page shows times. */
export const shownZone = () => zone.value ?? ownZone();

/** The day of a time, "2026-11-30". @param {Date} time */
export const dayOf = (time) =>
  timeText(time, { year: "numeric", month: "2-digit", day: "2-digit" }, { locale: "sv-SE" });

/** How far the clock of the page is ahead of UTC, in milliseconds. @param {number} at in milliseconds */
export function aheadOfUtc(at) {
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
    second: "2-digit" };
  const wall = timeText(new Date(at), options, { locale: "sv-SE" }); // "2026-11-30 14:32:05"
  return Date.parse(`${wall.replace(" ", "T")}Z`) - Math.floor(at / 1000) * 1000;
}

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

/** The time in milliseconds, updated every `everySeconds`. @param {number} [everySeconds] @param {boolean} [active] */
export function useNow(everySeconds = 15, active = true) {
  const clock = clocks.get(everySeconds) ?? clockOf(everySeconds);
  clocks.set(everySeconds, clock);
  return active ? clock.value : Date.now();
}
