"""HL7 time stamps (HL7 v2.5.1 §2.A.22 DTM): ``YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,4}))?)?)?)?)?)?([+-]\d{4})?",
    re.ASCII,
)
_PRECISIONS = ("year", "month", "day", "hour", "minute", "second")


@dataclass(frozen=True)
class Timestamp:
    """A time stamp, as precise as it was sent.

    >>> stamp = Timestamp.parse("20260301120000-0500")
    >>> stamp.precision, stamp.offset_minutes, stamp.utc_ms()
    ('second', -300, 1772384400000)
    >>> Timestamp.parse("20260230") is None
    True
    """

    precision: str
    """The smallest part that was sent: year, month, day, hour, minute or second."""
    offset_minutes: int | None
    """Minutes east of UTC, none when no zone was sent."""
    local_ms: int
    """As a clock on the sender's wall showed it, in milliseconds as if it were UTC."""

    @staticmethod
    def parse(text: str) -> Timestamp | None:
        """Reads a text; none when it is no time stamp, or no day of the calendar."""
        found = _FORM.fullmatch(text.partition("^")[0].rstrip())
        if not found:
            return None
        numbers = [int(part) for part in found.groups()[:6] if part is not None]
        year, month, day, hour, minute, second = numbers + [0, 1, 1, 0, 0, 0][len(numbers):]
        in_range = (
            1 <= month <= 12 and 1 <= day <= _days_in(year, month)
            and hour <= 23 and minute <= 59 and second <= 60
        )  # fmt: skip
        zone = found.group(8)
        offset = _offset(zone) if zone else None
        if not in_range or (zone and offset is None):
            return None
        fraction = int((found.group(7) or "").ljust(3, "0")[:3])
        minutes = (_days(year, month, day) * 24 + hour) * 60 + minute
        return Timestamp(_PRECISIONS[len(numbers) - 1], offset, (minutes * 60 + second) * 1000 + fraction)

    def utc_ms(self, assumed_offset_minutes: int = 0) -> int:
        """Milliseconds since 1970; a time without a zone is taken to be so many minutes east of UTC."""
        offset = assumed_offset_minutes if self.offset_minutes is None else self.offset_minutes
        return self.local_ms - offset * 60_000


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the proleptic Gregorian calendar; datetime knows no year 0."""
    y = year - 1 if month <= 2 else year
    era, of_era = divmod(y, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _days_in(year: int, month: int) -> int:
    if month != 2:
        return 30 if month in (4, 6, 9, 11) else 31
    return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28


def _offset(zone: str) -> int | None:
    """Minutes of ``+HHMM``, none when it is no zone: the widest are -12:00 and +14:00."""
    hours, minutes = int(zone[1:3]), int(zone[3:])
    total = hours * 60 + minutes
    if minutes > 59 or total > 14 * 60:
        return None
    return -total if zone[0] == "-" else total
