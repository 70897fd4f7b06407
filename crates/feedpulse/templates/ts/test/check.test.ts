// `npm test` runs the check in Node.js, after a look at the types; `feedpulse check test` runs the component on `cases/`.
import assert from "node:assert/strict";
import test from "node:test";
import { message, run } from "feedpulse-check/testing";
import * as check from "../src/check";

test("only an emergency needs a reason", () => {
  const messages = [
    message("ADT^A01").set("PV1-2", "E"),
    message("ADT^A01").set("PV1-2", "E").set("PV2-3.2", "Chest pain"),
    message("ADT^A01").set("PV1-2", "I"),
  ];
  assert.deepEqual(run(check, { messages }), [
    { row: 0, code: "reason-missing", level: "warning", at: "PV2-3", attrs: {} },
  ]);
});
