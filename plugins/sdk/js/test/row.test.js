// How rows are taken apart.
import assert from "node:assert/strict";
import test from "node:test";
import { About, AckCode, Event, Field, Outcome, Reason, escape, isWell, unescape } from "feedpulse-check";
import { Declared } from "../src/path.js";
import { Row } from "../src/row.js";

const S = { row: "\u001e", field: "\u001f", repetition: "\u001d", occurrence: "\u001c" };

function row(names, ...texts) {
  const row = new Row(new Declared(names), "adt", 7);
  row.text = texts.join(S.field);
  return row;
}

test("a path names a declared field and what is in it", () => {
  const r = row(["OBX-5", "PID-3", "PID-3.4", "ZPV-2"], `7${S.occurrence}a^b&c${S.repetition}d^e\\T\\f`, "1^^^H&1.2&ISO~no", "H&1.2&ISO", "z");
  assert.equal(r.at("OBX[2]-5[1].2.2").text, "c");
  assert.equal(r.at("OBX[2]-5[2].2").text, "e&f");
  assert.equal(r.at("OBX[1]-5.1").text, "7");
  assert.equal(r.at("OBX[1]-5.2").text, "");
  assert.equal(r.at("OBX[3]-5").text, "");
  assert.equal(r.value("OBX-5"), "7");
  assert.equal(r.at("PID-3.4.2").text, "1.2", "by the more exact declared field");
  assert.equal(r.value("ZPV-2"), "z");
  assert.equal(r.field(3).text, "z");
  assert.equal(r.field(9).text, "");
});

test("a path that is not declared is an error that says what is there", () => {
  const r = row(["PID-3.1"], "1");
  assert.throws(() => r.at("PID-5"), /PID-5 is not among the fields of plugin.toml; there are: PID-3.1/);
  assert.throws(() => r.at("PID-3"), /not among/, "a component does not hold the field");
  assert.throws(() => r.at("PID3"), /is no path/);
  assert.throws(() => r.at("PID-0"), /counted from 1/);
  assert.throws(() => r.at("@key"), /not among/);
});

test("empty, null and valued are three things", () => {
  assert.ok(new Field("").isEmpty && new Field(`${S.occurrence}${S.repetition}`).isEmpty);
  assert.ok(!new Field('""').isEmpty && new Field('""').isNull);
  assert.ok(!new Field("a").isEmpty && !new Field("a").isNull && !new Field("").isNull);
});

test("parts belong together by position", () => {
  const r = row(["OBX-3.1", "OBX-11"], `GLU${S.occurrence}${S.occurrence}NA`, `F${S.occurrence}P${S.occurrence}C`);
  const statuses = r.at("OBX-11").occurrences();
  const told = r.at("OBX-3.1").occurrences().map((code, n) => `${code.text}=${statuses[n].text}`);
  assert.deepEqual(told, ["GLU=F", "=P", "NA=C"]);
  assert.equal(new Field("").occurrences().length, 1);
  assert.deepEqual(row(["PID-3"], `a${S.repetition}b${S.occurrence}c`).field(0).values().map((v) => v.text), ["a", "b", "c"]);
});

test("numbers and time stamps are read", () => {
  assert.equal(new Field(" 7.50 ").number(), 7.5);
  assert.equal(new Field("-.5").number(), -0.5);
  for (const text of ["", "7 mg", "1e5", "0x10", ">7", "."]) assert.equal(new Field(text).number(), null, text);
  assert.equal(new Field("20260301").timestamp().precision, "day");
});

test("escape sequences are resolved and made", () => {
  assert.equal(unescape("a\\T\\b\\F\\c\\S\\d\\R\\e\\E\\f"), "a&b|c^d~e\\f");
  assert.equal(unescape("\\H\\x\\N\\\\.br\\y"), "x\ny");
  assert.equal(unescape("\\XC3A9\\ \\XE9\\"), "é é", "UTF-8, else Latin-1");
  assert.equal(unescape("\\Xz\\ \\Q\\ c:\\dir"), "\\Xz\\ \\Q\\ c:\\dir", "what is no sequence stays");
  assert.equal(unescape("c:\\dir\\F\\x"), "c:\\dir|x", "and hides none behind it");
  for (const text of ["a|b^c&d~e\\f", "plain", "é\\", ""]) assert.equal(unescape(escape(text)), text);
});

test("rows about ACKs, outcomes and connections say words", () => {
  for (const word of Object.values(About)) assert.equal(new Field(word).about(), word);
  for (const word of Object.values(Outcome)) assert.equal(new Field(word).outcome(), word);
  assert.equal(Object.keys(Outcome).length, 12);
  const r = row(["@about", "@ack-code", "@reason", "@ack-ms", "@tries", "@event"], "ack", "AE", "unknown_key", "1200", "", "reset");
  assert.equal(r.at("@about").about(), About.ACK);
  assert.equal(r.at("@ack-code").ackCode(), AckCode.AE);
  assert.equal(r.at("@reason").reason(), Reason.UNKNOWN_KEY);
  assert.deepEqual([r.at("@ack-ms").count(), r.at("@tries").count()], [1200, null]);
  assert.equal(r.at("@event").event(), Event.RESET);
  assert.equal(new Field("teleported").outcome(), null);
  assert.ok(isWell(Outcome.FILTERED) && !isWell(Outcome.PARTLY_DELIVERED) && !isWell(null));
});

test("a row shows no value", () => {
  const shown = JSON.stringify([row(["PID-5"], "DOE"), new Field("DOE")]);
  assert.ok(!shown.includes("DOE"));
});
