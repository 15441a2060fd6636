// Conversion between parameters of a DAG, form fields and the API's parameter text. Pure.

/** @import { Field } from "../../types/ui" */

/** The form fields of named ("NAME=value") and positional defaults. @param {string[]} [params] @returns {Field[]} */
export function fieldsOf(params = []) {
  return params.map((text, index) => {
    const equals = text.indexOf("=");
    const name = equals > 0 ? text.slice(0, equals) : "";
    const value = unquote(equals > 0 ? text.slice(equals + 1) : text);
    return { key: name || String(index + 1), name, value, kind: kindOf(value) };
  });
}

/** @param {string} value */
export const isNumber = (value) => /^-?\d+(\.\d+)?$/.test(value);

/** @param {string} value */
function kindOf(value) {
  if (value === "true" || value === "false") return "truth";
  if (isNumber(value)) return "number";
  if (/^\d{4}-\d{2}-\d{2}$/.test(value)) return "date";
  return value.includes("\n") || value.length > 60 ? "lines" : "text";
}

/** The value of a text that may be in quotes. @param {string} text */
export function unquote(text) {
  if (!/^".*"$/s.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text.slice(1, -1);
  }
}

/**
 * Name and value of each parameter in the list of a run; positional ones are named by their places.
 * @param {string[]} [list] each as "NAME=value"
 */
export const pairsOf = (list = []) =>
  list.map((text) => ({ name: text.slice(0, text.indexOf("=")), value: text.slice(text.indexOf("=") + 1) }));

/**
 * The parameter text of a form: words in quotes, or JSON where a value cannot be written so.
 * @param {Field[]} fields
 * @param {Record<string, string>} values
 */
export function textOf(fields, values) {
  const pairs = fields.map(({ key, name }) => ({ name, value: values[key] ?? "" }));
  if (pairs.every(({ value }) => fitsQuotes(value)))
    return pairs.map(({ name, value }) => `${name && `${name}=`}"${value.replaceAll('"', '\\"')}"`).join(" ");
  return JSON.stringify(pairs.map(({ name, value }) => (name ? { [name]: value } : value)));
}

/**
 * Whether a value is read back from quotes, in which only a quote has a backslash, and all at the ends are removed.
 * @param {string} value
 */
const fitsQuotes = (value) => !/^"|["\\]$|\\"/.test(value);

/**
 * The parameters in the text of a run, "A=1 B=two words": [{name, value}]; positional ones come first and have no name.
 * Values have no quotes there, so a value extends to the next name.
 * @param {string} [text]
 */
export function written(text = "") {
  const names = [...text.matchAll(/(?:^|\s)([A-Za-z_][A-Za-z0-9_]*)=/g)];
  const first = text.slice(0, names[0]?.index).match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
  const named = names.map((match, at) =>
    ({ name: match[1], value: unquote(text.slice(match.index + match[0].length, names[at + 1]?.index)) }));
  return [...first.map((value) => ({ name: "", value: unquote(value) })), ...named];
}

/** The values of an earlier run, as far as its text can be parsed. @param {Field[]} fields @param {string} text */
export function valuesOf(fields, text) {
  /** @type {Record<string, string>} */
  const found = {};
  for (const { name: given, value } of written(text)) {
    const field = fields.find(({ key, name }) => (given ? name === given : !name && !(key in found)));
    if (field) found[field.key] = value;
  }
  return found;
}
