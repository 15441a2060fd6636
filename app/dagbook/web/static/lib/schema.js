// Lookup of keys and descriptions in the JSON Schema of definitions. Pure.

/** @import { Schema } from "../../types/ui" */

/** The keys that enclose a line by indent. @param {string[]} lines @param {number} number @param {number} indent */
export function pathAt(lines, number, indent) {
  const found = [];
  let limit = indent;
  for (let at = number - 1; at >= 0 && limit > 0; at -= 1) {
    const match = /^(\s*)((?:- +)*)("?[\w.-]+"?)\s*:/.exec(lines[at]);
    const dash = /^(\s*)- /.exec(lines[at]);
    if (match && match[1].length + match[2].length < limit) {
      found.unshift(match[3].replaceAll('"', ""));
      limit = match[1].length;
      if (match[2]) limit = match[1].length + 1;
    } else if (dash && dash[1].length < limit) {
      limit = dash[1].length + 1;
    }
  }
  return found;
}

/** The properties allowed at a path: {name: schema}. @param {Schema} schema @param {string[]} path */
export function propertiesAt(schema, path) {
  let here = [resolve(schema, schema)];
  for (const key of path) {
    here = here.flatMap((one) => branches(schema, one)).flatMap((one) => {
      const next =
        one.properties?.[key] ?? (typeof one.additionalProperties === "object" ? one.additionalProperties : null);
      return next ? items(schema, next) : [];
    });
  }
  return Object.assign({}, ...here.flatMap((one) => branches(schema, one)).map((one) => one.properties ?? {}));
}

/** @param {Schema} schema @param {Schema} node @returns {Schema[]} */
function items(schema, node) {
  return branches(schema, node).flatMap((one) => (one.items ? [one, ...branches(schema, one.items)] : [one]));
}

/** @param {Schema} schema @param {Schema} node @returns {Schema[]} */
function branches(schema, node) {
  const one = resolve(schema, node);
  const inside = [...(one.anyOf ?? []), ...(one.oneOf ?? []), ...(one.allOf ?? [])];
  return [one, ...inside.flatMap((branch) => branches(schema, branch))];
}

/** @param {Schema} schema @param {Schema} node @returns {Schema} */
function resolve(schema, node) {
  if (!node.$ref) return node;
  const target = node.$ref.split("/").slice(1).reduce((at, part) => at?.[part], /** @type {any} */ (schema));
  return { ...target, description: node.description ?? target?.description };
}
