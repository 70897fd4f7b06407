"""Between the functions of the interface and an author's module."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from .finding import Findings
from .path import Declared
from .row import ROW, Row


class Runtime:
    """An author's module for the declared fields."""

    def __init__(self, author: ModuleType | Any, names: Sequence[str]) -> None:
        self._author = author
        self._declared = Declared(names)
        check = getattr(author, "check", None)
        if not callable(check):
            raise TypeError("a check's module has a function `check(row, out)`")
        self._check: Callable[[Row, Findings], None] = check

    def init(self, config: str) -> None:
        """Hands the settings over."""
        settings = json.loads(config) if config.strip() else {}
        if hasattr(self._author, "init"):
            self._author.init(settings)
        elif settings != {}:
            raise ValueError("this check has no settings; leave them out")

    def check(self, feed: str, now_ms: int, rows: str) -> Findings:
        """Checks each row of a batch."""
        out = Findings()
        row = Row(self._declared, feed, now_ms)
        check = self._check
        for index, text in enumerate(rows.split(ROW)):
            row.index = out.row = index
            row.text = text
            check(row, out)
        return out

    def tick(self, feed: str, now_ms: int) -> Findings:
        """Gives the time."""
        out = Findings()
        self._author.tick(feed, now_ms, out)
        return out
