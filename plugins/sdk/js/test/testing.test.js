// The test runner itself: it does what the host does.
import assert from "node:assert/strict";
import test from "node:test";
import { Finding, Level, state, withDefaults } from "feedpulse-check";
import { NOW_MS, message, run, runTick } from "feedpulse-check/testing";
import { parse } from "../src/manifest.js";

const manifest = parse(`
name = "t"   # a comment
fields = ["PID-3", "PID-5.1", "MSH-10",   # over lines
  "@received-ms", 'OBX-5']
grants = ["get"]
[codes.seen]
title = "with \\"quotes\\" and # no comment"
level = "warning"
[attrs.n]
min = -1
max = 9_000
[attrs."kind"]
values = ["a,b", "]"]
`);

const seen = (more = (finding) => finding) => ({ check: (row, out) => out.push(more(new Finding("seen", Level.CRITICAL), row)) });
const refused = (more) => () => run(seen(more), { manifest, messages: [message()] });

test("the manifest is read", () => {
  assert.deepEqual(manifest.fields, ["PID-3", "PID-5.1", "MSH-10", "@received-ms", "OBX-5"]);
  assert.deepEqual(manifest.codes, { seen: { title: 'with "quotes" and # no comment', level: "warning" } });
  assert.deepEqual(manifest.attrs, { n: { min: -1, max: 9000 }, kind: { values: ["a,b", "]"] } });
  assert.throws(() => parse("name = \"t\"\nfields = yes"), /plugin.toml:2: this line is not understood/);
});

test("messages are joined the way the host joins them", () => {
  const rows = [];
  const messages = [
    message("ADT^A01").set("PID-3.1", "1").set("PID-3.4.2", "1.2").set("PID-3[2]", "2\\T\\2").set("PID-5", "O\\T\\B^X"),
    message("ORU^R01").set("OBX[2]-5", "a\u001fb").set("MSH-10", "C1"),
  ];
  run({ check: (row) => rows.push(row.texts()) }, { manifest, messages });
  assert.deepEqual(rows[0].slice(0, 2), ["1^^^&1.2\u001d2&2", "O&B"]);
  assert.deepEqual(rows[1], ["", "", "C1", String(NOW_MS), "\u001ca\ufffdb"]);
});

test("a finding is passed on as the host does it", () => {
  const found = run(seen((f) => f.at("PID-3[2].1").attr("n", 7).text("dropped")), { manifest, messages: [message(), message()] });
  const one = { code: "seen", level: "warning", at: "PID-3[2].1", attrs: { n: "7" } };
  assert.deepEqual(found, [{ row: 0, ...one }, { row: 1, ...one }]);
});

test("what the host would refuse is an error here", () => {
  assert.throws(() => run({ check: (row, out) => out.push(new Finding("other", "info")) }, { manifest, messages: [message()] }), /`other` is not among/);
  assert.throws(refused((f) => f.attr("who", "x")), /`who` is not among/);
  assert.throws(refused((f) => f.attr("n", 9001)), /may not be `9001`/);
  assert.throws(refused((f) => f.attr("n", "007")), /may not be/);
  assert.throws(refused((f) => f.attr("kind", "c")), /may not be `c`/);
  assert.throws(refused((f) => f.at("DOE^JANE")), /is no path/);
  const without = { ...manifest, grants: [] };
  assert.throws(() => run(seen((f) => f.at("NK1-2")), { manifest: without, messages: [message()] }), /no field of NK1/);
});

test("rows can be given by the names of their fields", () => {
  const told = { ...manifest, about: ["outcome"], fields: ["@about", "@outcome", "@ack-classes"] };
  const rows = [];
  run({ check: (row) => rows.push(row.texts()) }, { manifest: told, rows: [{ "@about": "outcome", "@ack-classes": ["retry", "late_ack"] }] });
  assert.deepEqual(rows, [["outcome", "", "retry\u001dlate_ack"]]);
  assert.throws(() => run(seen(), { manifest: told, rows: [{ "@event": "reset" }] }), /@event is not among/);
});

test("granted reads see the message", () => {
  const reads = [];
  run({ check: (row) => reads.push(row.get("MSH-9.2"), row.raw()) }, { manifest, messages: [message("ADT^A08")] });
  assert.deepEqual(reads, ["A08", null], "`raw` is not asked for");
});

test("settings are checked", () => {
  const check = { check() {}, init: (settings) => withDefaults(settings, { list: [], n: 1 }) };
  run(check, { manifest, settings: { n: 2 } });
  assert.throws(() => run(check, { manifest, settings: { m: 2 } }), /no setting `m`; there are: list, n/);
  assert.throws(() => run(check, { manifest, settings: { list: "a" } }), /`list` must be a list, and is a string/);
  assert.throws(() => run({ check() {} }, { manifest, settings: { a: 1 } }), /has no settings/);
});

test("state is kept from message to message and starts empty", () => {
  const counts = [];
  const count = { check() {
    state.set("n", String(Number(state.get("n") ?? 0) + 1));
    counts.push(state.get("n"));
  }, tick: (feed, nowMs, out) => state.get("n") === "2" && out.push(new Finding("seen", Level.INFO)) };
  run(count, { manifest, messages: [message(), message()] });
  assert.deepEqual(runTick(count, { manifest, keepState: true }), [{ row: null, code: "seen", level: "info", at: "", attrs: {} }]);
  assert.deepEqual(runTick(count, { manifest }), []);
  run(count, { manifest, messages: [message()] });
  assert.deepEqual(counts, ["1", "2", "1"]);
  assert.throws(() => state.set("k".repeat(129), ""), /state: the key has more than 128 bytes/);
  assert.throws(() => state.set("k", "ä".repeat(2049)), /4096/);
  state.remove("n");
  assert.equal(state.get("n"), null);
});

test("an exception of the check comes out", () => {
  assert.throws(() => run({ check() { throw new Error("mine"); } }, { manifest, messages: [message()] }), /mine/);
  assert.throws(() => run({}, { manifest }), /exports a function `check/);
});
