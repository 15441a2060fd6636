// Patterns of DAG names in grants, as the server compares them. Pure.

/** Whether a name matches: * is any text, ? any sign. @param {string} pattern @param {string} name */
export const matches = (pattern, name) => expressionOf(pattern).test(name);

/** @param {string} pattern */
function expressionOf(pattern) {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replace(/\*+/g, ".*").replaceAll("?", ".")}$`);
}

/** The longest text that each matching name contains, for a search. @param {string} pattern */
export const longestText = (pattern) =>
  pattern.split(/[*?]+/).reduce((longest, part) => (part.length > longest.length ? part : longest), "");
