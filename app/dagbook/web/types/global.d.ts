// Types shared by the web UI's scripts. Those of the API's responses, such as `Api.Node`, are in openapi.d.ts.

import type { ComponentChildren } from "preact";
import type * as openapi from "./openapi";

declare global {
  /** The result of `html`, and the children of a component. */
  type Children = ComponentChildren;
  type Stream = "stdout" | "stderr";
  type Reload = () => unknown;

  type Run = openapi.DAGRunDetails;
  type RunSummary = openapi.DAGRunSummary;

  /** The address of a run; a sub-run is addressed through its root. */
  interface RunAddress {
    name: string;
    runId: string;
    subRunId?: string | null;
  }

  /** The times of a run or a step; the texts have whole seconds. */
  interface Timed {
    startedAt?: string;
    finishedAt?: string;
    startedAtMillis?: number;
    finishedAtMillis?: number;
  }

  /** A step or handler as it is drawn; one of a definition has no status. */
  interface GraphStep {
    name: string;
    depends: string[];
    status?: number;
    look?: import("../static/lib/status").Look;
    times?: Timed;
    /** The runs that it calls: "40 × child: 38 succeeded, 2 failed". */
    count?: string;
    /** When a handler runs: "on failure". */
    handler?: string;
    /** Its part of the critical path. */
    link?: import("../static/lib/critical-path").Link;
  }

  /** A change from the live feed. The kind "reset" means that some changes were lost. */
  interface Change {
    kind: string;
    name?: string;
    fileName?: string;
    dagRunId?: string;
    root?: { name: string; dagRunId: string } | null;
    at?: string;
    status?: openapi.RunStatus;
    statusLabel?: openapi.SubDAGRunDetail["statusLabel"];
    removed?: boolean;
    queue?: string;
  }
  type Concerns = (change: Change) => boolean;

  /** An error to show; those of the API have the status of the response. */
  type Failed = Error & { status?: number };

  type Targeted<E extends Event, T extends EventTarget> = E & { readonly target: T; readonly currentTarget: T };
  type InputChange = Targeted<Event, HTMLInputElement>;
  type SelectChange = Targeted<Event, HTMLSelectElement>;
  type FormSubmit = Targeted<SubmitEvent, HTMLFormElement>;
  /** The values of a form's fields by their names. */
  type Fields = Record<string, string>;
}
