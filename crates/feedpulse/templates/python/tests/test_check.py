"""Runs the check in Python: `PYTHONPATH=sdk/python python3 -m unittest discover tests`.

`feedpulse check test` runs the component on `cases/`.
"""

import unittest

import check
from feedpulse_check.testing import Found, message, run


class Reasons(unittest.TestCase):
    """When a reason is missing."""

    def test_only_an_emergency_needs_a_reason(self) -> None:
        messages = [
            message("ADT^A01").set("PV1-2", "E"),
            message("ADT^A01").set("PV1-2", "E").set("PV2-3.2", "Chest pain"),
            message("ADT^A01").set("PV1-2", "I"),
        ]
        self.assertEqual(run(check, messages=messages), [Found(0, "reason-missing", "warning", "PV2-3")])
