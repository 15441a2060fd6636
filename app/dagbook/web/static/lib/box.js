// What the box of all pages offers for a text: pages, what the server found for it, actions, and the search. Pure.

import { partsOf, writePart } from "./filter-text.js";
import { RUN_KEYS } from "./run-filter.js";
import { pageOf } from "./runs.js";

/** @import { Found } from "../../types/ui" */

const VERB = /^(?<verb>go to|open|start|suspend|resume|definition of|runs of)\s+(?<rest>\S.*)$/u;
const MOST = 200; // characters of a search
const OF_DAGS = new Set(["", "status", "tag"]); // keys that the filter of the list of DAGs has, too

/** What is asked for: a verb, and the text that names are searched by. @param {string} typed */
export function askedFor(typed) {
  const text = typed.trim().slice(0, MOST);
  const { verb = "", rest = text } = VERB.exec(text.toLowerCase())?.groups ?? {};
  return { text, verb, name: verb ? text.slice(-rest.length) : text };
}

/**
 * The options for a text; `places` are the pages that the user sees, and `found` is what the server has for it so far:
 * what it found for a shorter text is offered as far as it fits.
 * @param {string} typed
 * @param {{ places: readonly string[][], found: Api.NameMatches | null }} from
 * @returns {Found[]}
 */
export function optionsFor(typed, { places, found }) {
  const { text, verb, name } = askedFor(typed);
  const wanted = name.toLowerCase();
  const fits = (/** @type {string} */ value) => value.toLowerCase().includes(wanted);
  const starts = (/** @type {string} */ value) => value.toLowerCase().startsWith(wanted);
  const isLook = !verb || verb === "go to" || verb === "open";
  const pages = places.filter(([, title]) => isLook && starts(title));
  const first = [...pages.map(([to, title]) => option("Pages", title, { to })), ...listsFor(text)];
  if (!text) return first;
  const last = option("Search", `Search errors and output for “${text}”`, { to: "/search", search: { q: text } });
  if (!found) return [...first, last];
  const dags = found.dags.filter(({ name: dag }) => fits(dag));
  const actions = (verb && !isLook ? dags : dags.slice(0, 1)).flatMap(actionsOf);
  if (!isLook) return [...actions.filter(({ title }) => title.toLowerCase().startsWith(verb)), last];
  const runs = found.runs.filter(({ dagRunId }) => starts(dagRunId));
  const params = found.params.filter(({ param }) => fits(param));
  const users = found.users.filter(({ username }) => fits(username));
  return [
    ...first,
    ...dags.map((dag) => option("DAGs", dag.name, { to: ["dags", dag.fileName] })),
    ...runs.map((run) => option("Runs", run.name, { run, hint: run.dagRunId })),
    ...params.map((run) => option("Parameters", run.param, { run, hint: run.name })),
    ...users.map(({ username, role }) => option("Users", username, { hint: role, to: "/users",
      search: { q: writePart("", username) } })),
    ...actions,
    last,
  ];
}

/** @param {string} group @param {string} title @param {Omit<Found, "key" | "group" | "title">} more @returns {Found} */
function option(group, title, { run, ...more }) {
  const to = run ? pageOf({ name: run.name, runId: run.dagRunId }) : more.to;
  return { key: `${group} ${run?.dagRunId ?? ""} ${title}`, group, title, run, ...more, to };
}

/** The lists that a text with keys filters, such as "status:failed tag:nightly". @param {string} text */
function listsFor(text) {
  const keys = partsOf(text).map(({ key }) => key).filter((key) => Object.hasOwn(RUN_KEYS, key));
  if (!keys.some(Boolean)) return [];
  const runs = option("Lists", `Runs with ${text}`, { to: "/dag-runs", search: { q: text } });
  const dags = option("Lists", `DAGs with ${text}`, { to: "/dags", search: { q: text } });
  return keys.every((key) => OF_DAGS.has(key)) ? [runs, dags] : [runs];
}

/** What the user may do with a DAG. @param {Api.DAGMatch} dag */
function actionsOf({ name, fileName, mayStart, suspended, scheduled }) {
  const schedule = { fileName, suspend: !suspended };
  return [
    mayStart && option("Actions", `Start ${name}…`, { to: ["dags", fileName], search: { start: 1 } }),
    mayStart && (scheduled || suspended)
      && option("Actions", `${suspended ? "Resume" : "Suspend"} ${name}`, { schedule }),
    option("Actions", `Definition of ${name}`, { to: ["dags", fileName, "spec"] }),
    option("Actions", `Runs of ${name}`, { to: "/dag-runs", search: { q: writePart("", name) } }),
  ].filter((one) => one !== false);
}
