"""Five fields must be valued: the check by which languages are compared."""

from feedpulse_check import Finding, Findings, Level, Row

NAMES = ("MSH-9", "MSH-10", "PID-3", "PID-5", "PV1-2")


def check(row: Row, out: Findings) -> None:
    """Once for each message."""
    texts = row.texts()
    # most messages are well: one look tells
    if "" in texts:
        for name, text in zip(NAMES, texts, strict=True):
            if not text:
                out.push(Finding("missing-field", Level.ERROR).at(name))
