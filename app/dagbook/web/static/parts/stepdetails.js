// Details pane of a step: the command as it ran, its surroundings, outputs, tries, and who decided about it.

import { html } from "../vendor/core.js";
import { clock, duration, durationText, exact, instant, plural, secondsOf } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { answerOf, isOfStep, lookOfReceipt } from "../lib/alerts.js";
import { setHash, setQuery } from "../lib/router.js";
import { concernsRun, nodesOf, pathOf } from "../lib/runs.js";
import { Empty, Status, Time, whenLoaded } from "./basic.js";
import { chosenTry } from "./output.js";

/**
 * `root` is the address of the page, which hears of changes.
 * @param {{ address: RunAddress, root: RunAddress, run: Run, step: string }} props
 */
export function StepDetails({ address, root, run, step }) {
  const node = nodesOf(run).find((one) => one.step.name === step);
  const onRun = (/** @type {Change} */ change) => change.kind === "run" && concernsRun(root, change);
  const loaded = useApi(node ? [...pathOf(address), "steps", step] : null, {}, onRun);
  const isMailed = node?.step.mailOnError && !address.subRunId;
  const told = useApi(isMailed ? ["dag-runs", address.name, address.runId, "alerts"] : null, {}, onRun);
  const mails = told.data?.receipts.filter((one) => node && isOfStep(one, run.nodes.indexOf(node))) ?? [];
  if (!node) return html`<${Empty} title="No step"><p>Choose a step from the list.</p><//>`;
  return html`<div class="pane-scroll step-details" tabindex="0" role="region" aria-label=${`Details of ${step}`}>
    <${Section} title="Step"><${Facts} pairs=${[
      ["Started", instant(node.startedAt) && html`<${Time} at=${node.startedAt} words=${false} />`],
      ["Duration", secondsOf(node) !== null && durationText(node)],
      ["Retries", node.retryCount > 0 && node.retryCount],
      ["Repeated", node.doneCount > 1 && node.doneCount],
      ["Depends on", node.step.depends?.join(", ")],
      ["Description", node.step.description],
    ]} /><//>
    ${mails.length > 0 && html`<${Section} title="Told"><ul class="plain">${mails.map((one) => html`<li key=${one.id}>
      <${Status} look=${lookOfReceipt(one)} /> by a mail of the definition, <${Time}
        at=${one.nextTryAt ?? one.sentAt ?? one.dueAt} /> <span class="faint">${answerOf(one)}</span></li>`)}</ul><//>`}
    ${whenLoaded(loaded, "details", (details) => html`<${Loaded} details=${details} />`)}
  </div>`;
}

/** @param {{ details: Api.StepDetails }} props */
function Loaded({ details }) {
  const { execution, environment, outputs, tries, triesLeftOut, approval } = details;
  return html`
    ${approval && html`<${Section} title="Approval"><${Decision} approval=${approval} /><//>`}
    ${tries.length > 0 && html`<${Section} title=${plural(tries.length, "try", "tries")}>
      <${Tries} tries=${tries} leftOut=${triesLeftOut ?? 0} chosen=${chosenTry()} /><//>`}
    ${execution && html`<${Section} title="As it ran"><${Execution} execution=${execution} /><//>`}
    ${outputs.length > 0 && html`<${Section} title="Outputs"><${Facts} pairs=${pairsIn(outputs)} isCode /><//>`}
    ${environment.values.length > 0 && html`<${Section} title="Parameters and run variables">
      <${Facts} pairs=${pairsIn(environment.values)} isCode /><//>`}
    <${Environment} environment=${environment} />`;
}

/** @typedef {[name: string, value: Children]} Pair */

/** @param {{ name: string, value: string }[]} values @returns {Pair[]} */
const pairsIn = (values) => values.map(({ name, value }) => [name, value === "" ? "(empty)" : value]);

/** @param {{ title: string, children?: Children }} props */
const Section = ({ title, children }) => html`<section aria-label=${title}><h3>${title}</h3>${children}</section>`;

/** Names and values; pairs without a value are left out. @param {{ pairs: Pair[], isCode?: boolean }} props */
function Facts({ pairs, isCode = false }) {
  const shown = pairs.filter(([, value]) => value || value === 0);
  return html`<dl class=${isCode ? "facts code" : "facts"}>
    ${shown.map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

/** @param {{ execution: Api.StepExecution }} props */
function Execution({ execution: { type, commands = [], script, truncated, directory, host, service, account } }) {
  const text = [...commands.map((words) => words.map(quoted).join(" ")), ...(script ? [script] : [])].join("\n");
  return html`${text && html`<pre tabindex="0" aria-label="Command">${text}${truncated && "\n…"}</pre>`}
    <${Facts} pairs=${[
      ["Executor", type !== "command" && type],
      ["Directory", directory && html`<code>${directory}</code>`],
      ["Host", host && html`<span title=${service}>${host}</span>`],
      ["Account", account],
    ]} />`;
}

/** A word of a command as a shell takes it. @param {string} word */
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/**
 * The tries of a step; the output beside is that of the chosen one.
 * @param {{ tries: Api.StepTry[], leftOut: number, chosen: number | null }} props
 */
function Tries({ tries, leftOut, chosen }) {
  const choose = (/** @type {number | null} */ number) => {
    setHash(""); // the line may be one of another try
    setQuery({ try: number, stream: number && "all", output: null });
  };
  return html`<ol class="tries">
    ${leftOut > 0 && html`<li class="faint">${plural(leftOut, "earlier try", "earlier tries")} left out</li>`}
    ${tries.map((one) => html`<li key=${one.number}>
      <button type="button" class="quiet" aria-pressed=${one.number === chosen} disabled=${tries.length < 2}
        title="Show the output of this try alone"
        onClick=${() => choose(one.number === chosen ? null : one.number)}>${one.number}</button>
      <time datetime=${one.startedAt} title=${exact(one.startedAt)}>${clock(one.startedAt)}</time>
      <span class="number">${duration(secondsOf(one))}</span>
      <span class=${one.exitCode ? "bad" : "faint"}>${one.exitCode === undefined ? "" : `exit ${one.exitCode}`}</span>
      ${one.error && html`<span class="cut faint" title=${one.error}>${one.error.split("\n").at(-1)}</span>`}</li>`)}
    </ol>`;
}

/** @param {{ approval: Api.StepApproval }} props */
function Decision({ approval: { askedAt, prompt, approved, by, at, inputs = {}, reason } }) {
  const word = approved === undefined ? null : approved ? "Approved" : "Rejected";
  return html`<${Facts} pairs=${[
    ["Asked", html`<${Time} at=${askedAt} words=${false} />`],
    ["Question", prompt],
    word && [word, html`by ${by ?? "a timeout"}${at && html`, <${Time} at=${at} words=${false} />`}`],
    ["Reason", reason],
    ...Object.entries(inputs),
  ].filter(Boolean)} />`;
}

/** @param {{ environment: Api.StepEnvironment }} props */
function Environment({ environment: { names, managed } }) {
  const known = new Set((managed ?? []).map(({ name }) => name));
  const others = names.filter((name) => !known.has(name));
  if (!names.length && !known.size) return null;
  return html`<${Section} title="Environment">
    ${managed && managed.length > 0 && html`<${Facts} pairs=${pairsIn(managed)} isCode />`}
    ${others.length > 0 && html`<p class="names">${others.map((name) => html`<code key=${name}>${name}</code> `)}</p>
      <p class="faint">Set by the definition; values are not shown here.</p>`}<//>`;
}
