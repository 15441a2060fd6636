// The page's part of the live feed: what it follows, and who listens. The stream itself is in feed-hub.js.

import { signal } from "../vendor/core.js";
import { requireLogin, url } from "./api.js";
import { config } from "./config.js";
import { Hub } from "./feed-hub.js";
import { showsState } from "./title.js";

/** @import { Ask, Told } from "../../types/ui" */

const HIDDEN = 30_000; // milliseconds: a page that is hidden for a moment goes on

/** @type {Set<(change: Change) => void>} */
const listeners = new Set();
/** @type {string | null | undefined} */
let focus = null;
let hidden = false;
let gone = false; // the browser keeps the page for its back button
let planned = false;
let isShared = false;
/** @type {((ask: Ask) => void) | null} */
let hub = null;

/** State of the stream: "live", "connecting" or "off". */
export const liveness = signal("connecting");

/**
 * Call `listener` with changes until the returned function is called. After a change of kind "reset" all data must be
 * loaded again.
 * @param {(change: Change) => void} listener
 */
export function listen(listener) {
  listeners.add(listener);
  plan();
  return () => {
    listeners.delete(listener);
    plan();
  };
}

/**
 * Receive the changes of one run only, also those of its output; with null all changes again. Undefined is a run whose
 * id is still to come, for which no stream is opened before.
 * @param {string | null | undefined} id
 */
export function focusOn(id) {
  focus = id;
  plan();
}

/** Reconnect, for example after a login. */
export const restart = () => hub?.({ kind: "restart" });

/** Say what this page follows; changes of one moment, as from one run to another, are said once. */
function plan() {
  if (planned) return;
  planned = true;
  queueMicrotask(() => {
    planned = false;
    if (focus === undefined) return;
    if (listeners.size) hub ??= connect();
    const since = config.position || null;
    hub?.(follows() ? { kind: "follow", run: focus, output: !hidden, since } : { kind: "leave" });
  });
}

/** A hidden page follows nothing, unless its icon shows a state and the stream is not its own. */
const follows = () => listeners.size > 0 && !gone && !(hidden && !(isShared && showsState.peek()));

/** @returns {(ask: Ask) => void} */
function connect() {
  try {
    const worker = new SharedWorker(new URL("./feed-worker.js", import.meta.url), { type: "module" });
    worker.port.onmessage = ({ data }) => receive(data);
    worker.onerror = () => {
      hub = connectAlone();
      plan();
    };
    isShared = true;
    return (ask) => worker.port.postMessage(ask);
  } catch {
    return connectAlone(); // Chrome on Android has no shared workers, and settings of browsers may forbid them
  }
}

function connectAlone() {
  isShared = false;
  return new Hub(url("events")).join(receive);
}

/** @param {Told} told */
function receive(told) {
  if ("change" in told) {
    for (const listener of [...listeners]) listener(told.change);
    return;
  }
  liveness.value = told.state === "out" ? "off" : told.state;
  if (told.state === "out") requireLogin();
}

/** @type {number | undefined} */
let timer;

function notice() {
  clearTimeout(timer);
  if (document.hidden) timer = setTimeout(() => hide(true), HIDDEN);
  else hide(false);
}

/** @param {boolean} now */
function hide(now) {
  hidden = now;
  plan();
  hurry();
}

/** The user or the network is back: a stream that waits for its next attempt connects now. */
function hurry() {
  if (!document.hidden) hub?.({ kind: "hurry" });
}

document.addEventListener("visibilitychange", notice);
window.addEventListener("pagehide", () => {
  gone = true;
  hub?.({ kind: "leave" }); // now: there may be no later
});
window.addEventListener("pageshow", () => {
  gone = false;
  plan();
});
for (const kind of ["online", "focus", "pointerdown"]) window.addEventListener(kind, hurry);
notice();
