// Boundary around a page: a fault in it shows in its place, and the navigation stays.

import { Component, html, useState } from "../vendor/core.js";
import { asError } from "../lib/api.js";
import { copyText } from "../lib/clipboard.js";
import { config } from "../lib/config.js";
import { useTitle } from "../lib/title.js";

/** @typedef {{ children?: Children }} Props */
/** @typedef {{ error: Error | null }} State */

/** @extends {Component<Props, State>} */
export class Boundary extends Component {
  /** @param {Props} props */
  constructor(props) {
    super(props);
    this.state = { error: null };
  }

  /** @param {unknown} error */
  static getDerivedStateFromError(error) {
    return { error: asError(error) };
  }

  /** @param {unknown} error */
  componentDidCatch(error) {
    console.error(error);
  }

  /** @param {Props} props @param {State} state */
  render({ children }, { error }) {
    return error ? html`<${Fault} error=${error} />` : children;
  }
}

/** @param {{ error: Error }} props */
function Fault({ error }) {
  useTitle("Fault");
  const [copied, setCopied] = useState(false);
  const details = [
    `Dagbook ${config.version}, ${window.location.pathname}${window.location.search}`,
    navigator.userAgent,
    error.stack?.includes(error.message) ? error.stack : `${error}\n${error.stack ?? ""}`,
  ].join("\n");
  const copy = async () => setCopied(await copyText(details));
  return html`<h1>This page has a fault</h1>
    <div class="failure" role="alert"><strong>${error.name}</strong><p>${error.message}</p></div>
    <p>The server and its runs are not affected. If reloading does not help, report the details.</p>
    <p class="row">
      <button type="button" class="primary" onClick=${() => window.location.reload()}>Reload the page</button>
      <button type="button" onClick=${copy}>${copied ? "Copied" : "Copy the details"}</button></p>
    <details><summary>Details</summary><pre tabindex="0">${details}</pre></details>`;
}
