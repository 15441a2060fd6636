// Output of a step, or of all steps of a run and its sub-runs, as a virtual list with exact line numbers.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/core.js";
import { get, url } from "../lib/api.js";
import { copyText } from "../lib/clipboard.js";
import { instant, plural } from "../lib/format.js";
import { hiddenBy, idOf, isGroup, lineAt, rowOf } from "../lib/output-rows.js";
import { hash, query, setHash, setQuery } from "../lib/router.js";
import { RunLines } from "../lib/run-lines.js";
import { concernsRun, nodesOf, outcomeOf, pathOf, tryTitle } from "../lib/runs.js";
import { NODE, RUN, isActive } from "../lib/status.js";
import { LAST, StepLines } from "../lib/step-lines.js";
import { useChanges, useEndOf } from "../lib/use-api.js";
import { firstAround } from "../lib/virtual-list.js";
import { Empty, Failure, Icon, Select, Toggle } from "./basic.js";
import { SearchBar, useSearch } from "./logsearch.js";
import { attempt as tryTo } from "./notice.js";
import { OutputLine } from "./outputline.js";
import { VirtualList, useVirtualList } from "./virtuallist.js";

/** @import { OutputProps, OutputRow } from "../../types/ui" */

const STREAMS = [["all", "out + err"], ["stdout", "stdout"], ["stderr", "stderr"]];
const AHEAD = 125; // lines behind the visible ones that are fetched, too

/** @param {OutputProps} props */
export function Output(props) {
  const { step, run, blank } = props;
  const node = step === null ? null : nodesOf(run).find((one) => one.step.name === step);
  if (node === undefined) return html`<${Empty} title="No such step">
    This run has no step <code>${step}</code>. Choose one from the list.<//>`;
  if (node && !instant(node.startedAt)) return html`<${NotRun} node=${node} run=${run} />`;
  const linked = node && lineOf(hash.value);
  const asked = query.value.get("stream");
  if (!blank || asked || linked) return html`<${Lines} ...${props} node=${node} linked=${linked}
    attempt=${node && chosenTry()} stream=${streamOf(asked, node, linked)} />`;
  return html`<section class="output log" aria-label=${`Output of ${step}`}>
    <div class="log-bar"><${StreamChoice} stream="runs" hasTable=${true} /></div>${blank}</section>`;
}

/** The number of the try in the address, whose output is shown alone; null for all. */
export function chosenTry() {
  const number = Number(query.value.get("try"));
  return Number.isInteger(number) && number >= 1 && number <= LAST ? number : null;
}

/** @param {{ node: Api.Node, run: Run }} props */
function NotRun({ node, run }) {
  if (node.status === NODE.NOT_STARTED && isActive(run.status)) return html`<${Empty} title="Not started yet">
    The output appears here as soon as the step runs.<//>`;
  const reason = node.status === NODE.NOT_STARTED && run.error;
  return html`<${Empty} title="This step did not run">
    ${reason ? html`It did not run, because <span class="wide-text">${reason}</span>`
      : node.status === NODE.NOT_STARTED ? "The run ended before it."
      : "A step that it depends on did not succeed, or a precondition was not met."}
  <//>`;
}

/**
 * @param {OutputProps & { node: Api.Node | null, stream: Stream | null, attempt: number | null,
 *   linked: number | null }} props `linked` is the line of the address
 */
function Lines({ address, root, step, node, run, active, attempt, onBack, blank, stream, linked }) {
  const [version, redraw] = useState(0);
  const [wrap, setWrap] = useState(false);
  const [times, setTimes] = useState(step === null);
  const shift = useRef(/** @type {((count: number) => void) | null} */ (null));
  const isAtEnd = useRef(false);
  const lines = useMemo(() => {
    const [path, onChange] = [pathOf(address), () => redraw((count) => count + 1)];
    if (step === null) return new RunLines(path, stream, onChange, (count) => shift.current?.(count));
    return new StepLines(path, step, { stream, execution: attempt }, onChange);
  }, [JSON.stringify([address, step, stream, attempt])]);
  const { folds } = lines;
  const isGroupFolded = [...lines.folded.keys()].some(isGroup);
  const all = lines.total ?? 0;
  const total = all - hiddenBy(folds);
  const fromEnd = node ? node.status === NODE.FAILED : active || run.status === RUN.FAILED;
  const list = useVirtualList({
    total,
    active,
    start: (rows) => {
      const line = linked ?? lines.lastError;
      if (line) return firstAround(total, rows, rowOf(line, folds));
      return isAtEnd.current ? Math.max(1, total - rows + 1) : 1;
    },
  });
  shift.current = list.shift;
  const { from, to } = list;
  const begin = (/** @type {boolean} */ end) => {
    isAtEnd.current = end;
    list.restart(active && (end || step !== null));
    lines.begin(node ? end && !linked && Boolean(node.error?.includes("stderr")) : end);
  };
  const want = () => {
    for (let row = from; row <= to; row += 1) lines.want(Math.max(1, lineAt(row, folds) - 1), lineAt(row, folds));
    lines.want(lineAt(to, folds), Math.min(all, lineAt(Math.min(total, to + AHEAD), folds)));
  };
  useEffect(() => {
    begin(fromEnd);
    return () => lines.close();
  }, [lines]);
  useChanges(active ? (change) => concernsRun(root, change) : null, () => lines.grow());
  useEndOf(active, () => lines.grow());
  useEffect(() => {
    if (total && !lines.error) want();
  }, [lines, from, to, total, version]);

  const show = (/** @type {number} */ line) => {
    lines.open(line);
    // The search may respond before the output is loaded: then it starts at the line of the address. Or the output was
    // loaded during the search, which knows only the number of lines before.
    if (lines.total === null) list.restart(false);
    else list.show(rowOf(line, lines.folds), lines.total - hiddenBy(lines.folds));
  };
  const go = (/** @type {number} */ line) => {
    const isOfOther = lines.others.some(([first, last]) => line >= first && line <= last);
    setQuery({ stream: stream ?? "all", try: isOfOther ? null : attempt });
    setHash(`L${line}`);
    show(line);
  };
  const goToHit = async (/** @type {Api.LogHit} */ hit) => {
    if (lines instanceof StepLines) return go(hit.line);
    if (!lines.find(hit)) {
      list.restart(false);
      await lines.begin(false, { step: hit.step, stream: hit.stream, line: hit.line, subRun: hit.dagRunId });
    }
    show(lines.find(hit) || 1);
  };
  const search = useSearch(pathOf(address), step === null ? { stream, subRuns: true }
    : { step, stream, merged: stream === null || null });
  const name = step ?? "all steps";
  const tryOf = useTryHeads({ address, root, run, step, active, lines });
  /** @type {import("../../types/ui").View} */
  const view = {
    address,
    times,
    linked,
    marks: stream === null,
    isHit: isHitOf(search.current),
    pattern: search.pattern,
    tryOf,
    isFolded: (key) => lines.folded.has(key),
    onFold: (section) => tryTo(() => lines.toggle(section)),
    onLink: step === null ? null : go,
  };
  const line = (/** @type {number} */ row) => lineAt(row, folds);
  return html`<section class="output log" aria-label=${`Output of ${name}`}>
    <div class="log-bar">
      ${onBack && html`<button type="button" onClick=${onBack}>Show one step</button>`}
      <${StreamChoice} stream=${stream ?? "all"} hasTable=${Boolean(blank)} />
      <${SearchBar} search=${search} onGo=${goToHit} />
      ${active && html`<${Toggle} name="Follow" on=${list.follow} onSet=${list.setFollow}
        title="Scroll to new lines as they come; scrolling up pauses this" />`}
      <${Toggle} name="Times" on=${times} onSet=${setTimes}
        title="When the server received the lines; lines that came together show one time" />
      <${Toggle} name="Wrap" on=${wrap} onSet=${setWrap} title="Break long lines" />
      ${step !== null && html`<${StepTools} path=${[...pathOf(address), "steps", step]} step=${step} stream=${stream}
        attempt=${attempt} line=${linked ?? line(from)} />`}
    </div>
    ${lines.error && html`<${Failure} error=${lines.error} retry=${() => (total ? want() : begin(fromEnd))} />`}
    <${VirtualList} list=${list} class="log-scroll" rowsClass=${wrap ? "wrap" : ""}
      label=${step === null ? "Lines of all steps" : "Log lines"}
      row=${(/** @type {number} */ row) => html`<${OutputLine} key=${line(row)} number=${line(row)}
        row=${lines.row(line(row))} above=${lines.row(line(row - 1))} before=${lines.before(line(row))}
        view=${view} />`}>
      ${lines.total !== null && total === 0 && html`<${Nothing} active=${active} step=${step} stream=${stream}
        attempt=${attempt} />`}
    <//>
    <div class="log-foot">
      <span class="number">${plural(all - hiddenBy(lines.others), "line")}${lines.isPartial && " loaded"}</span>
      ${total > list.rows && html`<span class="number">Showing ${line(from).toLocaleString("en")}–${line(
        list.printing ? to : Math.min(total, from + list.rows - 1)).toLocaleString("en")}</span>`}
      ${active && !list.follow && total > 0 && html`<span>Following is paused</span>`}
      ${(lines.hasGroups || isGroupFolded) && html`<button type="button" class="quiet"
        onClick=${() => tryTo(() => lines.toggleGroups())}>${isGroupFolded ? "Unfold groups" : "Fold groups"}</button>`}
      ${attempt !== null && total > 0 && html`<${AllTries} />`}
      <span class="grow"></span>
      ${lines.isPartial && html`
        <button type="button" class="quiet" onClick=${() => begin(false)}>Go to the start</button>
        <button type="button" class="quiet" onClick=${() => begin(true)}>Go to the end</button>`}
      ${step !== null && all > list.rows && html`<${GoTo} total=${all} onGo=${go} />`}
    </div></section>`;
}

/** Whether a row has the current hit. @param {Api.LogHit | null} hit @returns {(row: OutputRow) => boolean} */
const isHitOf = (hit) => ({ number, parts, source }) => hit !== null && hit.line === number && (!source
  || (source.step === hit.step && parts[0].stream === hit.stream && source.runId === (hit.dagRunId ?? null)));

/**
 * A function that returns the heading of a try of a step, null if that has one only.
 * @param {{ address: RunAddress, root: RunAddress, run: Run, step: string | null, active: boolean,
 *   lines: StepLines | RunLines }} props
 * @returns {import("../../types/ui").View["tryOf"]}
 */
function useTryHeads({ address, root, run, step, active, lines }) {
  const find = useTries(root, active, run.attempt);
  return (execution, source) => {
    const name = source?.step ?? step ?? "";
    const isRepeated = lines instanceof RunLines && lines.repeated.has(idOf(source));
    const count = source?.runId ? (isRepeated ? null : 1)
      : (nodesOf(run).find((node) => node.step.name === name)?.retryCount ?? 0) + 1;
    const title = tryTitle(execution, count) ?? (isRepeated ? `Execution ${execution}` : null);
    if (title === null) return null;
    const one = find({ ...address, subRunId: source?.runId ?? address.subRunId }, name, execution);
    return { title, outcome: outcomeOf(one), error: one?.error };
  };
}

/** @param {string} fragment */
function lineOf(fragment) {
  const match = /^#L(\d+)$/.exec(fragment);
  return match ? Number(match[1]) : null;
}

/**
 * The stream that is shown, null for both. A line of an address without a stream is one of stdout, or of stderr for a
 * failed step that wrote there.
 * @param {string | null} asked
 * @param {Api.Node | null} node
 * @param {number | null} linked
 * @returns {Stream | null}
 */
function streamOf(asked, node, linked) {
  if (asked === "stdout" || asked === "stderr") return asked;
  if (asked || !node || !linked) return null;
  return node.status === NODE.FAILED && node.error?.includes("stderr") ? "stderr" : "stdout";
}

/** @param {{ stream: Stream | "all" | "runs", hasTable: boolean }} props */
function StreamChoice({ stream, hasTable }) {
  const usual = hasTable ? "runs" : "all";
  return html`<${Select} aria-label="Stream" value=${stream}
    title="What is shown: both streams in the order of time, or one of them"
    options=${hasTable ? [["runs", "sub-runs"], ...STREAMS] : STREAMS} onSet=${(/** @type {string} */ value) => {
      setHash(""); // the line of the address is another one in another stream
      setQuery({ stream: value === usual ? null : value });
    }} />`;
}

const AllTries = () => html`<button type="button" onClick=${() => setQuery({ try: null })}>Show all tries</button>`;

/** @param {{ active: boolean, step: string | null, stream: Stream | null, attempt: number | null }} props */
function Nothing({ active, step, stream, attempt }) {
  if (attempt !== null) return html`<${Empty} title=${`No output of try ${attempt}`}><${AllTries} /><//>`;
  if (active) return html`<${Empty} title="No output yet">
    Lines appear here as the ${step === null ? "steps write" : "step writes"} them.<//>`;
  const wrote = `${step === null ? "No step of this run wrote anything" : "The step wrote nothing"}`;
  return html`<${Empty} title=${stream ? `${wrote} to ${stream}` : wrote}>
    ${stream && html`<button type="button" onClick=${() => setQuery({ stream: "all" })}>
      Show both streams</button>`}<//>`;
}

/**
 * @param {{ path: readonly ["dag-runs", string, string, "steps", string], step: string, stream: Stream | null,
 *   attempt: number | null, line: number }} props
 */
function StepTools({ path, step, stream, attempt, line }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    const page = new URL(window.location.href);
    page.searchParams.set("step", step);
    page.searchParams.set("stream", stream ?? "all");
    page.hash = `L${line}`;
    setCopied(await copyText(page.href));
  };
  return html`<button type="button" class="quiet" aria-label="Copy link to line" onBlur=${() => setCopied(false)}
      title=${copied ? "Copied" : `Copy a link to line ${line}`} onClick=${copy}>
      <${Icon} name=${copied ? "done" : "copy"} /></button>
    <a class="button quiet" download title="Download the output" aria-label="Download this log"
      href=${url([...path, "log", "download"], { stream: stream ?? "all", execution: attempt })}>
      <${Icon} name="down" /></a>`;
}

/** @param {{ total: number, onGo: (line: number) => void }} props */
function GoTo({ total, onGo }) {
  const submit = (/** @type {FormSubmit} */ event) => {
    event.preventDefault();
    const line = Number(new FormData(event.target).get("line"));
    if (line >= 1) onGo(Math.min(total, line));
  };
  return html`<form onSubmit=${submit}>
    <label class="inline">Go to line <input class="goto" name="line" inputmode="numeric" pattern="[0-9]*" /></label>
    </form>`;
}

/**
 * A function that returns a try of a step, undefined until it is loaded. One that has ended is not asked for again.
 * @param {RunAddress} root of the page, which hears of changes
 * @param {boolean} active
 * @param {number} [attempt] of the run, which has tries of its own
 */
function useTries(root, active, attempt) {
  const [known, setKnown] = useState(/** @type {Map<string, Api.StepTry[]>} */ (new Map()));
  const asked = useRef(/** @type {Set<string>} */ (new Set()));
  const renew = () => {
    asked.current.clear();
    setKnown((before) => new Map(before));
  };
  useChanges(active ? (change) => change.kind === "run" && concernsRun(root, change) : null, renew);
  useEndOf(active, renew);
  return (/** @type {RunAddress} */ address, /** @type {string} */ step, /** @type {number} */ execution) => {
    const path = /** @type {const} */ ([...pathOf(address), "steps", step]);
    const key = JSON.stringify([path, attempt]);
    const one = known.get(key)?.find(({ number }) => number === execution);
    if (one?.finishedAtMillis === undefined && !asked.current.has(key)) {
      asked.current.add(key);
      // Without an answer the titles have no outcomes.
      get(path).then(({ tries }) => setKnown((before) => new Map(before).set(key, tries)), () => {});
    }
    return one;
  };
}
