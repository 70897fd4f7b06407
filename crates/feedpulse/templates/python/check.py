"""__summary__"""

from feedpulse_check import Finding, Findings, Level, Row


def check(row: Row, out: Findings) -> None:
    """Once for each message. What must be remembered between messages belongs into ``state``."""
    # by the paths of `fields` in plugin.toml
    if row.value("PV1-2") == "E" and row.at("PV2-3").is_empty:
        out.push(Finding("reason-missing", Level.WARNING).at("PV2-3"))
