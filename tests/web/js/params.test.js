import assert from "node:assert/strict";
import test from "node:test";

import { fieldsOf, pairsOf, textOf, valuesOf, written } from "../../../app/dagbook/web/static/lib/params.js";

test("a parameter's field fits its default", () => {
  const kinds = fieldsOf(["A=true", "B=-1.5", "C=2026-01-02", 'D="two\\nlines"', "E=word", "plain"]);
  assert.deepEqual(
    kinds.map(({ key, name, kind }) => [key, name, kind]),
    [
      ["A", "A", "truth"],
      ["B", "B", "number"],
      ["C", "C", "date"],
      ["D", "D", "lines"],
      ["E", "E", "text"],
      ["6", "", "text"],
    ],
  );
});

test("values are quoted, so that blanks and quotes in them do not end them", () => {
  const fields = fieldsOf(["NAME=x", "second"]);
  assert.equal(textOf(fields, { NAME: 'two "words" C:\\x', 2: "a b" }), 'NAME="two \\"words\\" C:\\x" "a b"');
});

test("a value that words in quotes cannot express makes the text JSON", () => {
  const fields = fieldsOf(["NAME=x", "second"]);
  for (const value of ["C:\\", '"a', 'a"', 'a\\"b'])
    assert.deepEqual(JSON.parse(textOf(fields, { NAME: value, 2: "a b" })), [{ NAME: value }, "a b"]);
});

test("a run's text is read back: positional ones first, a value goes on to the next name", () => {
  assert.deepEqual(written('"a b" c NAME=two words LEVEL=1'), [
    { name: "", value: "a b" },
    { name: "", value: "c" },
    { name: "NAME", value: "two words" },
    { name: "LEVEL", value: "1" },
  ]);
  assert.deepEqual(written(undefined), []);
});

test("the values of an earlier run go into the fields of their names and places", () => {
  const fields = fieldsOf(["first", "NAME=x"]);
  assert.deepEqual(valuesOf(fields, "1st NAME=new GONE=1"), { 1: "1st", NAME: "new" });
});

test("each parameter of a run's list is one, whatever its value has", () => {
  assert.deepEqual(pairsOf(["1=a b", "NAME=Ada Lovelace & sons", 'TEXT=say "it" B=2']), [
    { name: "1", value: "a b" },
    { name: "NAME", value: "Ada Lovelace & sons" },
    { name: "TEXT", value: 'say "it" B=2' },
  ]);
  assert.deepEqual(pairsOf(undefined), []);
});
