import { html } from "../vendor/core.js";
import { hasUsers } from "../lib/session.js";
import { useTitle } from "../lib/title.js";
import { NoUsers } from "../parts/basic.js";
import { TokenList } from "../parts/tokenlist.js";

export default function Tokens() {
  useTitle("Tokens");
  return hasUsers ? html`<h1>Tokens</h1><${TokenList} />` : html`<${NoUsers} title="Tokens" />`;
}
