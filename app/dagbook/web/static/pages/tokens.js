import { html } from "../vendor/core.js";
import { hasUsers } from "../lib/session.js";
import { useTitle } from "../lib/title.js";
import { Empty } from "../parts/basic.js";
import { TokenList } from "../parts/tokenlist.js";

export default function Tokens() {
  useTitle("Tokens");
  return html`<h1>Tokens</h1>${hasUsers ? html`<${TokenList} />` : html`<${Empty}
    title="User accounts are off">
    <p>Set <code>auth_mode: builtin</code> in <code>dagbook.yaml</code> and restart the server.</p><//>`}`;
}
