"""Runs a check in Python, so that unit tests need no WebAssembly::

    import unittest
    import check
    from feedpulse_check.testing import Found, message, run

    class Rooms(unittest.TestCase):
        def test_a_missing_room_is_found(self) -> None:
            found = run(check, messages=[message("ADT^A01").set("PV1-2", "I")])
            self.assertEqual(found, [Found(0, "room-missing", "warning", "PV1-3")])

Findings are held against plugin.toml in the current folder, as the host does it: an undeclared code,
attribute or place is a FindingError. Limits of time and memory are the host's; ``feedpulse check test``
runs the component under them.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as File
from types import ModuleType
from typing import Any

from .finding import Finding, Findings, Level
from .host import Host, connect, connected
from .message import Message, join, message
from .path import Path, PathError
from .row import FIELD, REPETITION, ROW
from .runtime import Runtime

__all__ = ["NOW_MS", "FindingError", "Found", "Message", "message", "read_manifest", "run", "run_tick"]

#: Hour zero of the tests: 2023-11-14T22:13:20Z.
NOW_MS = 1_700_000_000_000

_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}(?:\[\d+\])?")
_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)

Manifest = Mapping[str, Any]


class FindingError(Exception):
    """The host would refuse this finding."""


@dataclass(frozen=True)
class Found:
    """A finding as the host passes it on."""

    row: int | None
    """Index of the message, none for a finding about the feed."""
    code: str
    level: str
    """Lowered to the level that plugin.toml gives to the code."""
    at: str = ""
    attrs: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    """Only under the grant ``free-text``."""


def read_manifest(path: str = "plugin.toml") -> dict[str, Any]:
    """Reads a plugin.toml."""
    file = File(path)
    if not file.is_file():
        raise FileNotFoundError(f"{path} is not here: run the tests in the folder of the check")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def run(
    check: ModuleType | Any,
    *,
    messages: Sequence[Message | str] = (),
    rows: Sequence[Sequence[str] | Mapping[str, str | int | Sequence[str]]] = (),
    settings: Mapping[str, object] | None = None,
    feed: str = "test",
    now_ms: int = NOW_MS,
    manifest: Manifest | None = None,
) -> list[Found]:
    """Initialises the check with empty state and hands it one batch.

    ``messages`` are joined as the host joins them; ``rows`` are the declared fields themselves, in
    order, or by name. Raises what the check raised::

        run(check, messages=[message("ORU^R01").add("OBX|1|NM|GLU||95")], settings={"minutes": 5})
        run(check, rows=[["ADT", "", "DOE^JANE"]])
        run(check, rows=[{"@about": "outcome", "@outcome": "errored", "@tries": 3}])
    """
    manifest = read_manifest() if manifest is None else manifest
    names = manifest["fields"]
    connect(_Messages(messages, manifest.get("grants", ())))
    runtime = Runtime(check, names)
    runtime.init(json.dumps(dict(settings or {})))
    joined = [join(str(one), names, now_ms, f"key-{n}") for n, one in enumerate(messages)]
    for row in rows:
        values = _named(row, names) if isinstance(row, Mapping) else row
        if len(values) > len(names):
            raise ValueError(f"a row has {len(values)} values, plugin.toml has {len(names)} fields")
        joined.append(FIELD.join([*values, *[""] * (len(names) - len(values))]))
    return _passed(runtime.check(feed, now_ms, ROW.join(joined)), manifest) if joined else []


def run_tick(
    check: ModuleType | Any,
    *,
    settings: Mapping[str, object] | None = None,
    feed: str = "test",
    now_ms: int = NOW_MS,
    manifest: Manifest | None = None,
    keep_state: bool = False,
) -> list[Found]:
    """Calls the check's ``tick`` once; state is empty, or as the last ``run`` left it::

    run(check, messages=[message()])
    run_tick(check, now_ms=NOW_MS + 7_200_000, keep_state=True)
    """
    manifest = read_manifest() if manifest is None else manifest
    connect(Host(connected().memory if keep_state else {}))
    runtime = Runtime(check, manifest["fields"])
    runtime.init(json.dumps(dict(settings or {})))
    return _passed(runtime.tick(feed, now_ms), manifest)


def _named(values: Mapping[str, str | int | Sequence[str]], names: Sequence[str]) -> list[str]:
    """Values by the names of their fields; a list is the repetitions of one."""
    for name in values:
        if name not in names:
            raise PathError(f"{name} is not among the fields of plugin.toml; there are: {', '.join(names)}")
    told = [values.get(name, "") for name in names]
    return [str(one) if isinstance(one, str | int) else REPETITION.join(one) for one in told]


class _Messages(Host):
    """Lends the messages at hand, as far as the manifest asks for it."""

    def __init__(self, messages: Sequence[Message | str], grants: Sequence[str]) -> None:
        super().__init__()
        self._messages = messages
        self._grants = grants

    def message_get(self, row: int, path: str) -> str | None:
        if "get" not in self._grants or row >= len(self._messages):
            return None
        return join(str(self._messages[row]), [path], 0, "") or None

    def message_raw(self, row: int) -> str | None:
        return str(self._messages[row]) if "raw" in self._grants and row < len(self._messages) else None


def _passed(found: Findings, manifest: Manifest) -> list[Found]:
    """The findings as the host passes them on, or an error where it would refuse one."""
    return [_one(row, finding, manifest) for row, finding in found.all]


def _one(row: int | None, finding: Finding, manifest: Manifest) -> Found:
    known = manifest.get("codes", {}).get(finding.code)
    if known is None:
        raise FindingError(f"the finding's code `{finding.code}` is not among [codes] of plugin.toml")
    if finding.place:
        _in_declared_segment(finding.place, manifest)
    if len(finding.attrs) > 16:
        raise FindingError("a finding has at most 16 attributes")
    attrs = dict(finding.attrs)
    if len(attrs) < len(finding.attrs):
        raise FindingError("an attribute is there twice")
    for name, value in finding.attrs:
        _allowed(name, value, manifest)
    level = min(finding.level, Level[known["level"].upper()])
    text = finding.words if "free-text" in manifest.get("grants", ()) else ""
    return Found(row, finding.code, level.name.lower(), finding.place, attrs, text)


def _in_declared_segment(at: str, manifest: Manifest) -> None:
    segment = at[:3] if _SEGMENT.fullmatch(at) else Path.parse(at).segment
    reads = {"get", "raw"} & set(manifest.get("grants", ()))
    if not reads and not any(name.startswith(f"{segment}-") for name in manifest["fields"]):
        raise FindingError(f"the finding is at {at}, but plugin.toml declares no field of {segment}")


def _allowed(name: str, value: str, manifest: Manifest) -> None:
    attr = manifest.get("attrs", {}).get(name)
    if attr is None:
        raise FindingError(f"the attribute `{name}` is not among [attrs] of plugin.toml")
    if "values" in attr:
        fits = value in attr["values"]
    else:
        fits = bool(_WHOLE.fullmatch(value)) and attr["min"] <= int(value) <= attr["max"]
    if not fits:
        raise FindingError(f"the attribute `{name}` may not be `{value}`; see [attrs.{name}] in plugin.toml")
