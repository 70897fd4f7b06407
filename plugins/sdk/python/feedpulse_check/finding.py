"""What a check concludes."""

from __future__ import annotations

from enum import IntEnum


class Level(IntEnum):
    """How bad, from "for the record" to "somebody must act"."""

    INFO = 0
    """For the record."""
    WARNING = 1
    """Look at it when there is time."""
    ERROR = 2
    """Something is wrong."""
    CRITICAL = 3
    """Somebody must act now."""


class Finding:
    """One conclusion. Only what plugin.toml declares may go into it: no patient data can get out.

    >>> finding = Finding("late", Level.ERROR).at("OBX[2]-11").attr("minutes", 90)
    >>> finding.code, finding.place, finding.attrs
    ('late', 'OBX[2]-11', [('minutes', '90')])
    """

    __slots__ = ("attrs", "code", "level", "place", "words")

    def __init__(self, code: str, level: Level) -> None:
        """A finding about the whole message.

        ``code`` is one of ``[codes]`` in plugin.toml; its words stand there. A level above the one
        that plugin.toml gives to the code is lowered to it.
        """
        self.code = code
        self.level = level
        self.place = ""
        self.attrs: list[tuple[str, str]] = []
        self.words = ""

    def at(self, path: str) -> Finding:
        """Says where: ``.at("OBX[2]-11")``. The segment is one of which a field is declared."""
        self.place = path
        return self

    def attr(self, name: str, value: str | int) -> Finding:
        """Adds an attribute of ``[attrs]``: a value listed there, or a whole number in its range."""
        self.attrs.append((name, str(value)))
        return self

    def text(self, words: str) -> Finding:
        """Adds free words, which pass only under the grant ``free-text``. Keep patients out of them."""
        self.words = words
        return self


class Findings:
    """Takes findings.

    >>> out = Findings()
    >>> out.push(Finding("seen", Level.INFO))
    >>> len(out.all)
    1
    """

    __slots__ = ("all", "row")

    def __init__(self) -> None:
        #: Index of the row at hand, none in a tick; set by the kit.
        self.row: int | None = None
        #: What was found so far: the row and the finding.
        self.all: list[tuple[int | None, Finding]] = []

    def push(self, finding: Finding) -> None:
        """Adds a finding about the row at hand, or in a tick about the feed."""
        self.all.append((self.row, finding))
