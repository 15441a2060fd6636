// Choice of the time zone of a page, and times of schedules in words.

import { html } from "../vendor/core.js";
import { knownZone, ownZone, shownZone, useNow, zone } from "../lib/clock.js";
import { config } from "../lib/config.js";
import { ago, dayAndTime, exact } from "../lib/format.js";
import { store, stored } from "../lib/stored.js";
import { Select } from "./basic.js";

const KEY = "dagbook.zone";
const OWN = ownZone();
/** The zone of the server, in which schedules count that name none; null if the browser does not know it. */
const SERVER = knownZone(config.zone);

function load() {
  const kept = knownZone(stored(KEY));
  zone.value = kept === OWN ? null : kept;
}
load();
window.addEventListener("storage", ({ key }) => key === KEY && load()); // chosen in another tab

/** @param {string} name */
function choose(name) {
  zone.value = name === OWN ? null : name;
  store(KEY, zone.value);
}

/** The zone of all times, or a choice of some; `zones` are those of schedules. @param {{ zones?: string[] }} props */
export function ClockChoice({ zones = [] }) {
  const shown = shownZone();
  const all = [...new Set([OWN, SERVER, shown, ...zones.map(knownZone)])].filter((name) => name !== null);
  const title = `Times in ${shown}; schedules count in ${SERVER ?? config.zone}, unless they name another zone`;
  if (all.length === 1) return html`<span class="clock faint" title=${title}>${shown}</span>`;
  const marked = all.map((name) => [name, `${name}${name === OWN ? " (yours)" : name === SERVER ? " (server)" : ""}`]);
  return html`<${Select} class="clock" aria-label="Time zone of all times" title=${title} value=${shown}
    options=${marked} onSet=${choose} />`;
}

/** The zone of the times of a page with schedules, and theirs. @param {{ zones?: string[] }} props */
export function ClockNote({ zones = [config.zone] }) {
  const counted = [...new Set(zones.map((name) => knownZone(name) ?? name))].join(", ");
  if (counted === shownZone() && counted === OWN) return html`<p class="faint">All times are in ${counted}.</p>`;
  return html`<p class="faint row">Times in <${ClockChoice} zones=${zones} /> schedules count in ${counted}.</p>`;
}

/** The zone that an expression names, else that of the server. @param {string} expression */
export const zoneOf = (expression) => /^(?:CRON_)?TZ=(\S+)\s/.exec(expression.trim())?.[1] ?? config.zone;

/** A cron expression in words, with its zone if that is not the one of the page. @param {{ of: Api.Schedule }} props */
export function Expression({ of: { expression, words } }) {
  const own = zoneOf(expression);
  const name = knownZone(own) ?? own;
  return html`<div>${words}${name !== shownZone() && html` <span class="tag">${name}</span>`}
    ${" "}<code class="faint">${expression}</code></div>`;
}

/** A time to come: day and time, and how far away it is. @param {{ at: string, zone?: string, far?: boolean }} props */
export function NextTime({ at, zone: other, far = true }) {
  const now = useNow(15, far);
  const time = new Date(at);
  return html`<span class="nowrap"><time datetime=${time.toISOString()} title=${exact(time, other)}>
    ${dayAndTime(time)}</time>${far && html` <span class="faint">${ago(time, now)}</span>`}</span>`;
}
