// A secret that is shown once, when it is made.

import { html, useState } from "../vendor/core.js";
import { copyText } from "../lib/clipboard.js";
import { Dialog } from "./basic.js";

/**
 * `children` say what it is for.
 * @param {{ title: string, secret: string, onClose: () => void, children?: Children }} props
 */
export function ShownOnce({ title, secret, onClose, children }) {
  return html`<${Dialog} title=${title} onClose=${onClose}><div class="body">
      <p>Copy it now: it is not shown again. ${children}</p>
      <pre class="events" tabindex="0">${secret}</pre></div>
    <footer><${Copy} text=${secret} />
      <button type="button" class="primary" onClick=${onClose}>Done</button></footer><//>`;
}

/** @param {{ text: string }} props */
function Copy({ text }) {
  const [word, setWord] = useState("Copy");
  return html`<button type="button"
    onClick=${async () => setWord((await copyText(text)) ? "Copied" : "Select the text and copy it")}>${word}</button>`;
}
