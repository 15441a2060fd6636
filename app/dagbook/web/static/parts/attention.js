// What needs attention: one sentence, in which each number is a link.

import { html } from "../vendor/core.js";
import { href } from "../lib/router.js";
import { Icon } from "./icon.js";

/** @param {{ concerns: import("../lib/attention.js").Concern[] }} props */
export function Attention({ concerns }) {
  const worst = concerns.some(({ tone }) => tone === "bad") ? "bad" : concerns.length ? "wait" : "good";
  return html`<section class="attention card ${worst}" aria-label="Needs attention"><p role="status">
    <${Icon} name=${{ bad: "cross", wait: "wait", good: "check" }[worst]} />
    <span>${concerns.length ? concerns.map(({ link, to, search, rest, tone }, index) => html`${index > 0 && ", "}<a
      key=${link + rest} class=${tone} href=${href(to, search)}>${link}</a>${rest}`)
      : "Nothing needs attention"}.</span></p></section>`;
}
