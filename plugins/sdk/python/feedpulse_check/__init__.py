"""The kit of a check author. A check is a module ``check.py`` with a function::

    from feedpulse_check import Finding, Findings, Level, Row

    def check(row: Row, out: Findings) -> None:
        if row.at("PV1-3").is_empty:
            out.push(Finding("room-missing", Level.WARNING).at("PV1-3"))

and, if it has settings or wants to notice silence, ``init`` and ``tick``::

    def init(settings: dict[str, object]) -> None: ...
    def tick(feed: str, now_ms: int, out: Findings) -> None: ...

``init`` runs once with the operator's settings; the text of what it raises is shown to the operator. A
check without it takes no settings. ``tick`` runs about once a second per feed. An exception in ``check``
means that this message could not be checked: the host counts it and never shows its text, which may quote
the message. There is no clock, no randomness, no file and no network in a check.
"""

from .about import About, AckCode, Event, Outcome, Reason
from .finding import Finding, Findings, Level
from .host import StateError, log, state
from .row import Field, Row
from .settings import with_defaults
from .text import escape, unescape
from .timestamp import Timestamp

__all__ = [
    "About",
    "AckCode",
    "Event",
    "Field",
    "Finding",
    "Findings",
    "Level",
    "Outcome",
    "Reason",
    "Row",
    "StateError",
    "Timestamp",
    "escape",
    "log",
    "state",
    "unescape",
    "with_defaults",
]
