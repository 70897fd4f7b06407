"""The words of rows about ACKs, outcomes and connections. What each kind of row gives is in
``sdk/wit/README.md``.

Each is a text as well: ``row.at("@outcome").outcome() == "errored"``.
"""

from __future__ import annotations

from enum import Enum


class About(str, Enum):
    """What a row is about, ``@about``."""

    MESSAGE = "message"
    """A message that is not an ACK."""
    ACK = "ack"
    """An ACK; HL7 paths are read from it."""
    OUTCOME = "outcome"
    """What became of a message."""
    CONNECTION = "connection"
    """Something happened to a connection."""


class Outcome(str, Enum):
    """How a message ended, ``@outcome``.

    >>> Outcome.FILTERED.is_well, Outcome.NO_ACK.is_well
    (True, False)
    """

    ACCEPTED = "accepted"
    """AA, or the silence that its sender asked to mean success."""
    COMMITTED = "committed"
    """CA and nothing more was due; or stored by a broker."""
    FILED = "filed"
    """A receipt says that the user can see it."""
    ERRORED = "errored"
    """AE or CE, or a dead letter."""
    REJECTED = "rejected"
    """AR or CR."""
    NO_ACK = "no_ack"
    """No ACK in time."""
    CONNECTION_LOST = "connection_lost"
    """The connection ended before the ACK."""
    REFUSED = "refused"
    """The receiver could not be reached with it."""
    UNKNOWN = "unknown"
    """Nobody can say."""
    PARTLY_DELIVERED = "partly_delivered"
    """Some ends of its route have it, others do not."""
    FILTERED = "filtered"
    """It was not sent on, as stated or as learned for its type."""
    EXPIRED = "expired"
    """Nothing more was seen of it, and its route says that it should have been."""

    @property
    def is_well(self) -> bool:
        """Whether nobody needs to look at it."""
        return self in (Outcome.ACCEPTED, Outcome.COMMITTED, Outcome.FILED, Outcome.FILTERED)


class AckCode(str, Enum):
    """MSA-1, ``@ack-code`` (HL7 table 0008)."""

    AA = "AA"
    """Application accept."""
    AE = "AE"
    """Application error."""
    AR = "AR"
    """Application reject."""
    CA = "CA"
    """Commit accept."""
    CE = "CE"
    """Commit error."""
    CR = "CR"
    """Commit reject."""
    OTHER = "other"
    """Something else, or empty."""


class Reason(str, Enum):
    """Why a message was refused, ``@reason``."""

    STRUCTURE = "structure"
    """Segment sequence, required field."""
    UNSUPPORTED = "unsupported"
    """Type, event, processing id or version."""
    UNKNOWN_KEY = "unknown_key"
    """Patient, visit or order not found."""
    DUPLICATE_KEY = "duplicate_key"
    """It exists already."""
    LOCKED = "locked"
    """A record is locked."""
    INTERNAL = "internal"
    """Internal error, database, disk, time-out."""
    UNAVAILABLE = "unavailable"
    """The receiver says that it is not available."""
    OTHER = "other"
    """A reason that no rule knows."""


class Event(str, Enum):
    """What happened to a connection, ``@event``."""

    OPENED = "opened"
    """The sender connected and the receiver answered."""
    CLOSED = "closed"
    """It ended in order."""
    REFUSED = "refused"
    """The receiver's host answered and refused."""
    UNREACHABLE = "unreachable"
    """Timed out, no route, no name."""
    RESET = "reset"
    """It ended by a reset; ``@by`` says whose."""
    HALF_OPEN = "half_open"
    """One side takes nothing more and says nothing; ``@by`` says which."""
    TIMED_OUT = "timed_out"
    """Such a connection was given up; ``@by`` says which side was gone."""
    IDLE = "idle"
    """Nothing in either direction for a while."""
    FRAME_OPEN = "frame_open"
    """Bytes came, but no frame was closed for a while."""
    NOT_MLLP = "not_mllp"
    """What flows is not MLLP."""
