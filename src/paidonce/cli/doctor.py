"""``paidonce doctor``: checks the configuration for production and prints remedies."""

import errno
import http.client
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import click
import msgspec
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from paidonce.cli.file_access import examine_files
from paidonce.clock import Instant, system_clock
from paidonce.database.engine import open_database
from paidonce.database.health import Finding, Level
from paidonce.database.health_postgresql import examine_postgresql
from paidonce.database.health_sqlite import examine_sqlite
from paidonce.database.migrate import is_migrated
from paidonce.encryption import read_keys
from paidonce.errors import DatabaseUnavailable, NotDurable
from paidonce.payments.unproven_outcomes import UNKNOWN_MS_MAX, Unproven, measure_unproven
from paidonce.settings import Settings

PROBLEM_EXIT: Final = 1
HOUR_MS: Final = 3_600_000
ANSWER_SECONDS_MAX: Final = 2.0  # For another process on this machine.
COLORS: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


def examine(settings: Settings, *, as_json: bool) -> None:
    """Print every finding; exit 1 if one is a problem."""
    files = list(examine_files(settings))  # First, because opening a database may create files.
    findings = [*_examine_database(settings), *files, *_examine_attempts(settings), *_examine_settings(settings)]
    if as_json:
        click.echo(msgspec.json.encode(findings).decode())
    else:
        _print(findings)
    sys.exit(PROBLEM_EXIT if any(finding.level is Level.PROBLEM for finding in findings) else 0)


def _print(findings: list[Finding]) -> None:
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        level = click.style(f"{finding.level:<9}", fg=COLORS[finding.level])
        click.echo(f"{level}{finding.check:<{width}}  {finding.found}")
        if finding.remedy:
            click.echo(f"{'':<{width + 9}}  → {finding.remedy}")
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    click.echo(f"\n{_counted(problems, 'problem')}, {_counted(warnings, 'warning')}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _examine_database(settings: Settings) -> list[Finding]:
    url = settings.database
    if url.dialect == "sqlite":
        return examine_sqlite(url)
    # The lease is longer than the time-out of a provider call by this margin. Two processes whose clocks are off by
    # half of it, in opposite directions, could both hold an attempt.
    margin_ms = (settings.lease_seconds - settings.provider_timeout_seconds) * 1000
    return examine_postgresql(url, clock=system_clock, skew_ms_max=margin_ms / 2)


def _examine_attempts(settings: Settings) -> Iterator[Finding]:
    """Check the attempts whose outcome is not confirmed. A database that cannot be opened is reported by another
    check.
    """
    url = settings.database
    if url.dialect == "sqlite" and not (url.path and url.path.exists()):
        return
    with suppress(ImportError, DBAPIError, NoSuchModuleError, DatabaseUnavailable, NotDurable):
        database = open_database(url, clock=system_clock, exclusive=False)
        try:
            if is_migrated(database):
                with database.read() as transaction:
                    yield check_unproven(measure_unproven(transaction, [None])[0], transaction.now)
        finally:
            database.close()


def check_unproven(found: Unproven, now: Instant) -> Finding:
    """Check how many outcomes are not confirmed, and for how long."""
    check, remedy = "proof", "run: paidonce review list; ask the provider for the outcome of each attempt"
    if found.in_review_since is not None:
        hours = (now - found.in_review_since) // HOUR_MS
        summary = f"{_counted(found.in_review, 'attempt')} waiting for review by a person, the oldest for {hours} h"
        return Finding(check, Level.PROBLEM, summary, remedy)
    if found.unknown_since is not None and now - found.unknown_since > UNKNOWN_MS_MAX:
        hours = (now - found.unknown_since) // HOUR_MS
        summary = f"{_counted(found.unknown, 'outcome')} unknown, the oldest for {hours} h; look-ups continue"
        return Finding(check, Level.WARNING, summary, f"check whether the provider is available; {remedy}")
    summary = (
        f"{_counted(found.unknown, 'outcome')} unknown, being looked up" if found.unknown else "every outcome is known"
    )
    return Finding(check, Level.OK, summary)


def _examine_settings(settings: Settings) -> Iterator[Finding]:
    yield _check_authentication(settings.auth)
    yield _check_providers()
    yield _check_encryption(settings)
    yield _check_webhooks(allow_private=settings.webhook_allow_private)
    yield _examine_dotenv(Path(".env"))
    yield _examine_port(settings.host, settings.port)


def _check_authentication(auth: str) -> Finding:
    if auth == "keys":
        return Finding("authentication", Level.OK, "on: every call needs an API key")
    found = "off: every process on this machine, and every client of a proxy in front, can act for every merchant"
    remedy = "set PAIDONCE_AUTH=keys, or allow only your own backend to reach the service"
    return Finding("authentication", Level.WARNING, found, remedy)


def _check_providers() -> Finding:
    found = "only the simulator: no real money moves"
    return Finding(
        "providers", Level.WARNING, found, "do not take real payments: no release supports a real provider yet"
    )


def _check_encryption(settings: Settings) -> Finding:
    if settings.encryption_keys:
        return Finding(
            "encryption", Level.OK, f"{_counted(len(read_keys(settings.encryption_keys)), 'key')} configured"
        )
    file = settings.encryption_key_file
    remedy = "set PAIDONCE_ENCRYPTION_KEYS to the output of `paidonce encryption-key`, and keep it apart from backups"
    if file is not None and file.exists():
        found = f"the key of the stored secrets is beside the data, in {file}: a copy of both reveals the secrets"
        return Finding("encryption", Level.WARNING, found, remedy)
    return Finding(
        "encryption",
        Level.WARNING,
        "no key is configured: webhook endpoints and provider accounts cannot be created",
        remedy,
    )


def _check_webhooks(*, allow_private: bool) -> Finding:
    if not allow_private:
        return Finding("webhooks", Level.OK, "are sent only to https URLs on the public internet")
    found = "can be sent to loopback and private networks: a client that creates an endpoint can reach services there"
    return Finding("webhooks", Level.WARNING, found, "unset PAIDONCE_WEBHOOK_ALLOW_PRIVATE")


def _examine_dotenv(path: Path) -> Finding:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return Finding(".env", Level.OK, "does not exist")
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        found = f"others on this machine can read it (mode {mode:o}), and it may hold passwords"
        return Finding(".env", Level.PROBLEM, found, f"run: chmod 600 {path}")
    return Finding(".env", Level.OK, "only its owner can read it")


def _examine_port(host: str, port: int) -> Finding:
    if port == 0:
        return Finding("port", Level.OK, "a free one is selected")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As the server binds: connections of a stopped server do not block it.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and _is_paidonce(host, port):
            return Finding("port", Level.OK, f"{port} is used by paidonce")
        found = f"cannot listen on {host}:{port}: {error.strerror}"
        return Finding("port", Level.PROBLEM, found, "set PORT to a free port, or stop the process that uses it")
    return Finding("port", Level.OK, f"{port} is free")


def _is_paidonce(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", "/health/live")
        answer = msgspec.json.decode(connection.getresponse().read())
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return False
    finally:
        connection.close()
    return isinstance(answer, dict) and answer.get("status") == "live"
