// Reordering of a queue's entries, by drag and drop or one position at a time with buttons.

import { html, signal } from "../vendor/core.js";
import { patch } from "../lib/api.js";
import { may } from "../lib/session.js";
import { ActionButton } from "./basic.js";
import { attempt } from "./notice.js";

const dragged = signal(/** @type {{ queue: string, from: number, over: number } | null} */ (null));

/**
 * The drag and drop handlers of a row; none without the permission.
 * @param {Api.Queue} queue
 * @param {number} index
 * @param {Reload} reload
 */
export function dragProps(queue, index, reload) {
  if (!may("run") || queue.queued.length < 2 || !queue.queued[index].waitingFor) return {};
  /** The entry dragged within this queue. */
  const mine = () => (dragged.value?.queue === queue.name ? dragged.value : null);
  const held = mine();
  const over = held?.over === index && held.from !== index;
  return {
    draggable: true,
    class: over ? (held.from < index ? "drop-below" : "drop-above") : "",
    onDragStart: (/** @type {DragEvent} */ event) => {
      if (event.dataTransfer) {
        event.dataTransfer.effectAllowed = "move";
        // Some browsers drag only elements with data.
        event.dataTransfer.setData("text/plain", queue.queued[index].dagRunId);
      }
      dragged.value = { queue: queue.name, from: index, over: index };
    },
    onDragOver: (/** @type {DragEvent} */ event) => {
      const moved = mine();
      if (!moved) return;
      event.preventDefault();
      if (moved.over !== index) dragged.value = { ...moved, over: index };
    },
    onDrop: (/** @type {DragEvent} */ event) => {
      const moved = mine();
      if (!moved) return;
      event.preventDefault();
      moveTo(queue, moved.from, index, reload);
    },
    onDragEnd: () => {
      dragged.value = null;
    },
  };
}

/**
 * Buttons that move an entry, for the keyboard.
 * @param {{ queue: Api.Queue, index: number, reload: Reload }} props
 */
export function MoveButtons({ queue, index, reload }) {
  const { name, waitingFor } = queue.queued[index];
  if (!waitingFor) return null;
  const move = async (/** @type {number} */ to, /** @type {string} */ way) => {
    await moveTo(queue, index, to, reload);
    document.getElementById(idOf(waitingFor.item, way))?.focus(); // a moved row loses the focus
  };
  /** @param {string} way @param {string} sign @param {number} to */
  const button = (way, sign, to) => html`<${ActionButton} right="run" id=${idOf(waitingFor.item, way)}
    aria-label=${`Move ${name} at position ${index + 1} ${way}`}
    disabled=${to < 0 || to >= queue.queued.length} onClick=${() => move(to, way)}>${sign}<//>`;
  return html`${button("up", "↑", index - 1)} ${button("down", "↓", index + 1)}`;
}

/** @param {number} item @param {string} way */
const idOf = (item, way) => `move-${way}-${item}`;

/**
 * @param {Api.Queue} queue
 * @param {number} from
 * @param {number} to
 * @param {Reload} reload
 */
function moveTo(queue, from, to, reload) {
  if (from === to) return Promise.resolve(true);
  const [moved, after] = [queue.queued[from], queue.queued[from < to ? to : to - 1]].map(
    (run) => run?.waitingFor?.item,
  );
  if (moved === undefined || (to > 0 && after === undefined)) return Promise.resolve(false);
  return attempt(async () => {
    await patch(["queues", queue.name, "items", String(moved)], to === 0 ? { toFront: true } : { after });
    await reload();
  });
}
