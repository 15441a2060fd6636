// Chart of a time series; its library is loaded on first use.

import { html, useEffect, useRef } from "../vendor/core.js";
import { timeText } from "../lib/clock.js";
import { hideTip, showTip } from "./tooltip.js";

const HEIGHT = 160; // pixels
const SHORTEST = 60; // seconds, so that a single point has an axis around it

/** A colour of the theme for a canvas, from a CSS variable. @param {HTMLElement} element @param {string} name */
function colour(element, name) {
  element.style.color = `var(${name})`;
  const { color } = getComputedStyle(element);
  element.style.color = "";
  return color;
}

/** The label of an axis tick, as precise as the distance between ticks. @param {number} tick @param {number} step */
function tickText(tick, step) {
  /** @type {Intl.DateTimeFormatOptions} */
  const options = step < 60 ? { second: "2-digit" } : {};
  return timeText(new Date(tick * 1000), { hour: "2-digit", minute: "2-digit", ...options }, { locale: "en-GB" });
}

/**
 * The top of the axis: some room above the highest value, so that a low curve is seen, and at least a tenth of `most`.
 * @param {number} highest
 * @param {number} most
 */
const topOf = (highest, most = Infinity) =>
  Math.min(most, Math.max(Number.isFinite(most) ? most / 10 : 1, highest * 1.2));

/** Show the value under the pointer. @param {import("../vendor/chart.js").uPlot} plot @param {string} unit */
function showValue(plot, unit) {
  const { idx: index, left = -1 } = plot.cursor;
  const [times, values] = plot.data;
  const value = index === null || index === undefined ? null : values[index];
  if (left < 0 || typeof value !== "number") return hideTip();
  const box = plot.over.getBoundingClientRect();
  const top = box.top + plot.valToPos(value, "y");
  const at = { left: box.left + left, width: 0, top, bottom: top };
  return showTip(`${value.toFixed(1)}${unit}\n${tickText(times[/** @type {number} */ (index)], 1)}`, at);
}

/**
 * `unit` is appended to the values; `most` is the highest possible one.
 * @param {{ title: string, points: Api.MetricPoint[], unit?: string, most?: number }} props
 */
export function Chart({ title, points, unit = "", most }) {
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const chart = useRef(/** @type {import("../vendor/chart.js").uPlot | null} */ (null));
  /** @type {[number[], number[]]} */
  const data = [points.map(({ timestamp }) => timestamp), points.map(({ value }) => value)];
  useEffect(() => {
    let closed = false;
    /** @type {ResizeObserver | null} */
    let observer = null;
    import("../vendor/chart.js").then(({ uPlot }) => {
      const host = element.current;
      if (closed || !host) return; // the page was left during the load
      const names = ["--faint", "--line", "--accent", "--accent-soft"];
      const [ink, line, accent, soft] = names.map((name) => colour(host, name));
      const font = `12px ${getComputedStyle(host).fontFamily}`;
      const axis = { stroke: ink, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
      chart.current = new uPlot(
        {
          width: host.clientWidth,
          height: HEIGHT,
          legend: { show: false },
          cursor: { y: false, drag: { x: false, y: false } },
          hooks: { setCursor: [(plot) => showValue(plot, unit)] },
          scales: {
            x: { range: (_, from, to) => [Math.min(from, to - SHORTEST), to] },
            y: { range: (_, __, highest) => [0, topOf(highest, most)] },
          },
          series: [{}, { label: title, stroke: accent, width: 1.5, fill: soft }],
          axes: [
            { ...axis, space: 90, values: (_, ticks, __, ___, step) => ticks.map((tick) => tickText(tick, step)) },
            { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => `${tick}${unit}`) },
          ],
        },
        data,
        host,
      );
      observer = new ResizeObserver(() => chart.current?.setSize({ width: host.clientWidth, height: HEIGHT }));
      observer.observe(host);
    });
    return () => {
      closed = true;
      observer?.disconnect();
      chart.current?.destroy();
      chart.current = null;
    };
  }, []);
  useEffect(() => {
    chart.current?.setData(data);
  }, [points]);
  const last = points.at(-1)?.value;
  return html`<figure class="chart">
    <figcaption>${title}${last !== undefined && html` <strong class="number">${last.toFixed(1)}${unit}</strong>`}
    </figcaption><div class="plot" ref=${element}></div></figure>`;
}
