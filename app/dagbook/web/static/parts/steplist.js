// List of a run's steps in order: status, duration bar and duration; sub-runs of a step expand in place. With an axis,
// wide bars and the critical path it is the timeline of the run.

import { html, useEffect, useRef, useState } from "../vendor/core.js";
import { criticalPath } from "../lib/critical-path.js";
import { duration, durationText, instant, plural, secondsOf, spanOf } from "../lib/format.js";
import { useSubRuns } from "../lib/sub-runs.js";
import { useApi } from "../lib/use-api.js";
import { useNow } from "../lib/clock.js";
import { href } from "../lib/router.js";
import {
  calledBy, countLooks, countsText, firstFailed, isOf, itemOf, listedFirst, lookOfNode, nodesOf, pageOf, pathOf,
} from "../lib/runs.js";
import { NODE, RUN, isActive, isOver, lookOfRow } from "../lib/status.js";
import { arrowNavigation } from "../lib/arrow-nav.js";
import { Icon, Loading, StatusIcon, Toggle, whenLoaded } from "./basic.js";
import { Chunks } from "./chunks.js";

/** @import { Axis, Known, Link, Look, OnChoose, Shared } from "../../types/ui" */
/** @import { CriticalPath as Path } from "../../types/ui" */

const walkSteps = arrowNavigation(".step-name");

const SHOWN = 20; // sub-runs of a step; all of them are beside the list
const MANY = 10; // steps from which there is a filter by name
const NAMED = 3; // steps of the critical path, the longest
const NOTABLE = 1000; // milliseconds of waiting, and a twentieth of the run

/**
 * The steps of a run, and filters of them. `inside` is the id of the run that the chosen step is in.
 * @param {{ address: RunAddress, run: Run, chosen?: string | null, inside: string, known: Known | null,
 *   onChoose: OnChoose, timeline: boolean }} props
 */
export function StepsPane({ address, run, chosen, inside, known, onChoose, timeline }) {
  const [word, setWord] = useState(/** @type {string | null} */ (null));
  const [text, setText] = useState("");
  const [opening, setOpening] = useState(isOver(run.status)); // until the user acts
  const [only, setOnly] = useState(false);
  const active = isActive(run.status);
  const now = useNow(1, timeline && active);
  const path = timeline ? criticalPath(run, now) : null;
  const links = new Map(path?.links.map((link) => [link.node, link]));
  const nodes = nodesOf(run);
  const looks = nodes.map((node) => lookOfNode(node, isOver(run.status)));
  const kept = looks.some((look) => look.word === word) ? word : null; // the last one of them may have changed
  const wanted = text.trim().toLowerCase();
  const shown = nodes.filter((node, index) => (!kept || looks[index].word === kept)
    && (!timeline || !only || links.has(node)) && node.step.name.toLowerCase().includes(wanted));
  const press = (/** @type {Targeted<KeyboardEvent, HTMLElement>} */ event) => {
    setOpening(false);
    walkSteps(event);
  };
  const isCalling = nodes.some(({ subRuns }) => subRuns?.length);
  const look = ["pane-scroll", opening && "opening", isCalling && "calling", timeline && "timeline"];
  return html`<div class="pane-bar">
      <${Counts} label="Show steps that are" looks=${looks} chosen=${kept} onChoose=${setWord} />
      ${nodes.length > MANY && html`<input type="search" aria-label="Filter steps by name" placeholder="Filter by name"
        value=${text} onInput=${(/** @type {InputChange} */ event) => setText(event.target.value)} />`}
    </div>
    ${timeline && html`<${CriticalPath} path=${path} active=${active} onChoose=${onChoose}>
      <${Toggle} name="Only these steps" on=${only} onSet=${setOnly} /><//>`}
    <div class=${look.filter(Boolean).join(" ")} onPointerDown=${() => setOpening(false)} onKeyDown=${press}>
      ${path && html`<div class="step step-axis faint number"><div><span>0</span><span>
        ${duration(path.total / 2000)}</span><span>${duration(path.total / 1000)}</span></div></div>`}
      ${shown.length ? html`<${StepList} address=${address} run=${run} nodes=${shown} chosen=${chosen} inside=${inside}
          known=${known} links=${links} onChoose=${onChoose} />`
        : html`<p class="faint">${nodes.length ? "No step matches the filter." : "This run has no steps."}</p>`}
    </div>`;
}

/** @type {Known} */
const NONE = new Map();

/**
 * `known` are the sub-runs of the run, null until they are loaded, and undefined to load them.
 * @param {{ address: RunAddress, run: Run, nodes?: Api.Node[], chosen?: string | null, inside: string,
 *   known?: Known | null, onChoose: OnChoose, depth?: number, axis?: Axis | null, links?: Shared["links"] }} props
 */
function StepList({ address, run, chosen, inside, onChoose, axis, links, ...props }) {
  const { nodes = nodesOf(run), depth = 0, known: given } = props;
  const now = useNow(1, isActive(run.status));
  const [turned, setTurned] = useState(/** @type {Map<string, boolean>} */ (new Map())); // by hand
  const calls = run.nodes.some(({ subRuns }) => subRuns?.length);
  const loaded = useSubRuns(calls && given === undefined ? address : null);
  const known = calls ? (given === undefined ? loaded : given) : NONE;
  const isHere = inside === run.dagRunId;
  const at = isHere ? nodes.findIndex(({ step }) => step.name === chosen) : 0;
  if (!known) return html`<${Loading} what="sub-runs" />`;
  const shared = { address, depth, axis: axis ?? axisOf(run, now), now, known, inside, picked: chosen, links,
    onChoose };
  return html`<${Chunks} class="steps" rows=${nodes} at=${at}
    draw=${(/** @type {Api.Node} */ node) => html`<${StepRow} key=${node.step.name} node=${node} shared=${shared}
      over=${isOver(run.status)} chosen=${isHere && node.step.name === chosen}
      open=${turned.get(node.step.name) ?? opensFirst(node, inside)}
      onTurn=${(/** @type {boolean} */ open) => setTurned(new Map(turned).set(node.step.name, open))} />`} />`;
}

/** Whether sub-runs show without a click: one failed, or is open. @param {Api.Node} node @param {string} inside */
function opensFirst(node, inside) {
  const called = calledBy(node);
  return called.length > 0 && (node.status === NODE.FAILED || called.some(({ dagRunId }) => dagRunId === inside));
}

/**
 * The span of the run's attempt; steps that kept the result of an earlier attempt ran before it.
 * @param {Run} run
 * @param {number} now
 * @returns {Axis | null}
 */
function axisOf(run, now) {
  const span = spanOf(run, now);
  return span && { from: span.from, length: Math.max(1, span.to - span.from) };
}

/**
 * @param {{ node: Api.Node, shared: Shared, over: boolean, chosen: boolean, open: boolean,
 *   onTurn: (open: boolean) => void }} props
 */
function StepRow({ node, shared, over, chosen, open, onTurn }) {
  const { depth, axis, now, links, onChoose } = shared;
  const link = links?.get(node);
  const row = useInSight(chosen);
  const look = lookOfNode(node, over);
  const seconds = secondsOf(node, now);
  const called = calledBy(node);
  const { name } = node.step;
  return html`<li>
    <div class=${chosen ? "step chosen" : "step"} ref=${row} style=${{ "--depth": depth }}>
      ${called.length ? html`<${Twist} open=${open} label=${`Sub-runs of ${name}`} onTurn=${onTurn} />`
        : html`<span></span>`}
      <${StatusIcon} look=${look} />
      <div class="step-title"><button type="button" class="step-name quiet" aria-current=${chosen ? "true" : null}
        onClick=${() => onChoose(name)}>${name}${link && html`<span class="visually-hidden">, on the critical path${
          link.wait > 0 && `, waited ${duration(link.wait / 1000)}`}</span>`}</button>
        ${noteOf(node) && html`<small class="faint">${noteOf(node)}</small>`}</div>
      ${seconds === null ? html`<span class="step-left-out cut" title=${whyLeftOut(node)}>${look.word}
          ${whyLeftOut(node) && `: ${whyLeftOut(node)}`}</span>`
        : html`<${Bar} of=${node} tone=${look.tone} axis=${axis} now=${now} link=${link} />
          <span class="number">${duration(seconds)}</span>`}
    </div>
    ${open && called.length > 0 && html`<${Called} name=${name} called=${called} shared=${shared} />`}
  </li>`;
}

/** The row of a step, which is scrolled into view in its pane when it is chosen. @param {boolean} chosen */
function useInSight(chosen) {
  const row = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const pane = /** @type {HTMLElement | null | undefined} */ (chosen ? row.current?.closest(".pane-scroll") : null);
    if (!pane || !row.current) return;
    const [outer, inner] = [pane.getBoundingClientRect(), row.current.getBoundingClientRect()];
    if (inner.top >= outer.top && inner.bottom <= outer.bottom) return;
    pane.scrollTop += inner.top - outer.top - (outer.height - inner.height) / 3;
  }, [chosen]);
  return row;
}

/** @param {{ open: boolean, label: string, onTurn: (open: boolean) => void }} props */
function Twist({ open, label, onTurn }) {
  return html`<button type="button" class="quiet" aria-expanded=${open} aria-label=${label}
    onClick=${() => onTurn(!open)}><${Icon} name=${open ? "shut" : "open"} /></button>`;
}

/** What the status of a step does not say: how often it was retried, or who decided. @param {Api.Node} node */
function noteOf({ retryCount, approvedBy, rejectedBy }) {
  if (approvedBy) return `approved by ${approvedBy}`;
  if (rejectedBy) return `rejected by ${rejectedBy}`;
  return retryCount ? plural(retryCount, "retry", "retries") : "";
}

/** Why a step did not run. @param {Api.Node} node */
const whyLeftOut = ({ startedAt, error = "" }) =>
  instant(startedAt) ? "" : error.split("\n")[0].replace(/^not run: /, "");

/** The bar within the run. @param {{ of: Timed, tone: string, axis: Axis | null, now: number, link?: Link }} props */
function Bar({ of, tone, axis, now, link }) {
  const span = spanOf(of, now);
  if (!span || !axis || span.to <= axis.from - 1000) return html`<span class="step-bar"></span>`;
  const place = (/** @type {number} */ from, /** @type {number} */ to) => ({
    left: `${((from - axis.from) / axis.length) * 100}%`, width: `${((to - from) / axis.length) * 100}%` });
  return html`<span class="step-bar" aria-hidden="true">
    ${link && link.wait > 0 && html`<span class="waited" title=${`waited ${duration(link.wait / 1000)}`}
      style=${place(link.from - link.wait, link.from)}></span>`}
    <span class=${link ? `${tone} critical` : tone} style=${place(span.from, span.to)}></span></span>`;
}

/** @param {{ name: string, called: Api.SubDAGRun[], shared: Shared }} props */
function Called({ name, called, shared }) {
  const { address, depth, known, inside, onChoose } = shared;
  const [turned, setTurned] = useState(/** @type {Map<string, boolean>} */ (new Map()));
  const first = firstFailed(called, known)?.dagRunId;
  const looks = called.flatMap(({ dagRunId }) => (known.has(dagRunId) ? [lookOfSubRun(known.get(dagRunId))] : []));
  return html`<ol class="called" style=${{ "--depth": depth + 1 }}>
    ${called.length > 1 && looks.length > 0 && html`<li class="faint small">${plural(called.length, "sub-run")}: ${
      countsText(looks)}</li>`}
    ${listedFirst(called, known, inside, SHOWN).map((one) => {
      const { dagRunId: id } = one;
      /** @type {OnChoose} */
      const choose = (step, below = id) => onChoose(step, below ?? id);
      return html`<${SubRun} key=${id} item=${itemOf(one)} sub=${known.get(id)}
        shared=${{ ...shared, address: { ...address, subRunId: id }, depth: depth + 1, onChoose: choose }}
        open=${turned.get(id) ?? (id === inside || id === first)}
        onTurn=${(/** @type {boolean} */ open) => setTurned(new Map(turned).set(id, open))} />`;
    })}
    ${called.length > SHOWN && html`<li><button type="button" class="quiet" onClick=${() => onChoose(name)}>
      Show all ${plural(called.length, "sub-run")}</button></li>`}
  </ol>`;
}

/** The look of a sub-run; one that was never started has no details. @param {Api.SubDAGRunDetail | undefined} sub */
export const lookOfSubRun = (sub) => lookOfRow(sub ?? { status: RUN.NOT_STARTED });

/**
 * @param {{ item: string, sub?: Api.SubDAGRunDetail, shared: Shared, open: boolean,
 *   onTurn: (open: boolean) => void }} props
 */
function SubRun({ item, sub, shared, open, onTurn }) {
  const { address, depth, axis, now, inside, picked } = shared;
  const id = address.subRunId ?? "";
  const look = lookOfSubRun(sub);
  const chosen = id === inside && !picked;
  return html`<li>
    <div class=${chosen ? "step chosen" : "step"} style=${{ "--depth": depth }}>
      <${Twist} open=${open} label=${`Steps of sub-run ${id}`} onTurn=${onTurn} />
      <${StatusIcon} look=${look} />
      <a class="step-item" href=${href(pageOf(address))} title=${`${item} (sub-run ${id})`}>${item}</a>
      <${Bar} of=${sub ?? {}} tone=${look.tone} axis=${axis} now=${now} />
      <span class="number">${sub && instant(sub.startedAt) && durationText(sub, now)}</span></div>
    ${open && html`<${SubRunSteps} shared=${shared} />`}
  </li>`;
}

/** @param {{ shared: Shared }} props */
function SubRunSteps({ shared: { address, depth, axis, inside, picked, onChoose } }) {
  const loaded = useApi(pathOf(address), {}, (change) => isOf(address, change));
  return whenLoaded(loaded, "steps", ({ dagRunDetails }) => html`<${StepList} address=${address} run=${dagRunDetails}
    chosen=${picked} inside=${inside} onChoose=${onChoose} depth=${depth + 1} axis=${axis} />`);
}

/** @param {Link} link */
const lengthOf = ({ from, to }) => to - from;

/**
 * The critical path in a line: how much of the time its steps took, and the longest of them.
 * @param {{ path: Path | null, active: boolean, onChoose: (name: string) => void, children?: Children }} props
 */
export function CriticalPath({ path, active, onChoose, children }) {
  const { links, total, waited } = path ?? { links: [], total: 0, waited: 0 };
  const longest = links.toSorted((one, other) => lengthOf(other) - lengthOf(one)).slice(0, NAMED);
  const text = (/** @type {number} */ millis) => duration(millis / 1000);
  return html`<div class="pane-bar critical-path" role="group" aria-label="Critical path">
    <strong title="The chain of steps that determines how long the run takes: each began when the one before it ended">
      Critical path</strong>
    <span class="number">${links.length === 0 ? "no step has started"
      : `${plural(links.length, "step")}, ${text(total - waited)} of ${text(total)}${active ? " so far" : ""}`}${
      waited > Math.max(NOTABLE, total / 20) ? `, ${text(waited)} of waiting` : ""}</span>
    ${links.length > NAMED && html`<span class="faint">longest:</span>`}
    ${links.filter((link) => longest.includes(link)).map((link) => html`<button type="button" class="quiet"
      key=${link.node.step.name} onClick=${() => onChoose(link.node.step.name)}>
      <span class="cut">${link.node.step.name}</span>${" "}
      <span class="number faint">${text(lengthOf(link))}</span></button>`)}
    <span class="grow"></span>${children}</div>`;
}

/**
 * How many have each status, as buttons that show only those; `chosen` is the word of a status, or null for all.
 * @param {{ label: string, looks: Look[], chosen: string | null, onChoose: (word: string | null) => void }} props
 */
export function Counts({ label, looks, chosen, onChoose }) {
  return html`<div class="counts-bar" role="group" aria-label=${label}>
    <button type="button" class="quiet" aria-pressed=${chosen === null} onClick=${() => onChoose(null)}>
      ${looks.length.toLocaleString("en")} in all</button>
    ${countLooks(looks).map(({ look: { word, icon, tone }, count }) => html`<button type="button" key=${word}
      class="quiet ${tone}" aria-pressed=${chosen === word} onClick=${() => onChoose(chosen === word ? null : word)}>
      <${Icon} name=${icon} />${count.toLocaleString("en")} ${word}</button>`)}
  </div>`;
}
