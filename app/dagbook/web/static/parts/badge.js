// Number of approvals that the user may decide, beside its entry in the navigation.

import { html, signal, useEffect, useRef } from "../vendor/core.js";
import { plural } from "../lib/format.js";
import { useApi, useChanges } from "../lib/use-api.js";

const PAUSE = 3000; // milliseconds between two counts: each change of a run may be a question

/** How many approvals are waited for, which the dashboard says too; none when they could not be counted. */
export const approvalCount = signal(/** @type {Api.ApprovalCount | null} */ (null));

export function ApprovalBadge() {
  const { data, error, reload } = useApi("approvals/count");
  useEffect(() => {
    if (data || error) approvalCount.value = data ?? { open: 0, mayDecide: 0 };
  }, [data, error]);
  const last = useRef({ at: 0, timer: 0 });
  const count = () => {
    last.current = { at: Date.now(), timer: 0 };
    return reload();
  };
  useChanges((change) => change.kind === "run", () => {
    const { at, timer } = last.current;
    if (!timer) last.current.timer = setTimeout(count, Math.max(0, at + PAUSE - Date.now()));
  });
  useEffect(() => () => clearTimeout(last.current.timer), []);
  if (!data?.mayDecide) return null;
  return html`<span class="badge" title=${`${plural(data.mayDecide, "approval")} for you to decide`}>
    ${data.mayDecide}</span>`;
}
