// Colours in terminal output (SGR sequences) as pieces of text with their styles. Pure.

const SEQUENCE = /\x1b\[([0-9;:]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_]/g;
const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const PLAIN = { bold: false, faint: false, italic: false, underline: false, front: null, back: null };

/** Split a line into {text, style}; a line without colours is one piece with style null. */
export function pieces(line) {
  if (!line.includes("\x1b")) return [{ text: line, style: null }];
  const found = [];
  let style = PLAIN;
  let done = 0;
  for (const match of line.matchAll(SEQUENCE)) {
    add(found, line.slice(done, match.index), style);
    done = match.index + match[0].length;
    if (match[2] === "m") style = change(style, match[1].split(/[;:]/).map(Number));
  }
  add(found, line.slice(done), style);
  return found;
}

/** A line without its sequences, as it is searched and copied. */
export const bare = (line) => line.replace(SEQUENCE, "");

function add(found, text, style) {
  if (text) found.push({ text, style: style === PLAIN ? null : style });
}

function change(style, codes) {
  let next = { ...style };
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at];
    if (code === 0) next = PLAIN;
    else if (code === 1) next = { ...next, bold: true };
    else if (code === 2) next = { ...next, faint: true };
    else if (code === 3) next = { ...next, italic: true };
    else if (code === 4) next = { ...next, underline: true };
    else if (code === 22) next = { ...next, bold: false, faint: false };
    else if (code === 23) next = { ...next, italic: false };
    else if (code === 24) next = { ...next, underline: false };
    else if (code === 38 || code === 48) {
      const [color, length] = extended(codes, at + 1);
      next = { ...next, [code === 38 ? "front" : "back"]: color };
      at += length;
    } else next = basic(next, code);
  }
  return next;
}

function basic(style, code) {
  if (code >= 30 && code <= 37) return { ...style, front: NAMES[code - 30] };
  if (code >= 90 && code <= 97) return { ...style, front: `bright-${NAMES[code - 90]}` };
  if (code >= 40 && code <= 47) return { ...style, back: NAMES[code - 40] };
  if (code >= 100 && code <= 107) return { ...style, back: `bright-${NAMES[code - 100]}` };
  if (code === 39) return { ...style, front: null };
  if (code === 49) return { ...style, back: null };
  return style;
}

function extended(codes, at) {
  if (codes[at] === 5) return [indexed(codes[at + 1] ?? 0), 2];
  if (codes[at] === 2) return [`rgb(${codes.slice(at + 1, at + 4).map((part) => part || 0).join(" ")})`, 4];
  return [null, 0];
}

function indexed(number) {
  if (number < 8) return NAMES[number];
  if (number < 16) return `bright-${NAMES[number - 8]}`;
  if (number > 231) return `rgb(${Array(3).fill(8 + (number - 232) * 10).join(" ")})`;
  const part = (value) => (value ? 55 + value * 40 : 0);
  const rest = number - 16;
  return `rgb(${[Math.floor(rest / 36), Math.floor(rest / 6) % 6, rest % 6].map(part).join(" ")})`;
}
