"""Makes an author's module a component. Imported only by the entry that the builder writes: the modules
``wit_world`` and ``componentize_py_types`` exist in a component alone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

# made by componentize-py for the component
import componentize_py_types  # type: ignore[import-not-found]
from wit_world.imports import log, message, state, types  # type: ignore[import-not-found]

from .finding import Findings, Level
from .host import Host, StateError, connect
from .runtime import Runtime

_LEVELS = {level: getattr(types.Level, level.name) for level in Level}


class _Imports(Host):
    """The functions of the component's imports."""

    def state_get(self, key: str) -> str | None:
        found: str | None = state.get(key)
        return found

    def state_set(self, key: str, value: str) -> None:
        try:
            state.set(key, value)
        except componentize_py_types.Err as refused:
            raise StateError(refused.value) from None

    def state_remove(self, key: str) -> None:
        state.remove(key)

    def log_write(self, level: Level, text: str) -> None:
        log.write(_LEVELS[level], text)

    def message_get(self, row: int, path: str) -> str | None:
        found: str | None = message.get(row, path)
        return found

    def message_raw(self, row: int) -> str | None:
        found: str | None = message.raw(row)
        return found


def classes(author: ModuleType, names: Sequence[str]) -> tuple[type, type]:
    """The classes ``Checker`` and ``Ticker`` for an author's module and the fields of plugin.toml."""
    connect(_Imports())
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep"):
        setattr(time, name, _no_clock)
    runtime = Runtime(author, names)

    class Checker:
        """The interface ``checker``."""

        def init(self, config: str) -> None:
            """Once, with the settings."""
            try:
                runtime.init(config)
            except Exception as error:
                # the operator reads this one: settings are all that it can quote
                raise componentize_py_types.Err(str(error) or type(error).__name__) from None

        def check(self, batch: Any) -> list[Any]:
            """For each batch."""
            return _guarded(lambda: runtime.check(batch.feed, batch.now_ms, batch.rows))

    class Ticker:
        """The interface ``ticker``."""

        def tick(self, feed: str, now_ms: int) -> list[Any]:
            """About once a second."""
            return _guarded(lambda: runtime.tick(feed, now_ms))

    return Checker, Ticker


def _no_clock(*_: object) -> None:
    """An error instead of the trap that the missing import would be."""
    raise RuntimeError("a check has no clock: use row.now_ms")


def _guarded(call: Callable[[], Findings]) -> list[Any]:
    """An exception is an error of the interface, not a trap: the instance lives on."""
    try:
        found = call()
    except Exception as error:
        trace = error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        # a component has the folders of its modules as /0, /1, …
        file = re.sub(r"^/(?:\d+/)?", "", trace.tb_frame.f_code.co_filename) if trace else "?"
        place = f"{file}:{trace.tb_lineno if trace else 0}:1"
        # shown to an author on her own machine only
        raise componentize_py_types.Err(f"{type(error).__name__}: {error} ({place})") from None
    return [
        types.Finding(row, f.code, _LEVELS[f.level], f.place, f.attrs, f.words) for row, f in found.all
    ]
