"""Paths such as ``OBX[2]-5[1].1.2``, and where among the declared fields their value is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_FORM = re.compile(
    r"([A-Z][A-Z0-9]{2})(?:\[(\d{1,4})\])?-(\d{1,4})(?:\[(\d{1,4})\])?(?:\.(\d{1,4})(?:\.(\d{1,4}))?)?",
    re.ASCII,
)


class PathError(ValueError):
    """A text is no path, or no declared field holds it."""


@dataclass(frozen=True)
class Path:
    """The parts of a path; numbers count from 1."""

    segment: str
    occurrence: int | None
    field: int
    repetition: int | None
    component: int | None
    subcomponent: int | None

    @staticmethod
    def parse(text: str) -> Path:
        """Reads a path."""
        found = _FORM.fullmatch(text)
        numbers = [None if part is None else int(part) for part in found.groups()[1:]] if found else [0]
        if found is None or 0 in numbers:
            raise PathError(
                f"`{text}` is no path; a path is like PID-3, PID-3.1 or OBX[2]-5[1].1.2, counted from 1"
            )
        occurrence, field, repetition, component, subcomponent = numbers
        assert field is not None  # the form demands it
        return Path(found[1], occurrence, field, repetition, component, subcomponent)


@dataclass(frozen=True)
class Place:
    """The index of a declared field, and what of it is still to be taken; none = all of it."""

    index: int
    rest: Path | None


class Declared:
    """The declared fields of a check, in order, and the paths that were looked up before."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._known: dict[str, Place] = {}

    def find(self, path: str) -> Place:
        """Where a path's value is; the most exact declared field serves: ``PID-3.1``, else ``PID-3``."""
        place = self._known.get(path)
        if place is None:
            place = self._search(path)
            # authors write paths down, but a made-up one per message must not fill the memory
            if len(self._known) < 256:
                self._known[path] = place
        return place

    def _search(self, path: str) -> Place:
        if path in self.names:
            return Place(self.names.index(path), None)
        if not path.startswith("@"):
            rest = Path.parse(path)
            whole = f"{rest.segment}-{rest.field}"
            exact = f"{whole}.{rest.component}.{rest.subcomponent}"
            if exact in self.names:
                return Place(self.names.index(exact), replace(rest, component=None, subcomponent=None))
            if f"{whole}.{rest.component}" in self.names:
                return Place(self.names.index(f"{whole}.{rest.component}"), replace(rest, component=None))
            if whole in self.names:
                return Place(self.names.index(whole), rest)
        raise PathError(f"{path} is not among the fields of plugin.toml; there are: {', '.join(self.names)}")
