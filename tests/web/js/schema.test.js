import assert from "node:assert/strict";
import test from "node:test";

import { pathAt, propertiesAt } from "../../../app/dagbook/web/static/lib/schema.js";

const TEXT = ["name: x", "steps:", "  - name: a", "    retryPolicy:", "      limit: 1", "  - name: b", "    "];
const SCHEMA = {
  properties: { steps: { anyOf: [{ type: "string" }, { items: { $ref: "#/definitions/step" } }] } },
  definitions: {
    step: {
      properties: { name: {}, retryPolicy: { $ref: "#/definitions/retry", description: "when" } },
    },
    retry: { description: "how often", properties: { limit: {} } },
  },
};

test("the keys above a line are told by indentation", () => {
  assert.deepEqual(pathAt(TEXT, 0, 0), []);
  assert.deepEqual(pathAt(TEXT, 2, 4), ["steps"]);
  assert.deepEqual(pathAt(TEXT, 4, 6), ["steps", "retryPolicy"]);
  assert.deepEqual(pathAt(TEXT, 6, 4), ["steps"]);
});

test("the properties at a path are found through lists, choices and references", () => {
  assert.deepEqual(Object.keys(propertiesAt(SCHEMA, [])), ["steps"]);
  assert.deepEqual(Object.keys(propertiesAt(SCHEMA, ["steps"])), ["name", "retryPolicy"]);
  assert.deepEqual(Object.keys(propertiesAt(SCHEMA, ["steps", "retryPolicy"])), ["limit"]);
  assert.deepEqual(propertiesAt(SCHEMA, ["nothing"]), {});
});
