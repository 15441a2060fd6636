// Types that several of the web UI's scripts use. What the API answers is in openapi.d.ts: `Api.Node` and its like.

import type { ComponentChildren } from "preact";
import type * as openapi from "./openapi";

declare global {
  /** What `html` returns, and what stands between the tags of a component. */
  type Children = ComponentChildren;
  type Stream = "stdout" | "stderr";
  type Reload = () => unknown;

  type Run = openapi.DAGRunDetails;
  type RunSummary = openapi.DAGRunSummary;

  /** Where a run is found; a sub-run is addressed through its root. */
  interface RunAddress {
    name: string;
    runId: string;
    subRunId?: string | null;
  }

  /** A run or a step, as far as its times go; lists know them to the second only. */
  interface Timed {
    startedAt?: string;
    finishedAt?: string;
    startedAtMillis?: number;
    finishedAtMillis?: number;
  }

  /** A step as it is drawn; one of a definition has no status. */
  interface GraphStep {
    name: string;
    depends: string[];
    status?: number;
  }

  /** What the feed says of one change. The kind "reset" says that some were lost. */
  interface Change {
    kind: string;
    name?: string;
    fileName?: string;
    dagRunId?: string;
    root?: { name: string; dagRunId: string } | null;
  }
  type Concerns = (change: Change) => boolean;

  /** An error to show; those of the API have the status of the answer. */
  type Failed = Error & { status?: number };

  type Targeted<E extends Event, T extends EventTarget> = E & { readonly target: T; readonly currentTarget: T };
  type InputChange = Targeted<Event, HTMLInputElement>;
  type SelectChange = Targeted<Event, HTMLSelectElement>;
  type FormSubmit = Targeted<SubmitEvent, HTMLFormElement>;
  /** The values of a form's fields by their names. */
  type Fields = Record<string, string>;
}
