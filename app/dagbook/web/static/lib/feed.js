// Client of the server's live feed: one stream per tab for all listeners.

import { signal } from "../vendor/core.js";
import { HTTP, requireLogin, url } from "./api.js";
import { headers } from "./session.js";

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30000;
/** @type {Set<number>} */
const REFUSED = new Set([HTTP.UNAUTHORIZED, HTTP.FORBIDDEN, HTTP.NOT_FOUND]); // retrying is pointless

/** @type {Set<(change: Change) => void>} */
const listeners = new Set();
/** @type {string | null} */
let last = null;
/** @type {AbortController | null} */
let running = null;
/** @type {string | null} */
let focus = null;
let pause = FIRST_PAUSE;

/** State of the stream: "live", "connecting" or "off". */
export const liveness = signal("connecting");

/**
 * Call `listener` with changes until the returned function is called. After a change of kind "reset" all data must be
 * loaded again.
 * @param {(change: Change) => void} listener
 */
export function listen(listener) {
  listeners.add(listener);
  running ??= run();
  return () => listeners.delete(listener);
}

/**
 * Receive the changes of one run only, also those of its output; with null all changes again.
 * @param {string | null} id
 */
export function focusOn(id) {
  if (id === focus) return;
  focus = id;
  restart();
}

/** Reconnect, for example after a login. */
export function restart() {
  running?.abort();
  running = listeners.size ? run() : null;
}

/** @param {Change} change */
function publish(change) {
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
    // the connection broke: connect again
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
 * Handle one event of the stream; lines that start with a colon only keep the connection alive.
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
  publish({ ...parse(data.join("\n")), kind: fields.event });
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
