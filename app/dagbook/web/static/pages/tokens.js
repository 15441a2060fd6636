import { html } from "../vendor/core.js";
import { hasUsers } from "../lib/session.js";
import { useTitle } from "../lib/title.js";
import { useApi } from "../lib/use-api.js";
import { NoUsers } from "../parts/basic.js";
import { TokenList } from "../parts/tokenlist.js";

export default function Tokens() {
  useTitle("Tokens");
  const list = useApi(hasUsers ? "tokens" : null);
  return hasUsers ? html`<h1>Tokens</h1><${TokenList} list=${list} />` : html`<${NoUsers} title="Tokens" />`;
}
