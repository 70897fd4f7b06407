"""Builds messages for tests, and joins their declared fields to a row the way the host does."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from .path import Path
from .row import FIELD, OCCURRENCE, REPETITION
from .text import unescape

_SEPARATORS = re.compile("[\x1c-\x1f]")
_numbers = itertools.count(1)


class Message:
    """A message that is put together piece by piece; any text that starts with ``MSH|^~\\&`` can be one.

    >>> adt = message("ADT^A01").set("PID-3.1", "1001").set("PID-3.4", "HOSP").set("OBX[2]-5", "7")
    >>> str(adt).split("\\r")[1:4]
    ['PID|||1001^^^HOSP', 'OBX', 'OBX|||||7']
    """

    def __init__(self, text: str) -> None:
        self._segments = segments(text)
        if not self._segments or not self._segments[0].startswith("MSH|^~\\&"):
            raise ValueError("a message of a test starts with MSH|^~\\&")

    def set(self, path: str, value: str) -> Message:
        """Sets what a path names, as it is sent: ``escape`` a text that may hold delimiters.

        Segments, fields and parts that are missing are added.
        """
        at = Path.parse(path)
        if at.segment == "MSH" and at.field <= 2:
            raise ValueError("MSH-1 and MSH-2 stay as they are")

        def in_component(component: str) -> str:
            return value if at.subcomponent is None else _put(component, "&", at.subcomponent, lambda _: value)

        def in_repetition(repetition: str) -> str:
            return value if at.component is None else _put(repetition, "^", at.component, in_component)

        def in_field(field: str) -> str:
            if at.repetition is None and at.component is None:
                return value
            return _put(field, "~", at.repetition or 1, in_repetition)

        n = self._need(at.segment, at.occurrence or 1)
        self._segments[n] = _put(self._segments[n], "|", _column(at), in_field)
        return self

    def add(self, segment: str) -> Message:
        """Adds a segment at the end: ``.add("ZPV|1|X")``."""
        self._segments.append(segment)
        return self

    def __str__(self) -> str:
        """As sent, segments ended by carriage returns."""
        return "".join(f"{segment}\r" for segment in self._segments)

    def _need(self, name: str, n: int) -> int:
        """Where the n-th segment of a name is; missing ones are added at the end."""
        found = [i for i, segment in enumerate(self._segments) if segment.split("|", 1)[0] == name]
        while len(found) < n:
            found.append(len(self._segments))
            self._segments.append(name)
        return found[n - 1]


def message(kind: str = "ADT^A01") -> Message:
    """A message with an MSH segment of the given type, ready to be filled."""
    return Message(
        f"MSH|^~\\&|APP|HOSPITAL|PORTAL|HOSPITAL|20231114221320||{kind}|T{next(_numbers)}|P|2.5.1"
    )


def segments(text: str) -> list[str]:
    """The segments of a message, whatever ends them."""
    return [segment for segment in re.split(r"\r\n|\r|\n", text) if segment]


def join(text: str, names: Sequence[str], received_ms: int, key: str) -> str:
    """The declared fields of a message as the host joins them."""
    lines = segments(text)
    pseudo = {
        "@received-ms": str(received_ms),
        "@key": key,
        "@type": _nth(lines[0] if lines else "", "|", 9),
        "@urgency": "routine",
    }
    return FIELD.join(
        pseudo.get(name, "") if name.startswith("@") else _declared(lines, Path.parse(name)) for name in names
    )


def _declared(lines: Sequence[str], path: Path) -> str:
    mine = [line for line in lines if line.split("|", 1)[0] == path.segment]
    return OCCURRENCE.join(_occurrence(line, path) for line in mine)


def _occurrence(line: str, path: Path) -> str:
    if path.segment == "MSH" and path.field <= 2:
        return "|" if path.field == 1 else _nth(line, "|", 2)
    whole = _nth(line, "|", _column(path))
    return REPETITION.join(_SEPARATORS.sub("\ufffd", _picked(one, path)) for one in whole.split("~"))


def _picked(repetition: str, path: Path) -> str:
    """One part of a repetition, with its escape sequences resolved when it has no parts itself."""
    part = repetition if path.component is None else _nth(repetition, "^", path.component)
    if path.subcomponent is not None:
        part = _nth(part, "&", path.subcomponent)
    return part if "^" in part or "&" in part else unescape(part)


def _column(path: Path) -> int:
    """MSH-1 is the separator itself, so that the parts of MSH count from one less."""
    return path.field if path.segment == "MSH" else path.field + 1


def _nth(text: str, separator: str, n: int) -> str:
    parts = text.split(separator)
    return parts[n - 1] if n <= len(parts) else ""


def _put(text: str, separator: str, n: int, change: Callable[[str], str]) -> str:
    """Puts a part in place of the n-th one from 1, with empty ones up to it."""
    parts = text.split(separator)
    parts += [""] * (n - len(parts))
    parts[n - 1] = change(parts[n - 1])
    return separator.join(parts)
