// Next scheduled starts of a DAG.

import { html } from "../../vendor/core.js";
import { duration } from "../../lib/format.js";
import { useApi } from "../../lib/use-api.js";
import { whenLoaded } from "../../parts/basic.js";
import { NextTime } from "../../parts/clock.js";

/**
 * The next starts of a DAG; nothing to load without a schedule.
 * @param {string} name
 * @param {Api.DAGDetails | undefined} dag
 * @param {number} count
 */
export const useNextStarts = (name, dag, count) =>
  useApi(dag?.schedule?.length ? ["dags", name, "schedule", "next"] : null, { count });

/**
 * `usual` is the median duration of its runs in seconds.
 * @param {{ dag?: Api.DAGDetails, next: ReturnType<typeof useNextStarts>, suspended: boolean, usual?: number }} props
 */
export function NextStarts({ dag, next, suspended, usual = 0 }) {
  if (!dag?.schedule?.length) return html`<p class="faint">
    No schedule. Start it by hand, or call it from another DAG.</p>`;
  return whenLoaded(next, "next starts", ({ starts }) => {
    if (suspended) return html`<p class="wait">The schedule is suspended.
      ${starts.length > 0 && html` Otherwise it would start <${NextTime} at=${starts[0].at} far=${false} />.`}</p>`;
    const often = shortest(starts);
    return html`<ul class="plain starts">
      ${starts.map(({ at }) => html`<li key=${at}><${NextTime} at=${at} /></li>`)}</ul>
      ${usual > often && html`<p class="wait">A run usually takes ${duration(usual)}, but starts
        are ${duration(often)} apart: a start that is due while the run before is still running is skipped.</p>`}`;
  });
}

/** The shortest time between two starts, in seconds. @param {Api.NextStart[]} starts */
const shortest = (starts) =>
  Math.min(...starts.slice(1).map(({ at }, index) => (Date.parse(at) - Date.parse(starts[index].at)) / 1000));
