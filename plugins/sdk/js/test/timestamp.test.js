// HL7 time stamps.
import assert from "node:assert/strict";
import test from "node:test";
import { Timestamp } from "feedpulse-check";

test("every precision is read", () => {
  const read = (text) => {
    const stamp = Timestamp.parse(text);
    return stamp && [stamp.precision, new Date(stamp.utcMs()).toISOString()];
  };
  assert.deepEqual(read("2026"), ["year", "2026-01-01T00:00:00.000Z"]);
  assert.deepEqual(read("202602"), ["month", "2026-02-01T00:00:00.000Z"]);
  assert.deepEqual(read("20240229"), ["day", "2024-02-29T00:00:00.000Z"]);
  assert.deepEqual(read("2026030112"), ["hour", "2026-03-01T12:00:00.000Z"]);
  assert.deepEqual(read("202603011205"), ["minute", "2026-03-01T12:05:00.000Z"]);
  assert.deepEqual(read("20260301120506.1234"), ["second", "2026-03-01T12:05:06.123Z"]);
  assert.deepEqual(read("20260301120000-0530"), ["second", "2026-03-01T17:30:00.000Z"]);
  assert.deepEqual(read("19000101^D"), ["day", "1900-01-01T00:00:00.000Z"], "the old degree of precision is no part");
});

test("the zone is told from its absence", () => {
  assert.equal(Timestamp.parse("20260301120000+0100").offsetMinutes, 60);
  assert.equal(Timestamp.parse("20260301120000+0000").offsetMinutes, 0);
  const bare = Timestamp.parse("20260301120000");
  assert.equal(bare.offsetMinutes, null);
  assert.equal(bare.utcMs(60), bare.localMs - 3_600_000);
});

test("what is no time is none", () => {
  for (const text of ["", "26", "20261301", "20260230", "20230229", "2026030125", "202603011260", "20260301120000.", "20260301120000+1500",
    "20260301120000+0160", "2026-03-01", "20260301T12", "202603011", '""', "today"]) {
    assert.equal(Timestamp.parse(text), null, text);
  }
});
