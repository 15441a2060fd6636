// What all steps of a run write, in one stream in the order of time: the lines in sight of those that were fetched.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/core.js";
import { bare } from "../lib/ansi.js";
import { exact, instant, plural } from "../lib/format.js";
import { useChanges } from "../lib/load.js";
import { LogPieces } from "../lib/pieces.js";
import { href } from "../lib/router.js";
import { pageOf, pathOf } from "../lib/runs.js";
import { Empty, Failure, Loading } from "./basic.js";

const HEIGHT = 20; // pixels of a line
const NEAR = 100; // lines from an end, where more is fetched
const moment = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

/** @param address of the run; @param active whether more may come; @param atEnd where to begin; @param onBack leads to one step */
export function AllOutput({ address, active, atEnd, concerns, onBack }) {
  const [, redraw] = useState(0);
  const [follow, setFollow] = useState(active);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const box = useRef();
  const path = [...pathOf(address), "log", "pieces"];
  const log = useMemo(() => new LogPieces(path, () => redraw((count) => count + 1)), [JSON.stringify(path)]);
  const begin = async (end) => {
    setFollow(active && end);
    await log.begin(end);
    if (box.current) box.current.scrollTop = end ? box.current.scrollHeight : 0;
  };
  useEffect(() => {
    begin(atEnd);
    return () => log.close();
  }, [log]);
  useChanges(active ? concerns : null, () => grow(log, box.current));
  useEndOf(active, () => grow(log, box.current));
  const { rows } = log;
  useLayoutEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [rows, follow]);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => setHeight(box.current.clientHeight));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);

  const scrolled = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    setTop(scrollTop);
    setFollow(active && scrollTop + clientHeight >= scrollHeight - 2);
    if (scrollTop < NEAR * HEIGHT && log.hasEarlier) log.earlier().then((lines) => shift(box.current, lines));
    else if (scrollTop + clientHeight > scrollHeight - NEAR * HEIGHT && log.hasMore) log.later().then((lines) => shift(box.current, -lines));
  };
  const first = Math.max(0, Math.min(rows.length - 1, Math.floor(top / HEIGHT) - 10));
  const shown = rows.slice(first, first + Math.ceil(height / HEIGHT) + 20);
  return html`<section class="all-output" aria-label="Output of all steps">
    <div class="all-bar">
      <button type="button" onClick=${onBack}>One step</button>
      <strong>All steps, in the order of time</strong><span class="grow"></span>
      <span class="faint number">${log.hasEarlier || log.hasMore ? "part: " : ""}${plural(rows.length, "line")}</span>
      <button type="button" onClick=${() => begin(false)}>Beginning</button>
      <button type="button" onClick=${() => begin(true)}>End</button>
      ${active && html`<label class="inline"><input type="checkbox" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} />Follow</label>`}
    </div>
    ${log.error && html`<${Failure} error=${log.error} retry=${() => begin(atEnd)} />`}
    ${!log.pieces && !log.error && html`<${Loading} what="output" />`}
    <div class="all-scroll" ref=${box} tabindex="0" role="region" aria-label="Lines of all steps" onScroll=${scrolled}>
      <div style=${{ height: `${rows.length * HEIGHT}px`, paddingTop: `${first * HEIGHT}px` }}>
        ${shown.map((row, index) => html`<${Line} key=${first + index} row=${row} above=${rows[first + index - 1]} address=${address} />`)}
      </div>
      ${log.pieces?.length === 0 && html`<${Empty} title=${active ? "Nothing written yet" : "Nothing written"}>${active ? "Lines show here as the steps write them." : "No step of this run wrote anything."}<//>`}
    </div>
  </section>`;
}

/** Fetch what has come, all of it when somebody looks at the end. */
async function grow(log, box) {
  const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - NEAR * HEIGHT;
  if (!atEnd && log.hasMore) return;
  do shift(box, -(await log.later()));
  while (atEnd && log.hasMore && !log.error && !log.control.signal.aborted);
}

function shift(box, lines) {
  if (box && lines) box.scrollTop += lines * HEIGHT;
}

/** Once more when it is over, for the last lines come with the end. */
function useEndOf(active, react) {
  const before = useRef(active);
  useEffect(() => {
    if (before.current && !active) react();
    before.current = active;
  }, [active]);
}

function Line({ row, above, address }) {
  const time = instant(row.at);
  const page = `${href(pageOf(address), { step: row.step, stream: row.stream })}#L${row.number}`;
  const same = above?.step === row.step && above.stream === row.stream;
  return html`<div class=${same ? "all-line" : "all-line other"}>
    <time class="faint" datetime=${row.at} title=${exact(time)}>${above?.at === row.at ? "" : moment.format(time)}</time>
    <a class="all-step" href=${page} title=${`${row.step}, ${row.stream}, line ${row.number}`} aria-label=${`${row.step}, ${row.stream}, line ${row.number}`}>${row.step}</a>
    <span class=${row.stream === "stderr" ? "all-stream wait" : "all-stream"}>${row.stream === "stderr" ? "err" : ""}</span>
    <span class="all-text">${bare(row.text).replace(/\r$/, "")}${"\n"}</span>
  </div>`;
}
