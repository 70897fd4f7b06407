"""HL7 escape sequences (HL7 v2.5.1 §2.7), with the standard delimiters: the host hands over values that
have them, whatever the message used."""

from __future__ import annotations

import re

_MEANS = {
    "F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", "P": "#", "H": "", "N": "", ".br": "\n", ".sp": "\n",
}  # fmt: skip
_NEEDS = {
    "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\\": "\\E\\", "\r": "\\.br\\", "\n": "\\.br\\",
}  # fmt: skip
_SEQUENCE = re.compile(r"\\(?:(F|S|T|R|E|P|H|N|\.br|\.sp)|X((?:[0-9A-Fa-f]{2})+))\\")
_ODD = re.compile(r"\r\n|[|^&~\\\r\n]")


def unescape(text: str) -> str:
    """Resolves escape sequences; what is none stays.

    >>> unescape("Smith \\\\T\\\\ Sons")
    'Smith & Sons'
    """
    return _SEQUENCE.sub(_resolved, text) if "\\" in text else text


def escape(text: str) -> str:
    """The other way round, to put a text into a message.

    >>> print(escape("a^b"))
    a\\S\\b
    """
    return _ODD.sub(lambda found: _NEEDS[found.group()[0]], text)


def _resolved(found: re.Match[str]) -> str:
    name, digits = found.groups()
    if name is not None:
        return _MEANS[name]
    raw = bytes.fromhex(digits)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
