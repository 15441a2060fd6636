// What changes on the server, as it happens: one stream per tab for all who want to know.

import { signal } from "../vendor/core.js";
import { HTTP, headers, requireLogin, url } from "./api.js";

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30000;
/** @type {Set<number>} */
const REFUSED = new Set([HTTP.UNAUTHORIZED, HTTP.FORBIDDEN, HTTP.NOT_FOUND]); // no use to try again

/** @type {Set<(change: Change) => void>} */
const listeners = new Set();
/** @type {string | null} */
let last = null;
/** @type {AbortController | null} */
let running = null;
/** @type {string | null} */
let focus = null;
let pause = FIRST_PAUSE;

/** "live", "connecting" or "off": what the dot in the bar shows. */
export const liveness = signal("connecting");

/**
 * Be told of changes until the returned function is called. A change of kind "reset" means: load everything anew.
 * @param {(change: Change) => void} listener
 */
export function listen(listener) {
  listeners.add(listener);
  running ??= run();
  return () => listeners.delete(listener);
}

/**
 * Hear of one run only, of the growth of its output too; null hears of everything again.
 * @param {string | null} id
 */
export function focusOn(id) {
  if (id === focus) return;
  focus = id;
  restart();
}

/** Begin anew, as with another token. */
export function restart() {
  running?.abort();
  running = listeners.size ? run() : null;
}

/** @param {Change} change */
function tell(change) {
  for (const listener of [...listeners]) listener(change);
}

function run() {
  const control = new AbortController();
  (async () => {
    while (!control.signal.aborted && (await connect(control.signal))) await rest(control.signal);
  })();
  return control;
}

/** @param {AbortSignal} abort */
async function connect(abort) {
  liveness.value = "connecting";
  try {
    const target = url("events", { after: last, run: focus });
    const response = await fetch(target, { headers: { ...headers(), Accept: "text/event-stream" }, signal: abort });
    if (REFUSED.has(response.status)) {
      liveness.value = "off";
      if (response.status === HTTP.UNAUTHORIZED) requireLogin();
      return false;
    }
    if (response.ok && response.body) await read(response.body.pipeThrough(new TextDecoderStream()).getReader());
  } catch {
    // broken off: connect again
  }
  liveness.value = "connecting";
  return true;
}

/** @param {ReadableStreamDefaultReader<string>} reader */
async function read(reader) {
  liveness.value = "live";
  pause = FIRST_PAUSE;
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value.replaceAll("\r\n", "\n");
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) take(block);
  }
}

/**
 * Take one event of the stream; lines that begin with a colon only keep the connection alive.
 * @param {string} block
 */
export function take(block) {
  /** @type {Record<string, string>} */
  const fields = { event: "message" };
  const data = [];
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") data.push(value);
    else fields[name] = value;
  }
  if (fields.id) last = fields.id;
  if (!data.length && fields.event !== "reset") return;
  tell({ ...parse(data.join("\n")), kind: fields.event });
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** @param {AbortSignal} abort */
async function rest(abort) {
  await new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
    const timer = setTimeout(resolve, pause);
    abort.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
  pause = Math.min(pause * 2, LONGEST_PAUSE);
}
