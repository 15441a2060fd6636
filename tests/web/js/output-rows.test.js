import assert from "node:assert/strict";
import test from "node:test";

import {
  foldsIn,
  groupTitle,
  groupsOf,
  hiddenBy,
  keyOf,
  lineAt,
  nest,
  paint,
  rowOf,
  rowsOf,
  tidy,
} from "../../../app/dagbook/web/static/lib/output-rows.js";

const piece = (line, text, more = {}) => ({ line, text, stream: "stdout", execution: 1, at: "t1", ...more });
const shown = (rows) =>
  rows.map(({ number, parts }) => [number, ...parts.map(({ stream, text }) => `${stream} ${text}`)]);

test("a piece has a row for each of its lines, also for empty ones and for an incomplete last one", () => {
  assert.deepEqual(shown(rowsOf([piece(5, "a\n\nb")], true)), [[5, "stdout a"], [6, "stdout "], [7, "stdout b"]]);
});

test("a piece that continues a line belongs to its row", () => {
  const rows = rowsOf([piece(1, "a\nlo"), piece(2, "ng\nb\n")], true);
  assert.deepEqual(shown(rows), [[1, "stdout a"], [2, "stdout long"], [3, "stdout b"]]);
});

test("what the other stream wrote into an incomplete line is a part of its own", () => {
  const rows = rowsOf([piece(1, "begun"), piece(1, "oops\n", { stream: "stderr" }), piece(2, "x\n")], true);
  assert.deepEqual(shown(rows), [[1, "stdout begun", "stderr oops"], [2, "stdout x"]]);
});

test("a try that ended within a line and the next one are two parts", () => {
  const rows = rowsOf([piece(1, "first"), piece(1, "second\n", { execution: 2 })], true);
  assert.deepEqual(rows.map(({ parts }) => parts.map(({ execution }) => execution)), [[1, 2]]);
});

test("of all steps, lines of the two streams and of other steps and runs are rows of their own", () => {
  const of = (line, text, step, more = {}) => piece(line, text, { step, ...more });
  const rows = rowsOf(
    [
      of(1, "a", "one"),
      of(1, "b", "one", { stream: "stderr" }),
      of(1, "c", "two"),
      of(1, "d", "two", { dagRunId: "r" }),
    ],
    false,
  );
  assert.deepEqual(rows.map(({ number, parts }) => [number, parts[0].text]), [[1, "a"], [1, "b"], [1, "c"], [1, "d"]]);
  assert.deepEqual(rows.map(({ source }) => [source.step, source.runId]), [
    ["one", null],
    ["one", null],
    ["two", null],
    ["two", "r"],
  ]);
});

test("a colour goes on over lines, in its own stream", () => {
  const red = "\x1b[31m";
  const rows = paint(
    rowsOf([piece(1, `${red}a\n`), piece(2, "err\n", { stream: "stderr" }), piece(3, "b\x1b[0m\nc\n")], true),
  );
  assert.deepEqual(rows.map(({ parts }) => parts[0].style?.front ?? null), [null, null, "red", null]);
});

test("a group has the lines up to its end, the next group, or the end of the output", () => {
  assert.equal(groupTitle("::group::Install  \r"), "Install");
  assert.equal(groupTitle(" ::group::x"), null);
  const marks = [
    { line: 2, text: "::group::a" },
    { line: 5, text: "::endgroup::" },
    { line: 6, text: "::GROUP::is none" },
    { line: 7, text: "::group::b" },
    { line: 8, text: "::group::c" },
    { line: 10, text: "::group::d" },
  ];
  assert.deepEqual([...groupsOf(marks, 12)], [[2, [3, 5]], [8, [9, 9]], [10, [11, 12]]]);
  assert.deepEqual([...groupsOf(marks, 12, [4, 12])], [[2, [3, 3]], [8, [9, 9]], [10, [11, 11]]]);
});

const source = (step, runId = null) => ({ step, runId, dag: null });
const of = (step, text, more = {}) => piece(1, text, { step, ...more });
const folded = (rows, ...sections) => foldsIn(rows, new Set(sections.map(keyOf)));

test("of all steps a group has the lines of its step alone, up to its end, the next group, or the next try", () => {
  const rows = nest(
    rowsOf(
      [
        of("a", "::group::one\nx\n"),
        of("b", "between\n"),
        of("a", "y\n::endgroup::\nafter\n", { line: 3 }),
        of("a", "::group::left open\n", { line: 6 }),
        of("a", "again\n", { line: 7, execution: 2 }),
        of("a", "z\n", { line: 1, dagRunId: "r" }),
      ],
      false,
    ),
  );
  const group = (number) => ({ kind: "group", number, source: source("a"), stream: "stdout" });
  assert.deepEqual(folded(rows, group(1)), [[2, 2], [4, 5]]);
  assert.deepEqual(folded(rows, group(6)), []);
  assert.deepEqual(folded(rows, group(1), group(99)), [[2, 2], [4, 5]]);
  assert.deepEqual(folded(rows), []);
});

test("of all steps a try has the lines of its step but the first, which its title stands for", () => {
  const rows = nest(
    rowsOf(
      [
        of("a", "1\n2\n"),
        of("b", "between\n"),
        of("a", "3\n", { line: 3 }),
        of("a", "4\n5\n", { line: 4, execution: 2 }),
      ],
      false,
    ),
  );
  const tried = (number) => ({ kind: "try", number, source: source("a") });
  assert.deepEqual(folded(rows, tried(1)), [[2, 2], [4, 4]]);
  assert.deepEqual(folded(rows, tried(2)), [[6, 6]]);
  assert.deepEqual(rows.map(({ before }) => before?.text), [undefined, "1", undefined, "2", "3", "4"]);
});

test("a try that begins within a line has the lines behind it", () => {
  const rows = nest(rowsOf([of("a", "half"), of("a", " whole\nx\ny\n", { execution: 2 })], false));
  assert.deepEqual(folded(rows, { kind: "try", number: 2, source: source("a") }), [[2, 3]]);
});

test("folds are joined where they touch", () => {
  assert.deepEqual(tidy([[8, 9], [3, 5], [4, 6], [7, 7], [20, 19]]), [[3, 9]]);
});

test("rows of the list and lines are converted into each other, around what is folded", () => {
  const folds = [[1, 2], [5, 7]]; // 3 4 8 9 10 are shown
  assert.equal(hiddenBy(folds), 5);
  assert.deepEqual([1, 2, 3, 4, 5].map((row) => lineAt(row, folds)), [3, 4, 8, 9, 10]);
  assert.deepEqual([3, 4, 8, 9, 10].map((line) => rowOf(line, folds)), [1, 2, 3, 4, 5]);
  assert.deepEqual([1, 6].map((line) => rowOf(line, folds)), [1, 2]);
});
