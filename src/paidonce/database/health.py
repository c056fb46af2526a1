"""The findings of a health check of a database, each with a remedy."""

from enum import StrEnum

import msgspec

from paidonce.database.schema import SCHEMA_VERSION


class Level(StrEnum):
    """How serious a finding is. A warning needs a decision; a problem causes errors in production."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(msgspec.Struct, frozen=True):
    """What a check found. ``remedy`` is empty where all is well."""

    check: str
    level: Level
    found: str
    remedy: str = ""


def check_schema(version: str | None) -> Finding:
    """Check which migration the database has."""
    if version == SCHEMA_VERSION:
        return Finding("schema", Level.OK, f"{version}, the version of this release")
    found = f"{version or 'none'}; this release needs {SCHEMA_VERSION}, and `paidonce serve` refuses to start"
    return Finding("schema", Level.PROBLEM, found, "run: paidonce db upgrade")
