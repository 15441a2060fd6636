// Client of the server's live feed: one event stream for all pages of a browser.
//
// It runs in a shared worker (feed-worker.js), or in the page itself where the browser has none. A browser opens six
// HTTP/1.1 connections to a server: with a stream for each page, six pages would leave none for requests.

/** @import { Ask, Member, StreamState, Told } from "../../types/ui" */

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 10_000;
const MOST_OUTPUTS = 32; // the limit of the server
const UNAUTHORIZED = 401;
const HEADERS = { Accept: "text/event-stream", "X-Dagbook-Idle": "true" }; // a stream does not prolong the session

export class Hub {
  /** @param {URL} address of the stream */
  constructor(address) {
    this.address = address;
    /** @type {Set<Member>} */
    this.members = new Set(); // those that follow
    /** @type {StreamState} */
    this.state = "connecting";
    /** @type {string | null} */
    this.last = null; // id of the last event
    /** @type {AbortController | null} */
    this.stream = null;
    /** @type {string[]} */
    this.outputs = []; // the runs whose output the stream has
    this.pause = FIRST_PAUSE;
    this.wake = () => {};
  }

  /** Add a page; returns what takes its requests. @param {(told: Told) => void} tell @returns {(ask: Ask) => void} */
  join(tell) {
    /** @type {Member} */
    const member = { tell, run: null, output: false, left: null };
    return (ask) => {
      if (ask.kind === "follow") this.follow(member, ask);
      else if (ask.kind === "leave") this.leave(member);
      else if (ask.kind === "restart") this.restart();
      else this.hurry();
    };
  }

  /**
   * `since` is the position of the changes in the page's document: its data are from then or later.
   * @param {Member} member
   * @param {{ run: string | null, output: boolean, since: string | null }} wish
   */
  follow(member, { run, output, since }) {
    Object.assign(member, { run, output, left: member.left ?? since });
    if (!this.members.has(member)) this.admit(member);
    this.adjust();
  }

  /**
   * The first page continues where it left. The stream may have gone on without another, which loads its data again.
   * @param {Member} member
   */
  admit(member) {
    if (!this.members.size) this.last = member.left;
    else if (member.left !== null && member.left !== this.last) member.tell({ change: { kind: "reset" } });
    this.members.add(member);
    member.tell({ state: this.state });
  }

  /** @param {Member} member */
  leave(member) {
    if (!this.members.delete(member)) return;
    member.left = this.last;
    this.adjust();
  }

  /** Connect, or connect again, if the stream is not what the pages need. */
  adjust() {
    const wanted = [...this.members].flatMap(({ run, output }) => (run !== null && output ? [run] : []));
    const outputs = [...new Set(wanted)].slice(-MOST_OUTPUTS).sort();
    const same = outputs.join() === this.outputs.join();
    this.outputs = outputs;
    if (!this.members.size || !this.stream || !same) this.restart();
  }

  /** Connect again; the state stays what it was until the result is known. */
  restart() {
    this.stream?.abort();
    this.stream = null;
    if (this.members.size) this.run((this.stream = new AbortController()).signal);
    else this.state = "connecting";
  }

  hurry() {
    this.pause = FIRST_PAUSE;
    this.wake();
  }

  /** @param {AbortSignal} abort */
  async run(abort) {
    while (!abort.aborted) {
      const state = await this.connect(abort);
      if (abort.aborted) return;
      this.become(state);
      if (state !== "out") await this.rest(abort);
      else return void (this.stream = null); // retrying is pointless until a page follows again
    }
  }

  /** @param {StreamState} state */
  become(state) {
    if (state === this.state) return;
    this.state = state;
    for (const { tell } of this.members) tell({ state });
  }

  /** Receive changes to the end; returns the state then. @param {AbortSignal} signal @returns {Promise<StreamState>} */
  async connect(signal) {
    const target = new URL(this.address);
    if (this.last) target.searchParams.append("after", this.last);
    for (const run of this.outputs) target.searchParams.append("output", run);
    try {
      const response = await fetch(target, { headers: HEADERS, signal });
      if (response.status === UNAUTHORIZED) return "out";
      if (response.ok && response.body) await this.read(response.body, signal);
      else if (isAnswer(response)) return "off";
    } catch {
      // the connection broke: connect again
    }
    return "connecting";
  }

  /** @param {ReadableStream<Uint8Array<ArrayBuffer>>} body @param {AbortSignal} abort */
  async read(body, abort) {
    this.pause = FIRST_PAUSE;
    this.become("live");
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done || abort.aborted) return;
      text += value.replaceAll("\r\n", "\n");
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) this.take(block);
    }
  }

  /** Handle one event; lines that start with a colon only keep the connection alive. @param {string} block */
  take(block) {
    const { id, event, data } = fieldsOf(block);
    if (id) this.last = id;
    if (!data && event !== "reset") return;
    const change = { ...parse(data), kind: event };
    for (const member of this.members) if (concerns(member, change)) member.tell({ change });
  }

  /** @param {AbortSignal} abort */
  async rest(abort) {
    await new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
      const timer = setTimeout(resolve, this.pause);
      this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
      abort.addEventListener("abort", this.wake);
    });
  }
}

/** Whether a refusal is from the server and not from a proxy whose server is away. @param {Response} response */
const isAnswer = ({ headers }) => (headers.get("content-type") ?? "").includes("json");

/**
 * Whether a page follows a change: a run and its sub-runs, or all; the stream has the output for other pages, too.
 * @param {Member} member
 * @param {Change} change
 */
function concerns({ run, output }, change) {
  const { kind, name, dagRunId, root, queue } = change;
  const isPause = kind === "queue" && !queue; // of everything
  if (kind === "ready" || kind === "reset") return true;
  const isOwn = run === `${name}/${dagRunId}` || run === `${root?.name}/${root?.dagRunId}`;
  return kind === "log" ? output && isOwn : kind === "channel" || isPause || run === null || isOwn;
}

/** @param {string} block */
function fieldsOf(block) {
  const fields = { id: "", event: "message", data: "" };
  for (const line of block.split("\n")) {
    const [, name, value] = /^(id|event|data): ?(.*)$/.exec(line) ?? [];
    if (name === "data" && fields.data) fields.data += `\n${value}`;
    else if (name) Object.assign(fields, { [name]: value });
  }
  return fields;
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
