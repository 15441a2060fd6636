// Statuses of runs and steps (numbers of the API): word, icon and tone. Colour is never the only sign.

const RUN = {
  0: ["not started", "○", "idle"],
  1: ["running", "◐", "busy"],
  2: ["failed", "✕", "bad"],
  3: ["aborted", "■", "off"],
  4: ["succeeded", "✓", "good"],
  5: ["queued", "⧗", "wait"],
  6: ["partly succeeded", "◪", "mixed"],
};
const NODE = {
  0: ["not started", "○", "idle"],
  1: ["running", "◐", "busy"],
  2: ["failed", "✕", "bad"],
  3: ["aborted", "■", "off"],
  4: ["succeeded", "✓", "good"],
  5: ["skipped", "⤼", "off"],
  6: ["partly succeeded", "◪", "mixed"],
};

const name = ([word, icon, tone]) => ({ word, icon, tone });

export const runStatus = (number) => name(RUN[number] ?? ["unknown", "?", "off"]);
export const nodeStatus = (number) => name(NODE[number] ?? ["unknown", "?", "off"]);

/** Every status of a run, for filters. */
export const RUN_STATUSES = Object.entries(RUN).map(([number, [word]]) => ({ number: Number(number), word }));

export const isOver = (status) => status === 2 || status === 3 || status === 4 || status === 6;
export const isActive = (status) => status === 0 || status === 1 || status === 5;
