import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { message, run } from "feedpulse-check/testing";
import * as check from "../src/check.js";

// the host's clock: 2023-11-14T22:13:20Z
const found = (messages, settings = {}) =>
  run(check, { messages: [messages].flat(), settings }).map(({ code, at, attrs }) => [code, at, attrs]);

const oru = (more) => Object.entries(more).reduce((m, [path, value]) => m.set(path, value), message("ORU^R01").set("MSH-7", "20231114221000+0000"));

test("a usual message is well", () => {
  const well = oru({ "PID-7": "19700101", "OBR-7": "20231114200000", "OBR-8": "202311142005", "OBR-22": "20231114210000", "OBX-14": "20231114200000", "OBX[2]-14": '""' });
  assert.deepEqual(found([well, message("ADT^A01").set("MSH-7", "20231114").set("PID-7", "197001")]), []);
});

test("what is no time is told by its form", () => {
  const forms = { iso: ["2023-11-14", "14/11/2023", "20231114T221000", "2023/11/14 10:00"], calendar: ["20231399", "20230229", "2023111425", "20231114221000+1500", "231114"],
    epoch: ["1699999999", "1699999999000"], other: ["today", "2023111", "20231114221000Z", "20231114221000-05:00"] };
  for (const [form, values] of Object.entries(forms)) {
    for (const value of values) {
      assert.deepEqual(found(oru({ "OBX[2]-14": value })), [["not-a-time", "OBX[2]-14", { field: "OBX-14", form }]], value);
    }
  }
});

test("the future begins after the tolerance", () => {
  assert.deepEqual(found(oru({ "EVN-2": "20231114222820" })), [], "15 minutes");
  assert.deepEqual(found(oru({ "EVN-2": "20231114222920" })), [["in-the-future", "EVN-2", { field: "EVN-2", minutes: "16" }]]);
  assert.deepEqual(found(oru({ "EVN-2": "20231114222820" }), { "future-minutes": 5 }).length, 1);
  assert.deepEqual(found(oru({ "EVN-2": "20991231" })), [["in-the-future", "EVN-2", { field: "EVN-2", minutes: "525600" }]]);
  assert.deepEqual(found(oru({ "PID-7": "20231116" })), [["in-the-future", "PID-7", { field: "PID-7", minutes: "1546" }]]);
});

test("a time without a zone is in that of MSH-7, of the settings, or nowhere", () => {
  const bare = message("ADT^A01").set("MSH-7", "20231114173000");
  assert.deepEqual(found(bare, { zone: "-0500" })[0], ["in-the-future", "MSH-7", { field: "MSH-7", minutes: "16" }]);
  assert.deepEqual(found(bare), []);
  const east = message("ADT^A01").set("MSH-7", "20231115110000");
  assert.deepEqual(found(east), [], "nine in the evening by UTC, if the sender is on Kiritimati");
  assert.equal(found(message("ADT^A01").set("MSH-7", "20231115130000")).length, 1, "nowhere is it so late");
  const zoned = message("ADT^A01").set("MSH-7", "20231115001000+0200").set("EVN-2", "20231115001000");
  assert.deepEqual(found(zoned), []);
});

test("placeholders are no times", () => {
  for (const day of ["19000101", "18991230", "00010101", "99991231", "19000101000000", "19891231"]) {
    assert.deepEqual(found(oru({ "OBR-7": day, "OBR-22": "20231114" })), [["placeholder-date", "OBR-7", { field: "OBR-7" }]], day);
  }
  assert.deepEqual(found(oru({ "OBR-7": "19891231" }), { "oldest-year": 1950 }), []);
  assert.deepEqual(found(oru({ "PID-7": "19000101", "OBX-14": "20231114" })), [["placeholder-date", "PID-7", { field: "PID-7" }]]);
  assert.deepEqual(found(oru({ "PID-7": "19210304" })), [], "a hundred and two");
});

test("nothing happens before birth", () => {
  assert.deepEqual(found(oru({ "PID-7": "20231110", "OBX-14": "20231110", "OBX[2]-14": "20231109235900" })),
    [["before-birth", "OBX[2]-14", { field: "OBX-14" }]]);
  assert.deepEqual(found(oru({ "PID-7": "2023", "OBX-14": "20220101" })), [], "a year is not a day");
});

test("the end comes after the beginning, thing by thing", () => {
  const two = oru({ "OBR-7": "20231114200000", "OBR-22": "20231114210000", "OBR[2]-7": "20231114200000", "OBR[2]-22": "20231114190000" });
  assert.deepEqual(found(two), [["wrong-order", "OBR[2]-22", { begin: "OBR-7", field: "OBR-22" }]]);
  assert.deepEqual(found(oru({ "PV1-44": "20231114", "PV1-45": "20231113" })), [["wrong-order", "PV1-45", { begin: "PV1-44", field: "PV1-45" }]]);
  assert.deepEqual(found(oru({ "OBR-7": "202311142000", "OBR-22": "20231114" })), [], "a day holds all its hours");
  const bare = message("ORU^R01").set("MSH-7", "20231114").set("OBR-7", "20231114200000+0000").set("OBR-22", "20231114190000");
  assert.deepEqual(found(bare).map(([code]) => code), ["zone-missing"], "nobody knows");
});

test("zones are there or not", () => {
  const mixed = message("ORU^R01").set("MSH-7", "20231114").set("OBR-7", "20231114200000+0000").set("OBX-14", "20231114200000");
  assert.deepEqual(found(mixed), [["zone-missing", "OBX-14", { field: "OBX-14" }]]);
  const none = message("ORU^R01").set("MSH-7", "20231114120000");
  assert.deepEqual(found(none), []);
  assert.deepEqual(found(none, { "require-zone": true }), [["zone-missing", "MSH-7", { field: "MSH-7" }]]);
});

test("wrong settings are refused by name", () => {
  for (const [settings, said] of [[{ "future-minutes": -1 }, /`future-minutes`/], [{ zone: "CET" }, /`zone` must be like/],
    [{ "oldest-year": 90 }, /`oldest-year`/], [{ tolerance: 1 }, /no setting `tolerance`/], [{ "require-zone": "yes" }, /must be a boolean/]]) {
    assert.throws(() => found([], settings), said);
  }
});

test("the cases give what they expect", () => {
  for (const name of ["normal", "wrong", "zone"]) {
    const messages = readFileSync(`cases/${name}.hl7`, "utf8").split("\n\n");
    const expected = JSON.parse(readFileSync(`cases/${name}.expected.json`, "utf8"));
    assert.deepEqual(run(check, { messages, settings: expected.settings }), expected.findings ?? expected, name);
  }
});
