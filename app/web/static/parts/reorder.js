// The order of runs that wait in a queue: dragged with the mouse, or moved a place at a time with buttons.

import { html, signal } from "../vendor/core.js";
import { ask } from "../lib/api.js";
import { may } from "../lib/session.js";
import { Act } from "./basic.js";
import { attempt } from "./notice.js";

const dragged = signal(null); // {queue, from, over}

/** What a row needs to be dragged, and to be dropped on; nothing for who may not. */
export function dragProps(queue, index, reload) {
  if (!may("run") || queue.queued.length < 2 || !queue.queued[index].waitingFor) return {};
  const mine = () => dragged.value?.queue === queue.name;
  const over = mine() && dragged.value.over === index && dragged.value.from !== index;
  return {
    draggable: true,
    class: over ? (dragged.value.from < index ? "drop-below" : "drop-above") : "",
    onDragStart: (event) => {
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", queue.queued[index].dagRunId); // some browsers drag nothing that has no data
      dragged.value = { queue: queue.name, from: index, over: index };
    },
    onDragOver: (event) => {
      if (!mine()) return;
      event.preventDefault();
      if (dragged.value.over !== index) dragged.value = { ...dragged.value, over: index };
    },
    onDrop: (event) => {
      if (!mine()) return;
      event.preventDefault();
      moveTo(queue, dragged.value.from, index, reload);
    },
    onDragEnd: () => {
      dragged.value = null;
    },
  };
}

/** Buttons that do the same for a keyboard. */
export function MoveButtons({ queue, index, reload }) {
  const { name, waitingFor } = queue.queued[index];
  if (!waitingFor) return null;
  const move = async (to, way) => {
    await moveTo(queue, index, to, reload);
    document.getElementById(idOf(waitingFor.item, way))?.focus(); // a row that is moved loses the focus
  };
  const button = (way, sign, to) => html`<${Act} right="run" id=${idOf(waitingFor.item, way)} aria-label=${`Move ${name} at place ${index + 1} ${way}`}
    disabled=${to < 0 || to >= queue.queued.length} onClick=${() => move(to, way)}>${sign}<//>`;
  return html`${button("up", "↑", index - 1)} ${button("down", "↓", index + 1)}`;
}

const idOf = (item, way) => `move-${way}-${item}`;

function moveTo(queue, from, to, reload) {
  if (from === to) return Promise.resolve(true);
  const item = (index) => queue.queued[index].waitingFor.item;
  const body = to === 0 ? { toFront: true } : { after: item(from < to ? to : to - 1) };
  return attempt(async () => {
    await ask(["queues", queue.name, "items", String(item(from))], { method: "PATCH", body });
    await reload();
  });
}
