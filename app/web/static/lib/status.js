// Statuses of runs and steps (numbers of the API): word, icon (parts/icon.js) and tone. Colour is never the only sign.

const RUN = {
  0: ["not started", "circle", "idle"],
  1: ["running", "arc", "busy"],
  2: ["failed", "cross", "bad"],
  3: ["aborted", "square", "off"],
  4: ["succeeded", "check", "good"],
  5: ["queued", "wait", "wait"],
  6: ["partly succeeded", "mixed", "mixed"],
};
const NODE = {
  0: ["not started", "circle", "idle"],
  1: ["running", "arc", "busy"],
  2: ["failed", "cross", "bad"],
  3: ["aborted", "square", "off"],
  4: ["succeeded", "check", "good"],
  5: ["skipped", "skip", "off"],
  6: ["partly succeeded", "mixed", "mixed"],
};

const name = ([word, icon, tone]) => ({ word, icon, tone });

export const runStatus = (number) => name(RUN[number] ?? ["unknown", "unknown", "off"]);
export const nodeStatus = (number) => name(NODE[number] ?? ["unknown", "unknown", "off"]);

/** Every status of a run, for filters. */
export const RUN_STATUSES = Object.entries(RUN).map(([number, [word]]) => ({ number: Number(number), word }));

export const isOver = (status) => status === 2 || status === 3 || status === 4 || status === 6;
export const isActive = (status) => status === 0 || status === 1 || status === 5;
