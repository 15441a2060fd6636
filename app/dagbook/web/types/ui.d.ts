// Types of the web UI that several functions or modules share, by the module that they belong to.

// lib/alerts.js
/** A kind that rules report: what it is, a value if it has some, and whether it is about no DAG or queue. */
export type Reportable = { kind: string, what: string, sample?: string, isGeneral?: boolean };
/** A type of channels: samples and names of its fields; `mayLack` is that none of them has to be given. */
export type ChannelType = { what: string, url?: string, secret?: string, to?: string, mayLack?: boolean,
  every?: number, interval?: number };

// lib/ansi.js
/** What is switched on, and colours as names or "rgb(…)". */
export type Style = { bold?: boolean, faint?: boolean, italic?: boolean, underline?: boolean, struck?: boolean,
  inverse?: boolean, front: string | null, back: string | null };
export type Piece = { text: string, style: Style | null };

// lib/arrange.js
export type Point = { x: number, y: number };
/** Its centre and size. */
export type Box = Point & Size;
export type Line = { from: string, to: string, points: Point[] };
/** From top to bottom, or from left to right. */
export type Placed = { places: Record<string, Box>, lines: Line[], direction: "TB" | "LR" } & Size;

// lib/attention.js
/** A part of the sentence: text of the link, where it leads, and the rest. */
export type Concern = { link: string, to: string | string[], search?: object, rest: string, tone: "bad" | "wait" };
export interface Observed {
  found: Pick<Api.Overview, "fromDate" | "toDate" | "unusual" | "queues" | "missed" | "disk" | "sources"
    | "pausedSince">;
  /** DAGs that failed, and have not worked since. */
  failing: number;
  /** Whether there are more of them. */
  more?: boolean;
  approvals?: number;
  /** Whether no server starts what is due. */
  unscheduled?: boolean;
}

// lib/box.js
/** An option: its group, and where it leads or which schedule it suspends or resumes. */
export interface Found {
  key: string;
  group: string;
  title: string;
  run?: Api.RunMatch | Api.ParamMatch;
  hint?: string;
  to?: string | readonly string[];
  search?: object;
  schedule?: { fileName: string, suspend: boolean };
}

// lib/compare.js
export type LogPath = readonly ["dag-runs", string, string, "steps", string, "log"];
export type LogSide = { path: LogPath, stream: Stream, from: number, lines: string[], total: number | null };
export type ComparedSide = { total: number, lines: { number: number, text: string }[] };
export type ComparedLog = { equal: number, over: "differ" | "end" | "", sides: ComparedSide[] };
/** A step in both runs; `more` are the seconds that it took longer in the right one. */
export type ComparedStep = { name: string,
  left: Api.Node | undefined, right: Api.Node | undefined, seconds: [left: number | null, right: number | null],
  more: number | null, pace: "" | "slower" | "faster", otherEnd: boolean, differs: boolean };

// lib/config.js
export interface Config {
  version: string;
  /** Kind of login; empty without authentication. */
  login: "" | "token" | "builtin";
  /** Host at which users may log in, too; empty without one. */
  provider: string;
  /** Whether permissions_run_dags is on. */
  runs: boolean;
  /** Whether permissions_write_dags is on. */
  writes: boolean;
  zone: string;
  /** Names of the example DAGs. */
  examples: string[];
  /** Names of the channels of alerts that fail, as far as the user sees them. */
  failing: string[];
  /** Whether the database was restored and nothing starts. */
  held: boolean;
  paused: boolean;
  /** Id of the last change before the document, from which the page follows; empty if the server does not know it. */
  position: string;
  /** That of the browser, if the server knows it. */
  session?: Api.BrowserSession;
  /** Name of the file that is shown instead of a database, or empty. */
  snapshot: string;
}

// lib/critical-path.js
/** A step or handler that ran in this attempt. */
export type Ran = { node: Api.Node, from: number, to: number };
/**
 * A step of the path, with its retries and the time that it waited for an approval. `wait` is the time before it, in
 * milliseconds, in which no step of the path ran; `after` the one before it on the path, if it depends on that.
 */
export type Link = Ran & { wait: number, after: string | null };
/** `total` and `waited` are milliseconds. */
export type CriticalPath = { links: Link[], total: number, waited: number };

// lib/events.js
export interface RunLogEvent {
  at: string | null;
  level: string;
  text: string;
  rest: (readonly [name: string, value: string])[];
}

// lib/feed-hub.js
/**
 * What a page asks: to `follow` all changes, or those of one run (NAME/RUN_ID), with or without its output; to `leave`;
 * to `restart` after a login; to `hurry`, so that the stream connects now and not after a pause.
 */
export type Ask = { kind: "follow", run: string | null, output: boolean, since: string | null }
  | { kind: "leave" | "restart" | "hurry" };
/** State of the stream; "off": the server responds, but sends no changes, "out": it requires a login. */
export type StreamState = "live" | "connecting" | "off" | "out";
/** What a page is told. */
export type Told = { state: StreamState } | { change: Change };
/** A page. */
export interface Member {
  tell: (told: Told) => void;
  run: string | null;
  output: boolean;
  /** The last event before the page stopped to follow; at first that of its document. */
  left: string | null;
}

// lib/filter-text.js
export interface FilterKey {
  /** The parameter of the API. */
  param: string;
  /** An example of a value. */
  hint: string;
  /** Whether it may be given several times. */
  many?: boolean;
  /** All there are, or examples, with what they mean. */
  values?: [value: string, word: string][];
  /** The name of its quick filter. */
  pick?: string;
  /** What its quick filter shows without a value. */
  any?: string;
  /** Another key that a choice in its quick filter removes. */
  drops?: string;
  /** The value for the API, or several parameters; throws an Error that says what is wrong. */
  read?: (value: string, now: Date) => string | object;
  /** Parameters of addresses of earlier versions, with how their values are written now; by default `param`. */
  old?: Record<string, (value: string) => string>;
}
export type FilterKeys = Record<string, FilterKey>;
export type FilterPart = { key: string, value: string, at: number, end: number };
export type ReadFilter = { params: Record<string, any>, problems: string[] };

// parts/filterbox.js
export type Filter = { keys: FilterKeys, text: string } & ReadFilter;

// lib/graph.js
export type Size = { width: number, height: number };
/** One step, or a group of them with the most urgent look. */
export type GraphNode = { id: string, step?: GraphStep, group?: GraphStep[], look?: Look, text: string, note: string
  } & Size;
export type Edge = { from: string, to: string };
/** `path` has the keys of the edges on the critical path. */
export type Graph = { nodes: GraphNode[], edges: Edge[], path: Set<string> };

// parts/graph.js
export type Task = { nodes: ({ id: string } & Size)[], edges: Graph["edges"], pane: Size, turned: boolean };
/** What the layout is made for. */
export type Question = Task & { id: number };

// lib/output-rows.js
/** What one stream wrote into a line; `at` is when the server received it. */
export interface Part {
  stream: Stream;
  /** Of the step: a try, or a repetition. */
  execution: number;
  at: string;
  text: string;
  /** At its start. */
  style?: Style;
}
/**
 * A line, which mostly is of one part. In the output of all steps it has its step, with the sub-run that this is in;
 * what that step wrote `before` it, and the keys of the sections that it is `within`.
 */
export type OutputRow = { number: number, parts: Part[], source: Source | null, before?: Part, within?: string[] };
export type Source = { step: string, runId: string | null, dag: string | null };
/** Output of one or all steps. */
export type OutputPiece = Omit<Api.LogPiece, "step" | "place"> & { step?: string };
/**
 * What folds: a try, of which the title remains, or a group, of which the line with the title remains. `number` is that
 * of the try, or of the line.
 */
export type Section = { kind: "try" | "group", number: number, source: Source | null, stream?: Stream };
/** Lines that are not shown, from and to. */
export type Fold = readonly [from: number, to: number];

// lib/params.js
export interface Field {
  key: string;
  /** Empty for a positional one. */
  name: string;
  /** The default. */
  value: string;
  kind: "truth" | "number" | "date" | "lines" | "text";
}

// lib/runs.js
export type RunPath = readonly ["dag-runs", string, string];
export type Reason = { step: string | null, text: string, tone: "bad" | "off" | "wait" };
/** A step, its sub-run (null: none) and its run. */
export type Leaf = { step: string, subRunId: string | null, run: Run };
/** Reason of a run: names of the step and, below a call, of the step in the sub-run; `target` is the one to show. */
export type Banner = { names: string[], text: string, tone: "bad" | "off" | "wait",
  target: { step: string, subRunId: string | null } | null };

// lib/schema.js
/** The used subset of JSON Schema. */
export interface Schema {
  $ref?: string;
  description?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
}

// lib/status.js
export type Tone = "idle" | "busy" | "bad" | "off" | "good" | "wait" | "mixed";
export type Look = { word: string, icon: string, tone: Tone };

// lib/virtual-list.js
export interface Geometry {
  /** That fit into the box. */
  rows: number;
  /** The first row in sight at the end of the list. */
  lastFirst: number;
  /** Pixels of the whole list, as the scroll bar sees it. */
  height: number;
  /** Pixels of the scroll bar for one row. */
  pitch: number;
}

// parts/combobox.js
export type Option = { key: string, title: Children, hint?: Children, group?: string };
export interface ComboboxProps {
  label: string;
  value: string;
  options: Option[];
  /** Also when the caret moves. */
  onInput: (value: string, caret: number) => void;
  /** The list closes unless it returns true. */
  onChoose: (key: string) => boolean | void;
  /** When no option is active. */
  onEnter?: () => void;
  onLeave?: () => void;
  /** Whether the list stays open, with its first option active. */
  always?: boolean;
}

// parts/menu.js
/** An action or a link; `disabled` is the reason why it cannot be done now. What the user may never do is left out. */
export type MenuItem = { title: string, hint?: string, href?: string, onChoose?: () => unknown,
  disabled?: string | false | null, danger?: boolean };
/** An item or none, as of `condition && item`. */
export type MaybeItem = MenuItem | false | "" | null | undefined;

// parts/outputline.js
/** What all lines of a view have in common. */
export interface View {
  address: RunAddress;
  /** Whether times show. */
  times: boolean;
  /** Whether lines of stderr are marked. */
  marks: boolean;
  /** Number of the line of the address. */
  linked: number | null;
  isHit: (row: OutputRow) => boolean;
  pattern: RegExp | null;
  /** The heading of a try, null if there is one only. */
  tryOf: (execution: number, source: Source | null) => { title: string, outcome: string, error?: string } | null;
  isFolded: (key: string) => boolean;
  onFold: (section: Section) => void;
  /** Null: lines link to the output of their steps. */
  onLink: ((line: number) => void) | null;
}

// parts/output.js
export interface OutputProps {
  /** Of the run that has the step. */
  address: RunAddress;
  /** Of the page, which hears of changes. */
  root: RunAddress;
  /** Null: all steps of the run and of its sub-runs. */
  step: string | null;
  /** That of the address. */
  run: Run;
  /** Whether there may be more output. */
  active: boolean;
  /** Leads from all steps to one. */
  onBack?: () => void;
  /** What shows in place of the output, which the user can still choose: the called sub-runs. */
  blank?: Children;
}

// parts/steplist.js
export type OnChoose = (step: string | null, subRun?: string | null) => void;
/** The sub-runs of a run by id. */
export type Known = Map<string, Api.SubDAGRunDetail>;
/** The root run on the axis of all steps, in milliseconds. */
export type Axis = { from: number, length: number };
/** What the rows of one run have in common; `inside` and `picked` are the run and the step that are shown. */
export type Shared = { address: RunAddress, depth: number, axis: Axis | null, now: number, known: Known, inside: string,
  picked?: string | null, links?: Map<Api.Node, Link>, onChoose: OnChoose };

// parts/logsearch.js
/**
 * Of `total` hits, of which there may be more if it is an `estimate`, the current one is at the index `at`; `next` is
 * the cursor of the next page.
 */
export type Outcome = { hits: Api.LogHit[], total: number, estimate: boolean, next: string | null, at: number,
  error: Failed | null, busy: boolean, done: boolean };
export type State = { text: string, regex: boolean } & Outcome;
