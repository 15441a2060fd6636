// Parser of colours in terminal output (SGR sequences): pieces of text with their styles. Pure.

/** @import { Piece, Style } from "../../types/ui" */

// eslint-disable-next-line no-control-regex -- control characters are what it matches
const SEQUENCE = /\x1b\[([0-9;:]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_]/g;

const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
/** @type {Style} */
const PLAIN = { front: null, back: null };
/** What a code changes. @type {Record<number, Partial<Style>>} */
const CHANGES = {
  1: { bold: true },
  2: { faint: true },
  3: { italic: true },
  4: { underline: true },
  7: { inverse: true },
  9: { struck: true },
  21: { underline: true },
  22: { bold: false, faint: false },
  23: { italic: false },
  24: { underline: false },
  27: { inverse: false },
  29: { struck: false },
  39: { front: null },
  49: { back: null },
};
for (const [index, name] of NAMES.entries()) {
  Object.assign(CHANGES, { [30 + index]: { front: name }, [90 + index]: { front: `bright-${name}` } });
  Object.assign(CHANGES, { [40 + index]: { back: name }, [100 + index]: { back: `bright-${name}` } });
}

/**
 * Split a line into {text, style}; a line without colours is one piece with style null.
 * `style` is the style at the start of the line, see styleAfter.
 * @param {string} line
 * @param {Style} [style]
 */
export function pieces(line, style = PLAIN) {
  if (!line.includes("\x1b")) return [{ text: line, style: style === PLAIN ? null : style }];
  /** @type {Piece[]} */
  const found = [];
  const add = (/** @type {string} */ text) => text && found.push({ text, style: style === PLAIN ? null : style });
  let done = 0;
  for (const match of line.matchAll(SEQUENCE)) {
    add(line.slice(done, match.index));
    done = match.index + match[0].length;
    if (match[2] === "m") style = change(style, match[1]);
  }
  add(line.slice(done));
  return found;
}

/**
 * The style at the end of a text: a colour lasts until it is reset, also over several lines.
 * @param {string} text
 * @param {Style} [style] at its start
 */
export function styleAfter(text, style = PLAIN) {
  if (!text.includes("\x1b")) return style;
  for (const match of text.matchAll(SEQUENCE)) if (match[2] === "m") style = change(style, match[1]);
  return style;
}

/** The last state of a line that a program overwrote, as progress bars do. @param {string} line */
export function settled(line) {
  if (!line.includes("\r")) return line;
  const states = line.split("\r").filter((state) => bare(state) !== "");
  return states.at(-1) ?? "";
}

/** A line without its escape sequences, as it is searched and copied. @param {string} line */
export const bare = (line) => line.replace(SEQUENCE, "");

/** @param {Style} style @param {string} parameters */
function change(style, parameters) {
  const codes = parameters.split(";").flatMap(codesOf);
  let next = style;
  for (let at = 0; at < codes.length; at += 1) {
    const [code, kind] = [codes[at], codes[at + 1]];
    if (code === 0) next = PLAIN;
    else if (code === 38 || code === 48) {
      const color = kind === 5 ? indexed(codes[at + 2] ?? 0) : kind === 2 ? rgb(codes.slice(at + 2, at + 5)) : null;
      next = { ...next, [code === 38 ? "front" : "back"]: color };
      at += kind === 5 ? 2 : kind === 2 ? 4 : 0;
    } else next = { ...next, ...CHANGES[code] };
  }
  return next;
}

/** The codes of a parameter: "38:2::R:G:B" is one, "38;2;R;G;B" are five of them. @param {string} parameter */
function codesOf(parameter) {
  const [code, kind, ...rest] = parameter.split(":").map(Number);
  if (kind === undefined) return code;
  if (code === 38 || code === 48) return [code, kind, ...(kind === 2 ? rest.slice(-3) : rest)];
  return code === 4 && kind === 0 ? 24 : code;
}

/** @param {number[]} parts */
const rgb = (parts) => `rgb(${parts.map((part) => part || 0).join(" ")})`;

/** @param {number} number */
function indexed(number) {
  if (number < 8) return NAMES[number];
  if (number < 16) return `bright-${NAMES[number - 8]}`;
  if (number > 231) return rgb(Array(3).fill(8 + (number - 232) * 10));
  const part = (/** @type {number} */ value) => (value ? 55 + value * 40 : 0);
  const rest = number - 16;
  return rgb([Math.floor(rest / 36), Math.floor(rest / 6) % 6, rest % 6].map(part));
}
