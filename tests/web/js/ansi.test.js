import assert from "node:assert/strict";
import test from "node:test";

import { bare, pieces, settled, styleAfter } from "../../../app/dagbook/web/static/lib/ansi.js";

const RED = "\x1b[31m";
const fronts = (line) => pieces(line).map(({ text, style }) => [text, style?.front ?? null]);

test("a line without colours is one piece without a style", () => {
  assert.deepEqual(pieces("plain"), [{ text: "plain", style: null }]);
});

test("colours by name, by number and by value are told apart", () => {
  assert.deepEqual(fronts(`a${RED}b\x1b[0mc`), [["a", null], ["b", "red"], ["c", null]]);
  assert.deepEqual(fronts("\x1b[38;5;9mx"), [["x", "bright-red"]]);
  assert.deepEqual(fronts("\x1b[38;5;196mx"), [["x", "rgb(255 0 0)"]]);
  assert.deepEqual(fronts("\x1b[38;2;1;2;3mx"), [["x", "rgb(1 2 3)"]]);
  assert.deepEqual(fronts("\x1b[38:2::1:2:3mx"), [["x", "rgb(1 2 3)"]]);
});

test("what follows a colour by value in the same sequence still counts", () => {
  const [{ style }] = pieces("\x1b[38;2;1;2;3;1mx");
  assert.equal(style.bold, true);
});

test("a colour lasts to the lines behind it until it ends", () => {
  const first = styleAfter(`${RED}one`);
  const second = styleAfter("two\x1b[0m", first);
  assert.deepEqual([first.front, second.front, styleAfter("three", second).front], ["red", null, null]);
});

test("what is searched and copied has no sequences, also no links and titles", () => {
  assert.equal(bare(`a${RED}b\x1b[0m\x1b]8;;http://x\x07c\x1b]8;;\x07`), "abc");
});

test("of a line that a program wrote over, the last state shows", () => {
  assert.equal(settled("10 %\r50 %\r100 %\r"), "100 %");
  assert.equal(settled("whole"), "whole");
});
