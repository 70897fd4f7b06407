"""One message as a check sees it: the declared fields, split where somebody looks."""

from __future__ import annotations

import re
from enum import Enum
from typing import TypeVar

from . import host
from .about import About, AckCode, Event, Outcome, Reason
from .path import Declared
from .text import unescape
from .timestamp import Timestamp

ROW = "\x1e"
FIELD = "\x1f"
REPETITION = "\x1d"
OCCURRENCE = "\x1c"

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)", re.ASCII)


_Word = TypeVar("_Word", bound=Enum)


def _known(words: type[_Word], text: str) -> _Word | None:
    """A word that this version of the kit knows; a host that is newer may say others."""
    try:
        return words(text)
    except ValueError:
        return None


def _nth(text: str, separator: str, n: int) -> str:
    """The n-th part from 1, empty where there are fewer."""
    parts = text.split(separator)
    return parts[n - 1] if 1 <= n <= len(parts) else ""


class Row:
    """One message: the fields that plugin.toml declares.

    The same object serves each message of a batch: take out of it what must last.
    """

    __slots__ = ("_declared", "feed", "index", "now_ms", "text")

    def __init__(self, declared: Declared, feed: str, now_ms: int) -> None:
        self._declared = declared
        #: Name of the feed, as configured.
        self.feed = feed
        #: The host's wall clock, milliseconds since 1970.
        self.now_ms = now_ms
        #: Index in the batch.
        self.index = 0
        #: The fields as they came, parted by U+001F.
        self.text = ""

    def texts(self) -> list[str]:
        """The texts of all declared fields in order: the cheapest way.

        ``kind, number = row.texts()``
        """
        return self.text.split(FIELD)

    def fields(self) -> list[Field]:
        """All declared fields in order."""
        return [Field(text) for text in self.text.split(FIELD)]

    def field(self, n: int) -> Field:
        """The n-th declared field, from 0. Empty when the message does not value it."""
        texts = self.text.split(FIELD)
        return Field(texts[n] if 0 <= n < len(texts) else "")

    def at(self, path: str) -> Field:
        """What a path names. Raises PathError for a path that no declared field holds.

        A path may go deeper than the declared field: with ``OBX-5`` declared, ``OBX[2]-5[1].1`` is
        there too. A path without ``[n]`` names all occurrences and repetitions; a component is that of
        the first::

            len(row.at("PID-3").repetitions())     # how many identifiers
            row.at("OBX[2]-5.1").text
            row.at("ZPV-2").is_empty               # Z segments are like any other
        """
        place = self._declared.find(path)
        field, rest = self.field(place.index), place.rest
        if rest is None:
            return field
        if rest.occurrence is not None:
            field = field.occurrence(rest.occurrence)
        if rest.repetition is not None:
            field = field.repetition(rest.repetition)
        if rest.component is not None:
            field = field.component(rest.component)
        return field if rest.subcomponent is None else field.subcomponent(rest.subcomponent)

    def value(self, path: str) -> str:
        """The text of the first occurrence and repetition: ``row.value("PID-3.4")``."""
        return self.at(path).first().text

    def get(self, path: str) -> str | None:
        """Any field of the message by path, as the host joins it. None without the grant ``get``."""
        return host.connected().message_get(self.index, path)

    def raw(self) -> str | None:
        """The whole message. None without the grant ``raw``."""
        return host.connected().message_raw(self.index)

    def __repr__(self) -> str:
        """Never shows a value: rows hold patient data."""
        return f"Row(index={self.index})"


class Field:
    """The text of a field, with its occurrences, repetitions and parts. Numbers count from 1, as in HL7.

    >>> Field("1001^^^HOSP&1.2&ISO").component(4).subcomponent(2).text
    '1.2'
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        #: As handed over, separators included where there are any. Escape sequences of a text without
        #: parts are resolved.
        self.text = text

    @property
    def is_empty(self) -> bool:
        """Whether nothing is valued. HL7 does not tell absent from empty.

        >>> Field("\\x1c").is_empty, Field('""').is_empty
        (True, False)
        """
        text = self.text
        return not text or not text.strip(OCCURRENCE + REPETITION)

    @property
    def is_null(self) -> bool:
        """Whether it is HL7's explicit null ``""``: the sender deletes what the receiver has."""
        return self.text == '""'

    def occurrences(self) -> list[Field]:
        """One per occurrence of the segment. Those of fields of one segment belong together::

            for code, status in zip(row.at("OBX-3.1").occurrences(), row.at("OBX-11").occurrences()):
                ...
        """
        return [Field(text) for text in self.text.split(OCCURRENCE)]

    def occurrence(self, n: int) -> Field:
        """The n-th occurrence of the segment, empty where there are fewer."""
        return Field(_nth(self.text, OCCURRENCE, n))

    def repetitions(self) -> list[Field]:
        """One per repetition: ``for number in row.at("PID-3").repetitions(): ...``"""
        return [Field(text) for text in self.text.split(REPETITION)]

    def repetition(self, n: int) -> Field:
        """The n-th repetition, empty where there are fewer."""
        return Field(_nth(self.text, REPETITION, n))

    def values(self) -> list[Field]:
        """Every single value, of each repetition in each occurrence, at least one.

        >>> [value.text for value in Field("a\\x1db\\x1cc").values()]
        ['a', 'b', 'c']
        """
        return [Field(text) for text in self.text.replace(REPETITION, OCCURRENCE).split(OCCURRENCE)]

    def first(self) -> Field:
        """The first repetition of the first occurrence."""
        return Field(self.text.split(OCCURRENCE, 1)[0].split(REPETITION, 1)[0])

    def components(self) -> list[Field]:
        """The components of :meth:`first`, at least one.

        >>> [part.text for part in Field("DOE\\\\T\\\\SON^JANE").components()]
        ['DOE&SON', 'JANE']
        """
        text = self.first().text
        if "^" not in text:
            return [Field(text)]
        return [Field(part if "&" in part else unescape(part)) for part in text.split("^")]

    def component(self, n: int) -> Field:
        """The n-th one: ``row.at("PID-5").component(1).text`` is the family name."""
        parts = self.components()
        return parts[n - 1] if 1 <= n <= len(parts) else Field("")

    def subcomponents(self) -> list[Field]:
        """The subcomponents of the first component, at least one."""
        text = self.component(1).text
        if "&" not in text:
            return [Field(text)]
        return [Field(unescape(part)) for part in text.split("&")]

    def subcomponent(self, n: int) -> Field:
        """The n-th one: ``row.at("PID-3").component(4).subcomponent(2).text``."""
        parts = self.subcomponents()
        return parts[n - 1] if 1 <= n <= len(parts) else Field("")

    def number(self) -> float | None:
        """The value as a number, none when it is none.

        >>> Field("7.5").number(), Field(">7").number()
        (7.5, None)
        """
        text = self.first().text.strip()
        return float(text) if _NUMBER.fullmatch(text) else None

    def timestamp(self) -> Timestamp | None:
        """The value as a time stamp, none when it is none."""
        return Timestamp.parse(self.first().text)

    def about(self) -> About | None:
        """``@about``: what the row is about. It and the next ones are none where rows of the kind at hand
        do not give the field, or where the host is newer and says a word that this version does not know::

            # plugin.toml: about = ["ack", "outcome"], fields = ["@about", "@ack-code", "@outcome", "@tries"]
            if row.at("@about").about() is About.ACK and row.at("@ack-code").ack_code() is AckCode.AE: ...

        >>> Field("ack").about(), Field("").about()
        (<About.ACK: 'ack'>, None)
        """
        return _known(About, self.text)

    def outcome(self) -> Outcome | None:
        """``@outcome``: how a message ended.

        >>> Field("errored").outcome()
        <Outcome.ERRORED: 'errored'>
        """
        return _known(Outcome, self.text)

    def ack_code(self) -> AckCode | None:
        """``@ack-code``: MSA-1."""
        return _known(AckCode, self.text)

    def reason(self) -> Reason | None:
        """``@reason``: why a message was refused."""
        return _known(Reason, self.text)

    def event(self) -> Event | None:
        """``@event``: what happened to a connection."""
        return _known(Event, self.text)

    def count(self) -> int | None:
        """``@ack-ms``, ``@elapsed-ms``, ``@received-ms``, ``@tries``, ``@bytes``: whole numbers.

        >>> Field("1200").count(), Field("").count()
        (1200, None)
        """
        return int(self.text) if self.text.isascii() and self.text.isdigit() else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Field) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        """Never shows the value: fields hold patient data."""
        return f"Field(length={len(self.text)})"
