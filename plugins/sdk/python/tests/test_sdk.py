"""The kit itself: rows are taken apart, and the test runner does what the host does."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import tomllib
import unittest
from types import SimpleNamespace
from typing import Any

import feedpulse_check
from feedpulse_check import About, AckCode, Event, Field, Finding, Findings, Level, Outcome, Reason, Row, StateError, Timestamp, escape, state, unescape, with_defaults
from feedpulse_check.path import Declared, PathError
from feedpulse_check.testing import NOW_MS, FindingError, Found, message, run, run_tick

MANIFEST = tomllib.loads("""
fields = ["PID-3", "PID-5.1", "MSH-10", "@received-ms", "OBX-5"]
grants = ["get"]
[codes.seen]
level = "warning"
[attrs.n]
min = -1
max = 9_000
[attrs.kind]
values = ["a,b"]
""")


def load_tests(_: unittest.TestLoader, tests: unittest.TestSuite, __: Any) -> unittest.TestSuite:
    """Every example in the documentation is a test."""
    for module in pkgutil.iter_modules(feedpulse_check.__path__):
        if module.name != "component":  # it exists in a component alone
            tests.addTests(doctest.DocTestSuite(importlib.import_module(f"feedpulse_check.{module.name}")))
    return tests


def row(names: list[str], *texts: str) -> Row:
    """A row of these fields."""
    one = Row(Declared(names), "adt", 7)
    one.text = "\x1f".join(texts)
    return one


def module(**functions: Any) -> Any:
    """What stands for an author's module."""
    return SimpleNamespace(**functions)


class Rows(unittest.TestCase):
    """How rows are taken apart."""

    def test_a_path_names_a_declared_field_and_what_is_in_it(self) -> None:
        r = row(["OBX-5", "PID-3", "PID-3.4", "ZPV-2"], "7\x1ca^b&c\x1dd^e\\T\\f", "1^^^H&1.2&ISO~no", "H&1.2&ISO", "z")
        self.assertEqual(r.at("OBX[2]-5[1].2.2").text, "c")
        self.assertEqual(r.at("OBX[2]-5[2].2").text, "e&f")
        self.assertEqual(r.at("OBX[1]-5.1").text, "7")
        self.assertEqual(r.at("OBX[1]-5.2").text, "")
        self.assertEqual(r.at("OBX[3]-5").text, "")
        self.assertEqual(r.value("OBX-5"), "7")
        self.assertEqual(r.at("PID-3.4.2").text, "1.2", "by the more exact declared field")
        self.assertEqual(r.value("ZPV-2"), "z")
        self.assertEqual((r.field(3).text, r.field(9).text), ("z", ""))

    def test_a_path_that_is_not_declared_is_an_error_that_says_what_is_there(self) -> None:
        r = row(["PID-3.1"], "1")
        for path, said in [
            ("PID-5", "PID-5 is not among the fields of plugin.toml; there are: PID-3.1"),
            ("PID-3", "not among"), ("PID3", "is no path"), ("PID-0", "counted from 1"), ("@key", "not among"),
        ]:  # fmt: skip
            with self.assertRaisesRegex(PathError, said):
                r.at(path)

    def test_empty_null_and_valued_are_three_things(self) -> None:
        self.assertTrue(Field("").is_empty and Field("\x1c\x1d").is_empty)
        self.assertTrue(not Field('""').is_empty and Field('""').is_null)
        self.assertFalse(Field("a").is_empty or Field("a").is_null or Field("").is_null)

    def test_parts_belong_together_by_position(self) -> None:
        r = row(["OBX-3.1", "OBX-11"], "GLU\x1c\x1cNA", "F\x1cP\x1cC")
        pairs = zip(r.at("OBX-3.1").occurrences(), r.at("OBX-11").occurrences(), strict=True)
        self.assertEqual([f"{code.text}={status.text}" for code, status in pairs], ["GLU=F", "=P", "NA=C"])

    def test_numbers_are_read(self) -> None:
        self.assertEqual([Field(t).number() for t in (" 7.50 ", "-.5")], [7.5, -0.5])
        for text in ("", "7 mg", "1e5", "0x10", ">7", ".", "1_0", "nan", "\u0663"):
            self.assertIsNone(Field(text).number(), text)

    def test_escape_sequences_are_resolved_and_made(self) -> None:
        self.assertEqual(unescape("a\\T\\b\\F\\c\\S\\d\\R\\e\\E\\f"), "a&b|c^d~e\\f")
        self.assertEqual(unescape("\\H\\x\\N\\\\.br\\y"), "x\ny")
        self.assertEqual(unescape("\\XC3A9\\ \\XE9\\"), "é é", "UTF-8, else Latin-1")
        self.assertEqual(unescape("\\Xz\\ \\Q\\ c:\\dir"), "\\Xz\\ \\Q\\ c:\\dir")
        self.assertEqual(unescape("c:\\dir\\F\\x"), "c:\\dir|x", "and hides none behind it")
        for text in ("a|b^c&d~e\\f", "plain", "é\\", ""):
            self.assertEqual(unescape(escape(text)), text)

    def test_rows_about_acks_outcomes_and_connections_say_words(self) -> None:
        for outcome in Outcome:
            self.assertIs(Field(outcome.value).outcome(), outcome)
        self.assertEqual(len(Outcome), 12)
        names = ["@about", "@ack-code", "@reason", "@ack-ms", "@tries", "@event"]
        r = row(names, "ack", "AE", "unknown_key", "1200", "", "reset")
        self.assertIs(r.at("@about").about(), About.ACK)
        self.assertIs(r.at("@ack-code").ack_code(), AckCode.AE)
        self.assertIs(r.at("@reason").reason(), Reason.UNKNOWN_KEY)
        self.assertEqual((r.at("@ack-ms").count(), r.at("@tries").count()), (1200, None))
        self.assertIs(r.at("@event").event(), Event.RESET)
        self.assertIsNone(Field("teleported").outcome())

    def test_nothing_shows_a_value(self) -> None:
        self.assertNotIn("DOE", f"{row(['PID-5'], 'DOE')!r} {Field('DOE')!r}")


class Timestamps(unittest.TestCase):
    """HL7 time stamps."""

    def test_every_precision_is_read(self) -> None:
        for text, precision, ms in [
            ("2026", "year", 1767225600000), ("202602", "month", 1769904000000), ("20240229", "day", 1709164800000),
            ("2026030112", "hour", 1772366400000), ("202603011205", "minute", 1772366700000),
            ("20260301120506.1234", "second", 1772366706123), ("20260301120000-0530", "second", 1772386200000),
            ("19000101^D", "day", -2208988800000),
        ]:  # fmt: skip
            stamp = Timestamp.parse(text)
            assert stamp is not None, text
            self.assertEqual((stamp.precision, stamp.utc_ms()), (precision, ms), text)

    def test_the_zone_is_told_from_its_absence(self) -> None:
        zoned, bare = Timestamp.parse("20260301120000+0100"), Timestamp.parse("20260301120000")
        assert zoned and bare
        self.assertEqual((zoned.offset_minutes, bare.offset_minutes), (60, None))
        self.assertEqual(bare.utc_ms(60), bare.local_ms - 3_600_000)

    def test_what_is_no_time_is_none(self) -> None:
        for text in ["", "26", "20261301", "20260230", "20230229", "2026030125", "202603011260", "20260301120000.",
                     "20260301120000+1500", "20260301120000+0160", "2026-03-01", "202603011", '""', "today"]:  # fmt: skip
            self.assertIsNone(Timestamp.parse(text), text)


class Runner(unittest.TestCase):
    """The test runner."""

    def test_messages_are_joined_the_way_the_host_joins_them(self) -> None:
        rows: list[list[str]] = []
        first = message("ADT^A01").set("PID-3.1", "1").set("PID-3.4.2", "1.2")
        first.set("PID-3[2]", "2\\T\\2").set("PID-5", "O\\T\\B^X")
        second = message("ORU^R01").set("OBX[2]-5", "a\x1fb").set("MSH-10", "C1")
        run(module(check=lambda row, out: rows.append(row.texts())), manifest=MANIFEST, messages=[first, second])
        self.assertEqual(rows[0][:2], ["1^^^&1.2\x1d2&2", "O&B"])
        self.assertEqual(rows[1], ["", "", "C1", str(NOW_MS), "\x1ca\ufffdb"])

    def test_rows_can_be_given_by_the_names_of_their_fields(self) -> None:
        told = {**MANIFEST, "fields": ["@about", "@outcome", "@ack-classes"]}
        rows: list[list[str]] = []
        given = {"@about": "outcome", "@ack-classes": ["retry", "late_ack"]}
        run(module(check=lambda row, out: rows.append(row.texts())), manifest=told, rows=[given])
        self.assertEqual(rows, [["outcome", "", "retry\x1dlate_ack"]])
        with self.assertRaisesRegex(PathError, "@event is not among"):
            run(module(check=lambda row, out: None), manifest=told, rows=[{"@event": "reset"}])

    def found(self, finding: Finding, **more: Any) -> list[Found]:
        check = module(check=lambda row, out: out.push(finding))
        return run(check, **{"manifest": MANIFEST, "messages": [message()], **more})

    def test_a_finding_is_passed_on_as_the_host_does_it(self) -> None:
        finding = Finding("seen", Level.CRITICAL).at("PID-3[2].1").attr("n", 7).text("dropped")
        self.assertEqual(self.found(finding), [Found(0, "seen", "warning", "PID-3[2].1", {"n": "7"})])

    def test_what_the_host_would_refuse_is_an_error_here(self) -> None:
        def seen() -> Finding:
            return Finding("seen", Level.INFO)

        for finding, said in [
            (Finding("other", Level.INFO), "`other` is not among"), (seen().attr("who", "x"), "`who` is not among"),
            (seen().attr("n", 9001), "may not be `9001`"), (seen().attr("n", "007"), "may not be"),
            (seen().attr("kind", "c"), "may not be `c`"), (seen().attr("n", 1).attr("n", 1), "twice"),
        ]:  # fmt: skip
            with self.assertRaisesRegex(FindingError, said):
                self.found(finding)
        with self.assertRaisesRegex(PathError, "is no path"):
            self.found(seen().at("DOE^JANE"))
        with self.assertRaisesRegex(FindingError, "no field of NK1"):
            self.found(seen().at("NK1-2"), manifest={**MANIFEST, "grants": []})

    def test_granted_reads_see_the_message(self) -> None:
        reads: list[str | None] = []
        check = module(check=lambda row, out: reads.extend([row.get("MSH-9.2"), row.raw()]))
        run(check, manifest=MANIFEST, messages=[message("ADT^A08")])
        self.assertEqual(reads, ["A08", None], "`raw` is not asked for")

    def test_settings_are_checked(self) -> None:
        def start(settings: dict[str, object]) -> None:
            with_defaults(settings, {"list": [], "n": 1, "on": False})

        check = module(check=lambda row, out: None, init=start)
        run(check, manifest=MANIFEST, settings={"n": 2})
        wrong: list[tuple[dict[str, object], str]] = [({"m": 2}, "no setting `m`; there are: list, n, on"), ({"list": "a"}, "`list` must be a list"),
                               ({"n": True}, "whole number"), ({"on": 1}, "true or false")]  # fmt: skip
        for settings, said in wrong:
            with self.assertRaisesRegex(ValueError, said):
                run(check, manifest=MANIFEST, settings=settings)
        with self.assertRaisesRegex(ValueError, "has no settings"):
            run(module(check=lambda row, out: None), manifest=MANIFEST, settings={"a": 1})

    def test_state_is_kept_from_message_to_message_and_starts_empty(self) -> None:
        counts: list[str | None] = []

        def check(_row: Row, _out: Findings) -> None:
            state.set("n", str(int(state.get("n") or 0) + 1))
            counts.append(state.get("n"))

        def tick(_feed: str, _now_ms: int, out: Findings) -> None:
            if state.get("n") == "2":
                out.push(Finding("seen", Level.INFO))

        count = module(check=check, tick=tick)
        run(count, manifest=MANIFEST, messages=[message(), message()])
        self.assertEqual(run_tick(count, manifest=MANIFEST, keep_state=True), [Found(None, "seen", "info")])
        self.assertEqual(run_tick(count, manifest=MANIFEST), [])
        run(count, manifest=MANIFEST, messages=[message()])
        self.assertEqual(counts, ["1", "2", "1"])
        with self.assertRaisesRegex(StateError, "the key has more than 128 bytes"):
            state.set("k" * 129, "")
        with self.assertRaisesRegex(StateError, "4096"):
            state.set("k", "ä" * 2049)

    def test_an_exception_of_the_check_comes_out(self) -> None:
        def check(_row: Row, _out: Findings) -> None:
            raise RuntimeError("mine")

        with self.assertRaisesRegex(RuntimeError, "mine"):
            run(module(check=check), manifest=MANIFEST, messages=[message()])
        with self.assertRaisesRegex(TypeError, "has a function `check"):
            run(module(), manifest=MANIFEST)


if __name__ == "__main__":
    unittest.main()
