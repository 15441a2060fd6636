// Reordering of a queue's entries, by drag and drop or one position at a time from their menus.

import { signal } from "../vendor/core.js";
import { patch } from "../lib/api.js";
import { may } from "../lib/session.js";
import { attempt } from "./notice.js";

const dragged = signal(/** @type {{ queue: string, from: number, over: number } | null} */ (null));

/** Handlers to drag a row, if permitted. @param {Api.Queue} queue @param {number} index @param {Reload} reload */
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
 * Items of the menu of an entry that move it, for the keyboard.
 * @param {Api.Queue} queue
 * @param {number} index
 * @param {Reload} reload
 * @returns {import("../../types/ui").MaybeItem[]}
 */
export function moveItems(queue, index, reload) {
  const item = queue.queued[index].waitingFor?.item;
  if (item === undefined) return [];
  const move = async (/** @type {number} */ to) => {
    await moveTo(queue, index, to, reload);
    /** @type {HTMLElement | null} */
    const menu = document.querySelector(`#${rowId(item)} [aria-haspopup]`);
    menu?.focus(); // a moved row loses the focus
  };
  const [first, last] = [index === 0 && "It is the first", index === queue.queued.length - 1 && "It is the last"];
  return [
    { title: "Move up", onChoose: () => move(index - 1), disabled: first },
    { title: "Move down", onChoose: () => move(index + 1), disabled: last },
    { title: "Move to the front", onChoose: () => move(0), disabled: first },
  ];
}

/** The id of the row of an entry. @param {number} item */
export const rowId = (item) => `queue-item-${item}`;

/**
 * @param {Api.Queue} queue
 * @param {number} from
 * @param {number} to
 * @param {Reload} reload
 */
function moveTo(queue, from, to, reload) {
  if (from === to) return Promise.resolve(true);
  const [moved, after] = [from, from < to ? to : to - 1].map((place) => queue.queued[place]?.waitingFor?.item);
  if (moved === undefined || (to > 0 && after === undefined)) return Promise.resolve(false);
  const body = to === 0 ? { toFront: true } : { after };
  return attempt(() => patch(["queues", queue.name, "items", String(moved)], body).then(reload));
}
