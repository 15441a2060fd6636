// First differing line of a step's output in two runs.

import { html, useEffect, useMemo, useState } from "../vendor/core.js";
import { bare } from "../lib/ansi.js";
import { isAbort } from "../lib/api.js";
import { ComparedLogs } from "../lib/compare.js";
import { plural } from "../lib/format.js";
import { href } from "../lib/router.js";
import { pageOf, pathOf } from "../lib/runs.js";
import { Failure, Loading, Toggle } from "./basic.js";

/** @import { ComparedLog, ComparedSide, ComparedStep, LogPath } from "../lib/compare.js" */
/** @typedef {{ found: ComparedLog | null, failure: Failed | null }} Found */

/** @type {Stream[]} */
const STREAMS = ["stdout", "stderr"];
const exactly = (/** @type {string} */ line) => line;
const butDigits = (/** @type {string} */ line) => bare(line).replace(/\d+/g, "0");

/** @param {{ addresses: [RunAddress, RunAddress], row: ComparedStep }} props */
export function LogDifference({ addresses, row }) {
  const failed = row.left?.status !== row.right?.status && row.right?.error?.includes("stderr");
  const [stream, setStream] = useState(/** @type {Stream} */ (failed ? "stderr" : "stdout"));
  const [digits, setDigits] = useState(true);
  const [state, setState] = useState(/** @type {Found} */ ({ found: null, failure: null }));
  const logs = useMemo(() => {
    const [one, other] = addresses.map((address) =>
      /** @type {LogPath} */ ([...pathOf(address), "steps", row.name, "log"]));
    return new ComparedLogs([one, other], stream, digits ? exactly : butDigits);
  }, [JSON.stringify(addresses), row.name, stream, digits]);
  const read = () =>
    logs.read().then(
      (found) => setState({ found, failure: null }),
      (failure) => !isAbort(failure) && setState({ found: null, failure }),
    );
  useEffect(() => {
    setState({ found: null, failure: null });
    read();
    return () => logs.close();
  }, [logs]);
  const { found, failure } = state;
  return html`<div class="row">
      <div class="switch" role="group" aria-label="Stream">
        ${STREAMS.map((name) => html`<button type="button" key=${name} aria-pressed=${stream === name}
          onClick=${() => setStream(name)}>${name}</button>`)}
      </div>
      <${Toggle} name="Ignore numbers" title="Lines that differ only in times or counters count as equal"
        on=${!digits} onSet=${(/** @type {boolean} */ on) => setDigits(!on)} />
    </div>
    ${failure && html`<${Failure} error=${failure} retry=${read} />`}
    ${!found && !failure && html`<${Loading} what="output of both runs" />`}
    ${found && html`<p role="status">
      ${sentence(found, stream)} ${found.over === "" && html`<button type="button" onClick=${read}>
        Compare more</button>`}</p>`}
    ${found?.over === "differ" && html`<div class="pair">
      ${found.sides.map((side, index) => html`<${Lines} key=${index} side=${side} differing=${found.equal + 1}
        address=${addresses[index]} step=${row.name} stream=${stream}
        label=${index ? "This run" : "Compared with"} />`)}</div>`}`;
}

/** @param {ComparedLog} found @param {Stream} stream */
function sentence({ equal, over, sides }, stream) {
  if (sides.every(({ total }) => total === 0)) return `Neither run wrote anything to ${stream}.`;
  const [one, other] = sides;
  if (!one.total || !other.total) return `Only ${one.total ? "the other run" : "this run"} wrote to ${stream}.`;
  if (over === "end") return `Both runs wrote the same ${plural(equal, "line")} to ${stream}.`;
  if (over === "") return `The first ${equal.toLocaleString("en")} lines are the same.`;
  return equal
    ? `The first ${plural(equal, "line is", "lines are")} the same; ` +
        `then line ${(equal + 1).toLocaleString("en")} differs.`
    : "The first line differs already.";
}

/**
 * @param {{ side: ComparedSide, differing: number, address: RunAddress, step: string, stream: Stream,
 *   label: string }} props
 */
function Lines({ side, differing, address, step, stream, label }) {
  const page = (/** @type {number} */ line) => `${href(pageOf(address), { step, stream })}#L${line}`;
  return html`<section class="difference" aria-label=${`${label}: lines around the first that differs`}>
    <h3>${label} <span class="faint number">${plural(side.total, "line")}</span></h3>
    <div class="lines" tabindex="0">
      ${side.lines.map(({ number, text }) => html`<div key=${number}
        class=${number === differing ? "difference-line first" : "difference-line"}>
      <a href=${page(number)} aria-label=${`Line ${number} in the log`}>${number}</a><span>${bare(text)}${"\n"}</span>
      </div>`)}
      ${side.lines.every(({ number }) => number < differing) && html`<p class="faint">
        ${side.total ? "The output ends here." : "No output"}</p>`}</div>
  </section>`;
}
