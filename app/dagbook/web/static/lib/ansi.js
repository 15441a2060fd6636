// Parser of colours in terminal output (SGR sequences): pieces of text with their styles. Pure.

// eslint-disable-next-line no-control-regex -- control characters are what it matches
const SEQUENCE = /\x1b\[([0-9;:]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_]/g;
/**
 * @typedef {object} Style
 * @property {boolean} bold
 * @property {boolean} faint
 * @property {boolean} italic
 * @property {boolean} underline
 * @property {boolean} struck
 * @property {boolean} inverse
 * @property {string | null} front a name, or "rgb(…)"
 * @property {string | null} back
 */
/** @typedef {{ text: string, style: Style | null }} Piece */

const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
/** @type {Style} */
const PLAIN = {
  bold: false,
  faint: false,
  italic: false,
  underline: false,
  struck: false,
  inverse: false,
  front: null,
  back: null,
};
/** @type {Record<number, Partial<Style>>} */
const SWITCHES = {
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
};

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
  let done = 0;
  for (const match of line.matchAll(SEQUENCE)) {
    add(found, line.slice(done, match.index), style);
    done = match.index + match[0].length;
    if (match[2] === "m") style = change(style, match[1]);
  }
  add(found, line.slice(done), style);
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

/**
 * The last state of a line that a program overwrote, as progress bars do.
 * @param {string} line
 */
export function settled(line) {
  if (!line.includes("\r")) return line;
  const states = line.split("\r").filter((state) => bare(state) !== "");
  return states.at(-1) ?? "";
}

/**
 * A line without its escape sequences, as it is searched and copied.
 * @param {string} line
 */
export const bare = (line) => line.replace(SEQUENCE, "");

/**
 * @param {Piece[]} found
 * @param {string} text
 * @param {Style} style
 */
function add(found, text, style) {
  if (text) found.push({ text, style: style === PLAIN ? null : style });
}

/**
 * @param {Style} style
 * @param {string} parameters
 */
function change(style, parameters) {
  const groups = parameters.split(";");
  let next = style;
  for (let at = 0; at < groups.length; at += 1) {
    const parts = groups[at].split(":").map(Number);
    const [code] = parts;
    if (code === 0) next = PLAIN;
    else if (code === 38 || code === 48) {
      // "38:2::R:G:B" is one parameter, "38;2;R;G;B" are five of them
      const [color, length] = parts.length > 1 ? [whole(parts), 0] : extended(groups.map(Number), at + 1);
      next = { ...next, [code === 38 ? "front" : "back"]: color };
      at += length;
    } else if (code === 4 && parts[1] === 0) next = { ...next, underline: false };
    else next = SWITCHES[code] ? { ...next, ...SWITCHES[code] } : basic(next, code);
  }
  return next;
}

/** @param {number[]} value */
function whole([, kind, ...rest]) {
  if (kind === 5) return indexed(rest[0] ?? 0);
  return kind === 2 ? `rgb(${rest.slice(-3).map((part) => part || 0).join(" ")})` : null;
}

/**
 * @param {Style} style
 * @param {number} code
 */
function basic(style, code) {
  if (code >= 30 && code <= 37) return { ...style, front: NAMES[code - 30] };
  if (code >= 90 && code <= 97) return { ...style, front: `bright-${NAMES[code - 90]}` };
  if (code >= 40 && code <= 47) return { ...style, back: NAMES[code - 40] };
  if (code >= 100 && code <= 107) return { ...style, back: `bright-${NAMES[code - 100]}` };
  if (code === 39) return { ...style, front: null };
  if (code === 49) return { ...style, back: null };
  return style;
}

/**
 * @param {number[]} codes
 * @param {number} at
 * @returns {[color: string | null, length: number]}
 */
function extended(codes, at) {
  if (codes[at] === 5) return [indexed(codes[at + 1] ?? 0), 2];
  if (codes[at] === 2) return [`rgb(${codes.slice(at + 1, at + 4).map((part) => part || 0).join(" ")})`, 4];
  return [null, 0];
}

/** @param {number} number */
function indexed(number) {
  if (number < 8) return NAMES[number];
  if (number < 16) return `bright-${NAMES[number - 8]}`;
  if (number > 231) return `rgb(${Array(3).fill(8 + (number - 232) * 10).join(" ")})`;
  const part = (/** @type {number} */ value) => (value ? 55 + value * 40 : 0);
  const rest = number - 16;
  return `rgb(${[Math.floor(rest / 36), Math.floor(rest / 6) % 6, rest % 6].map(part).join(" ")})`;
}
