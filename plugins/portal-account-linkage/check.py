"""Finds messages that a patient portal cannot link to an account.

What each finding means stands in plugin.toml. An identifier is a CX (HL7 v2.5.1 §2.A.14): the number, in its
fourth component the authority that assigned it as name & universal id & type, in its fifth the type of number.
What is remembered of a visit and of a merge is kept as hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from feedpulse_check import Field, Finding, Findings, Level, Row, state, with_defaults

#: Trigger events by which two records become one (MRG-1 names the one that goes), HL7 v2.5.1 §3.3.
MERGES = {"A18", "A34", "A35", "A36", "A39", "A40", "A41", "A42", "A47", "A49"}
#: Those by which a visit moves to another record, or back.
MOVES = {"A43", "A44", "A45", "A50", "A51"}
YEAR_MINUTES = 525_600
DEFAULTS: dict[str, list[str]] = {"authorities": [], "types": []}


class Identifier(NamedTuple):
    """What PID-3 or MRG-1 holds once or more."""

    n: int
    number: str
    authority: str
    kind: str


class _Settings:
    """What the operator said."""

    #: Authorities that the portal knows, by name or universal id; none = all.
    authorities: frozenset[str] = frozenset()
    #: Types of number (PID-3.5) that it links by; none = all.
    types: frozenset[str] = frozenset()


def init(settings: dict[str, object]) -> None:
    """Reads the settings."""
    given = with_defaults(settings, DEFAULTS)
    for name in DEFAULTS:
        if not all(isinstance(one, str) and one for one in given[name]):
            raise ValueError(f"`{name}` must be a list of texts that are not empty")
    _Settings.authorities = frozenset(given["authorities"])
    _Settings.types = frozenset(given["types"])


def check(row: Row, out: Findings) -> None:
    """Looks at the patient of one message."""
    event, patients, visit, merged = row.fields()
    identifiers = read(patients)
    trigger = event.text
    if not identifiers:
        out.push(Finding("no-identifier", Level.ERROR).at("PID-3"))
        return
    known = [one for one in identifiers if is_known(one)]
    if not any(one.authority for one in identifiers):
        out.push(counted("authority-missing", identifiers).at("PID-3[1].4"))
    elif not known:
        out.push(counted("unknown-authority", identifiers).at("PID-3"))
    twins(known, out)
    if trigger in MERGES:
        merge(read(merged), known, out)
    if known and not visit.is_empty:
        same_patient(visit.first().text, known, trigger, row.now_ms, out)


def read(field: Field) -> list[Identifier]:
    """The identifiers of a field, without empty ones and explicit nulls."""
    found = []
    for n, one in enumerate(field.occurrence(1).repetitions(), 1):
        number, authority, kind = (one.component(part).text for part in (1, 4, 5))
        if number and number != '""':
            found.append(Identifier(n, number, "" if authority == '""' else authority, kind))
    return found


def is_known(one: Identifier) -> bool:
    """Whether the portal links by this identifier."""
    if not one.authority:
        return False
    if _Settings.types and one.kind not in _Settings.types:
        return False
    # name & universal id & type: either names it
    parts = one.authority.split("&")
    return not _Settings.authorities or any(part in _Settings.authorities for part in parts[:2] if part)


def counted(code: str, identifiers: list[Identifier]) -> Finding:
    """A finding that says how many identifiers there were."""
    return Finding(code, Level.ERROR).attr("identifiers", min(len(identifiers), 99))


def twins(known: Iterable[Identifier], out: Findings) -> None:
    """Two numbers where the portal expects one."""
    first: dict[tuple[str, str], str] = {}
    for one in known:
        if first.setdefault((one.authority, one.kind), one.number) != one.number:
            out.push(Finding("ambiguous-account", Level.WARNING).at(f"PID-3[{one.n}]"))


def merge(gone: list[Identifier], known: list[Identifier], out: Findings) -> None:
    """Remembers that a record became another one."""
    linkable = [one for one in gone if is_known(one)]
    if not linkable:
        out.push(counted("merge-not-linkable", gone).at("MRG-1"))
    for old in linkable:
        for new in known:
            if new.authority == old.authority:
                state.set(f"m{digest(old)}", digest(new))


def same_patient(visit: str, known: list[Identifier], trigger: str, now_ms: int, out: Findings) -> None:
    """Holds the patient of a visit against the one that it had before."""
    now = {digest(one, authority_only=True): digest(one) for one in known}
    key = f"v{digest_of(visit)}"
    before = state.get(key) or ""
    minute = now_ms // 60_000
    pairs = dict(pair.split("=", 1) for pair in before.split("|")[1:])
    shared = [authority for authority in now if authority in pairs]
    moved = [one for one in shared if not same_record(pairs[one], now[one])]
    if moved and trigger not in MOVES:
        since = min(max(minute - int(before.split("|", 1)[0]), 0), YEAR_MINUTES)
        out.push(Finding("visit-changed-patient", Level.ERROR).at("PV1-19").attr("minutes-since", since))
    if before and not moved and len(shared) == len(now):
        return
    kept = {**pairs, **now}
    # eight authorities of one patient are more than any sender has
    told = "|".join(f"{authority}={number}" for authority, number in list(kept.items())[-8:])
    state.set(key, f"{minute}|{told}")


def same_record(before: str, now: str) -> bool:
    """Whether two numbers are one record, as sent or by a merge."""
    return before == now or state.get(f"m{before}") == now


def digest(one: Identifier, *, authority_only: bool = False) -> str:
    """What stands for an identifier, or for its authority and type."""
    return digest_of(f"{one.authority}\n{one.kind}" + ("" if authority_only else f"\n{one.number}"))


def digest_of(text: str) -> str:
    """Eight bytes in hexadecimal that stand for a text without keeping it."""
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()
