"""The rules, in Python; `feedpulse check test` runs the component on `cases/`.

From the folder of the check: `PYTHONPATH=../sdk/python python3 -m unittest discover tests`.
"""

from __future__ import annotations

import json
import unittest
from pathlib import Path

import check
from feedpulse_check.testing import Found, Message, message, run


def adt(patient: str, visit: str = "", *, kind: str = "ADT^A01", merged: str = "") -> Message:
    """A message about a patient."""
    one = message(kind).set("PID-3", patient)
    if visit:
        one.set("PV1-19", visit)
    return one.set("MRG-1", merged) if merged else one


class Linkage(unittest.TestCase):
    """Whether a message can be linked."""

    def codes(self, *messages: Message, **settings: object) -> list[tuple[int | None, str, str]]:
        return [(f.row, f.code, f.at) for f in run(check, messages=messages, settings=settings)]

    def test_identifiers_are_there_with_their_authority(self) -> None:
        found = self.codes(adt("1^^^HOSP^MR"), adt(""), adt('""'), adt("1"), adt("1~2^^^HOSP^MR"), adt('1^^^""^MR'))
        self.assertEqual(
            found,
            [(1, "no-identifier", "PID-3"), (2, "no-identifier", "PID-3"),
             (3, "authority-missing", "PID-3[1].4"), (5, "authority-missing", "PID-3[1].4")],
        )  # fmt: skip

    def test_the_portal_knows_what_the_settings_list(self) -> None:
        messages = [adt("1^^^HOSP^MR"), adt("1^^^LAB^MR"), adt("1^^^X&1.2.3&ISO^MR"), adt("1^^^HOSP^SS"), adt("1^^^LAB^MR~2^^^HOSP^MR")]
        found = self.codes(*messages, authorities=["HOSP", "1.2.3"], types=["MR", "PI"])
        self.assertEqual(found, [(1, "unknown-authority", "PID-3"), (3, "unknown-authority", "PID-3")])
        self.assertEqual(run(check, messages=[adt("1^^^A~2^^^B~3")], settings={"authorities": ["C"]})[0].attrs, {"identifiers": "3"})

    def test_two_numbers_of_one_authority_are_one_too_many(self) -> None:
        found = self.codes(adt("1^^^HOSP^MR~1^^^HOSP^MR~9^^^HOSP^PI~2^^^HOSP^MR"))
        self.assertEqual(found, [(0, "ambiguous-account", "PID-3[4]")])

    def test_a_visit_stays_with_its_patient(self) -> None:
        first, other = adt("1^^^HOSP^MR", "V1"), adt("2^^^HOSP^MR", "V1")
        self.assertEqual(self.codes(first, first, adt("2^^^HOSP^MR", "V2")), [])
        self.assertEqual(self.codes(first, other, other), [(1, "visit-changed-patient", "PV1-19")])
        self.assertEqual(self.codes(first, adt("7^^^LAB^MR", "V1"), other), [(2, "visit-changed-patient", "PV1-19")])
        self.assertEqual(self.codes(first, adt("2^^^HOSP^MR", "V1", kind="ADT^A45"), other), [], "it was moved")

    def test_a_merge_makes_two_records_one(self) -> None:
        merged = adt("2^^^HOSP^MR", kind="ADT^A40", merged="1^^^HOSP^MR")
        self.assertEqual(self.codes(adt("1^^^HOSP^MR", "V1"), merged, adt("2^^^HOSP^MR", "V1")), [])
        lost = self.codes(adt("2^^^HOSP^MR", kind="ADT^A40", merged="1"), adt("2^^^HOSP^MR", kind="ADT^A40"))
        self.assertEqual([code for _, code, _ in lost], ["merge-not-linkable"] * 2)

    def test_wrong_settings_are_refused_by_name(self) -> None:
        wrong: list[dict[str, object]] = [{"authorities": "HOSP"}, {"types": [1]}, {"authorities": [""]}, {"authority": []}]
        for settings in wrong:
            with self.assertRaisesRegex(ValueError, "authorit|types"):
                run(check, settings=settings)

    def test_the_cases_give_what_they_expect(self) -> None:
        seen = 0
        for case in sorted(Path("cases").glob("*.hl7")):
            expected = json.loads(case.with_suffix(".expected.json").read_text())
            settings = {}
            if isinstance(expected, dict):
                settings, expected = expected["settings"], expected["findings"]
            found = run(check, messages=case.read_text().split("\n\n"), settings=settings)
            self.assertEqual(found, [Found(**one) for one in expected], case)
            seen += 1
        self.assertGreaterEqual(seen, 4)


if __name__ == "__main__":
    unittest.main()
