"""The functions of the host. In a component ``connect`` lends the real ones; until then, as in unit
tests, stand-ins keep state in this process and print log lines."""

from __future__ import annotations

from dataclasses import dataclass, field

from .finding import Level

#: The host's limits on one state entry, in bytes of UTF-8.
KEY_BYTES = 128
VALUE_BYTES = 4096


class StateError(Exception):
    """The host refused to store a value."""


@dataclass
class Host:
    """What a host can be asked for. The defaults are stand-ins without any WebAssembly."""

    memory: dict[str, str] = field(default_factory=dict)

    def state_get(self, key: str) -> str | None:
        """What was stored."""
        return self.memory.get(key)

    def state_set(self, key: str, value: str) -> None:
        """Stores, within the host's limits."""
        if len(key.encode()) > KEY_BYTES:
            raise StateError(f"the key has more than {KEY_BYTES} bytes")
        if len(value.encode()) > VALUE_BYTES:
            raise StateError(f"the value has more than {VALUE_BYTES} bytes")
        self.memory[key] = value

    def state_remove(self, key: str) -> None:
        """Forgets."""
        self.memory.pop(key, None)

    def log_write(self, level: Level, text: str) -> None:
        """Prints a line."""
        print(f"{level.name}: {text}")

    def message_get(self, row: int, path: str) -> str | None:
        """Nothing is granted."""
        return None

    def message_raw(self, row: int) -> str | None:
        """Nothing is granted."""
        return None


_host = Host()


def connect(host: Host) -> None:
    """Puts another host in place: the builder's entry does it, and the test runner."""
    global _host
    _host = host


def connected() -> Host:
    """The host in place."""
    return _host


class _State:
    """State of this check for this feed, kept by the host; it outlives exceptions and new instances.

    Changes count when the call that made them succeeds. When it is full, what was written longest ago
    makes room, so write again what must stay.

    >>> state.set("count", "1")
    >>> state.get("count")
    '1'
    >>> state.remove("count")
    >>> state.get("count") is None
    True
    """

    def get(self, key: str) -> str | None:
        """What was stored under the key, or none."""
        return _host.state_get(key)

    def set(self, key: str, value: str) -> None:
        """Stores a value. Raises StateError when key (128 bytes) or value (4096) are too long."""
        _host.state_set(key, value)

    def remove(self, key: str) -> None:
        """Forgets the key."""
        _host.state_remove(key)


class _Log:
    """Lines for the operator, who sees their text only under the grant ``free-text``."""

    def write(self, level: Level, text: str) -> None:
        """Writes one line: ``log.write(Level.INFO, "no authority is listed")``."""
        _host.log_write(level, text)


state = _State()
log = _Log()
