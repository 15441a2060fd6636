// Interleaved output of all steps of a run as a virtual list.

import { html, useEffect, useMemo, useState } from "../vendor/core.js";
import { bare } from "../lib/ansi.js";
import { exact, moment, plural } from "../lib/format.js";
import { OutputStream } from "../lib/output-stream.js";
import { href } from "../lib/router.js";
import { pageOf, pathOf } from "../lib/runs.js";
import { useChanges, useEndOf } from "../lib/use-api.js";
import { Empty, Failure, Loading } from "./basic.js";
import { VirtualList, useVirtualList } from "./virtuallist.js";

const NEAR = 100; // lines from an end at which more are fetched

/**
 * @param {object} props
 * @param {RunAddress} props.address
 * @param {boolean} props.active whether there may be more output
 * @param {boolean} props.atEnd where to begin
 * @param {Concerns} props.concerns
 * @param {() => void} props.onBack leads to one step
 */
export function AllOutput({ address, active, atEnd, concerns, onBack }) {
  const [, redraw] = useState(0);
  const [fromEnd, setFromEnd] = useState(atEnd);
  const key = JSON.stringify(pathOf(address));
  const log = useMemo(
    () => new OutputStream([...pathOf(address), "log", "pieces"], () => redraw((count) => count + 1)),
    [key],
  );
  const total = log.rows.length;
  const list = useVirtualList({ total, active, start: (rows) => (fromEnd ? total - rows + 1 : 1) });
  const partly = log.hasEarlier || log.hasMore;
  const isNearEnd = list.from + list.rows > total - NEAR;
  const begin = async (/** @type {boolean} */ end) => {
    const begun = log.begin(end); // first, because an active request keeps the list from requesting more lines
    setFromEnd(end);
    list.restart(active && end);
    await begun;
  };
  const grow = async () => {
    if (!isNearEnd && log.hasMore) return;
    do list.shift(-(await log.later()));
    while (isNearEnd && log.hasMore && !log.error && !log.closed);
  };
  useEffect(() => {
    begin(atEnd);
    return () => log.close();
  }, [log]);
  useChanges(active ? concerns : null, grow);
  useEndOf(active, grow);
  useEffect(() => {
    if (list.from <= NEAR && log.hasEarlier) log.earlier().then(list.shift);
    else if (isNearEnd && log.hasMore) log.later().then((lines) => list.shift(-lines));
  }, [list.from, list.rows, total]);
  return html`<section class="all-output" aria-label="Output of all steps">
    <div class="all-bar">
      <h2>Output of all steps</h2><span class="grow"></span>
      <span class="faint number">${plural(total, "line")}${partly && " loaded"}</span>
      ${partly && html`<button type="button" onClick=${() => begin(false)}>Go to the start</button>
        <button type="button" onClick=${() => begin(true)}>Go to the end</button>`}
      <button type="button" onClick=${onBack}>Show one step</button>
      ${active && html`<label class="inline">
        <input type="checkbox" checked=${list.follow}
          onChange=${(/** @type {InputChange} */ event) => list.setFollow(event.target.checked)} />
        Follow</label>`}
    </div>
    ${log.error && html`<${Failure} error=${log.error} retry=${() => begin(atEnd)} />`}
    ${!log.pieces && !log.error && html`<${Loading} what="output" />`}
    <${VirtualList} list=${list} class="all-scroll" label="Lines of all steps"
      row=${(/** @type {number} */ number) => html`<${Line} key=${number} row=${log.rows[number - 1]}
        above=${log.rows[number - 2]}
        address=${address} />`}>
      ${log.pieces?.length === 0 && html`<${Empty} title=${active ? "No output yet" : "No output"}>
        ${active ? "Lines appear here as the steps write them." : "No step of this run wrote anything."}<//>`}
    <//>
  </section>`;
}

/**
 * @param {{ row: import("../lib/output-stream.js").OutputRow, above?: import("../lib/output-stream.js").OutputRow,
 *   address: RunAddress }} props
 */
function Line({ row, above, address }) {
  const time = new Date(row.at);
  const page = `${href(pageOf(address), { step: row.step, stream: row.stream })}#L${row.number}`;
  const same = above?.step === row.step && above.stream === row.stream;
  return html`<div class=${same ? "all-line" : "all-line other"}>
    <time class="faint" datetime=${row.at} title=${exact(time)}>${above?.at === row.at ? "" : moment(time)}
    </time>
    <a class="all-step" href=${page} title=${`${row.step}, ${row.stream}, line ${row.number}`}
      aria-label=${`${row.step}, ${row.stream}, line ${row.number}`}>${row.step}</a>
    <span class=${row.stream === "stderr" ? "all-stream wait" : "all-stream"}>${row.stream === "stderr" ? "err" : ""}
    </span>
    <span class="all-text">${bare(row.text).replace(/\r$/, "")}${"\n"}</span>
  </div>`;
}
