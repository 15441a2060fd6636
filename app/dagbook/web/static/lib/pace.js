// When data are loaded again after a change: at once after a quiet time, once a second while changes go on, and within
// a number of bytes a minute while sub-runs change, of which there may be thousands. Pure; times are milliseconds.

const SETTLE = 150; // a burst of changes is one load
const PAUSE = 1000;
const OUTPUT_PAUSE = 400; // of growing output, which adds to what is there
const AT_ONCE = 2; // loads after a quiet time that need no pause
const BYTES_A_MINUTE = 300_000;
const CREDIT = 5000; // the time whose bytes a quiet time saves
const LONGEST = 20_000;

/** The bytes that the loads of one document may have, for changes of sub-runs. */
export class Budget {
  paid = -Infinity; // until then the bytes of before are too many

  /** @param {number} now @param {number} bytes */
  spend(now, bytes) {
    this.paid = Math.max(this.paid, now - CREDIT) + (bytes * 60_000) / BYTES_A_MINUTE;
  }
}

/** The pace of one kind of data. */
export class Pace {
  next = -Infinity;
  nextOutput = -Infinity;

  /** @param {Budget} budget */
  constructor(budget) {
    this.budget = budget;
  }

  /** When to load after a change. @param {number} now @param {{ kind: string, root?: unknown }} change */
  due(now, { kind, root }) {
    const paid = root ? Math.min(this.budget.paid, now + LONGEST) : now;
    return Math.max(now + SETTLE, kind === "log" ? this.nextOutput : this.next, paid);
  }

  /** Note a load; at most half of the time is one. @param {number} begin @param {number} end @param {number} bytes */
  note(begin, end, bytes) {
    this.nextOutput = Math.max(begin + OUTPUT_PAUSE, end + end - begin);
    this.next = Math.max(Math.max(this.next, begin - AT_ONCE * PAUSE) + PAUSE, end + end - begin);
    this.budget.spend(end, bytes);
  }
}
