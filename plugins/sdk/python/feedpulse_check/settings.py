"""Settings that are checked before they are believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = {dict: "table", list: "list", str: "text", bool: "true or false", int: "whole number", float: "number"}


def with_defaults(settings: Mapping[str, object], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with defaults for those that are left out.

    Raises ValueError for a name that has no default, and for a value of another type than the
    default's: a typing error must not go unnoticed.

    >>> with_defaults({"minutes": 5}, {"minutes": 60, "authorities": []})
    {'minutes': 5, 'authorities': []}
    >>> with_defaults({"minute": 5}, {"minutes": 60})
    Traceback (most recent call last):
    ValueError: there is no setting `minute`; there are: minutes
    """
    for name, value in settings.items():
        if name not in defaults:
            raise ValueError(f"there is no setting `{name}`; there are: {', '.join(defaults)}")
        wanted = type(defaults[name])
        fits = type(value) is wanted or (wanted is float and type(value) is int)
        if not fits:
            raise ValueError(f"`{name}` must be a {_NAMES[wanted]}, and is {value!r:.60}")
    return {**defaults, **settings}
