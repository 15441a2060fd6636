// Shared worker with the event stream of all pages of a browser that have the same version and base path.

import { Hub } from "./feed-hub.js";

const hub = new Hub(new URL("../../../api/v2/events", import.meta.url)); // this file is below BASE/assets/VERSION/

self.addEventListener("connect", (event) => {
  const [port] = /** @type {MessageEvent} */ (event).ports;
  const ask = hub.join((told) => port.postMessage(told));
  port.onmessage = ({ data }) => ask(data);
  port.addEventListener("close", () => ask({ kind: "leave" })); // of a page that crashed
});
