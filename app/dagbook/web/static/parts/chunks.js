// A long list of which only the parts near the visible rows are in the document. Rows may differ in height.

import { html, useEffect, useRef, useState } from "../vendor/core.js";
import { usePrinting } from "./virtuallist.js";

const SIZE = 50; // rows of a part
const ROW = 32; // pixels of a row that was not drawn yet
const NEAR = "500px 0px"; // drawn ahead, above and below: further than the arrow keys and a turn of the wheel go

/**
 * Lists of `SIZE` rows within the next `.pane-scroll` above; a list that fits one part is drawn whole.
 * @template T
 * @param {{ rows: T[], draw: (row: T, index: number) => Children, at?: number, class: string, label?: string }} props
 *   `at` is the row to be drawn at once
 */
export function Chunks({ rows, draw, at = 0, class: look, label }) {
  const printing = usePrinting();
  const starts = [];
  for (let start = 0; start === 0 || start < rows.length; start += SIZE) starts.push(start);
  return starts.map((start) => html`<${Chunk} key=${start} rows=${rows.slice(start, start + SIZE)} start=${start}
    draw=${draw} class=${look} label=${label} isWhole=${printing || starts.length === 1}
    isFirst=${start === 0 || (at >= start && at < start + SIZE)} />`);
}

/**
 * @param {{ rows: unknown[], start: number, draw: (row: any, index: number) => Children, isWhole: boolean,
 *   isFirst: boolean, class: string, label?: string }} props
 */
function Chunk({ rows, start, draw, isWhole, isFirst, class: look, label }) {
  const [near, setNear] = useState(isFirst);
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const height = useRef(rows.length * ROW);
  useEffect(() => {
    if (isWhole || !box.current) return undefined;
    const observer = new IntersectionObserver((entries) => {
      const last = entries[entries.length - 1];
      if (!last.isIntersecting) height.current = last.boundingClientRect.height;
      setNear(last.isIntersecting || last.target.contains(document.activeElement)); // the focus would be lost
    }, { root: box.current.closest(".pane-scroll"), rootMargin: NEAR });
    observer.observe(box.current);
    return () => observer.disconnect();
  }, [isWhole]);
  const drawn = isWhole || near;
  return html`<ol ref=${box} class=${look} aria-label=${label} style=${{ height: drawn ? "" : `${height.current}px` }}>
    ${drawn && rows.map((row, index) => draw(row, start + index))}</ol>`;
}
