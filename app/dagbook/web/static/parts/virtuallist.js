// Virtual list: only the visible rows are in the document.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/core.js";
import { firstAfterScroll, firstAround, geometryOf, isAtEnd, offsetOf, printedRows } from "../lib/virtual-list.js";

const VIEWPORT = 600; // pixels, until the box has been measured
const PAUSE = 150; // milliseconds without a scroll event, after which the user is not scrolling any more

/** @typedef {ReturnType<typeof useVirtualList>} List */

/** Whether the page is being printed. */
export function usePrinting() {
  const [printing, setPrinting] = useState(() => window.matchMedia("print").matches);
  useEffect(() => {
    const media = window.matchMedia("print");
    const change = () => setPrinting(media.matches);
    media.addEventListener("change", change);
    return () => media.removeEventListener("change", change);
  }, []);
  return printing;
}

/**
 * The state of a list. It follows its end while rows are added, until the user scrolls up.
 * @param {object} options
 * @param {number} options.total rows
 * @param {boolean} options.active whether there may be more rows
 * @param {(rows: number) => number} options.start the first visible row until the user scrolls; `rows` fit into the box
 */
export function useVirtualList({ total, active, start }) {
  const [follow, setFollow] = useState(active);
  const [top, setTop] = useState(/** @type {number | null} */ (null));
  const [viewport, setViewport] = useState(VIEWPORT);
  const printing = usePrinting();
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const scrolledAt = useRef(-PAUSE);
  const geometry = geometryOf(total, viewport);
  const { rows, lastFirst, height } = geometry;
  const first = Math.max(1, top === null ? (follow ? lastFirst : start(rows)) : Math.min(top, lastFirst));
  useEffect(() => {
    if (follow && total) setTop(lastFirst);
  }, [follow, total, lastFirst]);
  useLayoutEffect(() => {
    const measure = () => box.current && setViewport(box.current.clientHeight);
    const observer = new ResizeObserver(measure);
    if (box.current) observer.observe(box.current);
    measure();
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    const { current } = box;
    if (!current) return;
    // At the end a row may be higher than others: the end shows the last one.
    const isLast = total > rows && first === lastFirst;
    const wanted = isLast ? current.scrollHeight - current.clientHeight : offsetOf(geometry, first);
    // Setting the offset would interrupt the user, also a smooth way to the top while rows are added at the end.
    if (!follow && performance.now() - scrolledAt.current < PAUSE) return;
    if (Math.abs(current.scrollTop - wanted) > (isLast ? 1 : geometry.pitch + 1)) current.scrollTop = wanted;
  }, [first, height, total]);
  // One more than fit, because the last one may be cut off.
  const range = printing ? printedRows(first, total) : { from: first, to: Math.min(total, first + rows) };
  const scrolled = () => {
    if (!box.current || printing) return;
    const next = firstAfterScroll(geometry, box.current, first);
    if (next === null) return;
    scrolledAt.current = performance.now();
    setTop(next);
    setFollow(active && isAtEnd(box.current));
  };
  return {
    box, total, height, rows, printing, follow, setFollow, scrolled, ...range,
    /** Reset the list to its `start`. @param {boolean} following */
    restart: (following) => {
      scrolledAt.current = -PAUSE;
      setTop(null);
      setFollow(following);
    },
    /** Scroll to a row of a list of `of` rows. @param {number} row @param {number} [of] */
    show: (row, of = total) => {
      scrolledAt.current = -PAUSE;
      setFollow(false);
      setTop(firstAround(of, rows, row));
    },
    /** Adjust for rows added above the visible ones, or removed there if negative. @param {number} count */
    shift: (count) => {
      scrolledAt.current = -PAUSE;
      setTop((before) => before && Math.max(1, before + count));
    },
  };
}

/**
 * @param {object} props
 * @param {List} props.list
 * @param {string} props.class of the box
 * @param {string} [props.rowsClass]
 * @param {string} props.label
 * @param {(row: number) => Children} props.row draws one row
 * @param {Children} [props.children] what shows below the rows
 */
export function VirtualList({ list, class: boxClass, rowsClass = "", label, row, children }) {
  const numbers = [];
  for (let number = list.from; number <= list.to; number += 1) numbers.push(number);
  // The style sheet makes the box as high as its rows, up to a limit.
  return html`<div class=${boxClass} ref=${list.box} tabindex="0" role="region" aria-label=${label}
    style=${{ "--rows": list.total }} onScroll=${list.scrolled}>
    <div style=${{ height: `${list.height}px` }}><div class=${`list-rows ${rowsClass}`}>${numbers.map(row)}</div></div>
    ${children}
  </div>`;
}
