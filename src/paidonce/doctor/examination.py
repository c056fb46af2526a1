"""The examination: every check that can be made beside a running service. It blocks, and opens its own connections."""

import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from paidonce.clock import system_clock
from paidonce.database.engine import open_database
from paidonce.database.health import Finding, Level
from paidonce.database.health_postgresql import examine_postgresql
from paidonce.database.health_sqlite import examine_sqlite
from paidonce.database.migrate import is_migrated
from paidonce.doctor.file_permissions import examine_files
from paidonce.doctor.waiting import Waiting, check_waiting, measure_waiting
from paidonce.doctor.words import counted, listed
from paidonce.encryption import read_keys
from paidonce.errors import DatabaseNotSupported, DatabaseUnavailable, NotDurable
from paidonce.settings import Settings, environment_name

DOTENV: Final = Path(".env")


def examine(settings: Settings) -> list[Finding]:
    """Make every check, those of the database first."""
    files = list(examine_files(settings))  # First, because opening a database may create files.
    return [
        *examine_database(settings),
        *files,
        *_examine_waiting(settings),
        *examine_settings(settings),
    ]


def examine_surroundings(settings: Settings) -> list[Finding]:
    """Make the checks that need no transaction: the database's configuration, files and settings."""
    files = list(examine_files(settings))
    return [*examine_database(settings), *files, *examine_settings(settings)]


def examine_database(settings: Settings) -> list[Finding]:
    """Check the database's version, place and durability."""
    url = settings.database
    if url.dialect == "sqlite":
        return examine_sqlite(url)
    # The lease is longer than the time-out of a provider call by this margin. Two processes whose clocks are off by
    # half of it, in opposite directions, could both hold an attempt.
    margin_ms = (settings.lease_seconds - settings.provider_timeout_seconds) * 1000
    return examine_postgresql(url, clock=system_clock, skew_ms_max=margin_ms / 2)


def _examine_waiting(settings: Settings) -> Iterator[Finding]:
    """Check what waits for a person. A database that cannot be opened is reported by another check."""
    url = settings.database
    found = Waiting()
    if url.dialect != "sqlite" or (url.path and url.path.exists()):
        unusable = (DBAPIError, DatabaseNotSupported, DatabaseUnavailable, NotDurable)
        with suppress(ImportError, NoSuchModuleError, *unusable):
            database = open_database(url, clock=system_clock, exclusive=False)
            try:
                if is_migrated(database):
                    with database.read() as transaction:
                        [found] = measure_waiting(transaction, [None])
                    yield from check_waiting(found, transaction.now)
            finally:
                database.close()
    yield check_providers(found)


def examine_settings(settings: Settings) -> Iterator[Finding]:
    """Check the settings that decide who can do what."""
    yield _check_authentication(settings.auth)
    yield _check_public_url(settings)
    yield _check_provider_urls(settings)
    yield _check_encryption(settings)
    yield _check_webhooks(allow_private=settings.webhook_allow_private)
    yield _check_retention(settings)
    yield _examine_dotenv(DOTENV)


def check_providers(found: Waiting) -> Finding:
    """Check whether any merchant can take real payments."""
    if found.has_account:
        return Finding("providers", Level.OK, "merchants have accounts with payment providers")
    summary = "no merchant has an account with a provider: only the simulator can be used, and no real money moves"
    return Finding("providers", Level.WARNING, summary, "run: paidonce providers add, or see docs/provider-accounts.md")


def _check_authentication(auth: str) -> Finding:
    if auth == "keys":
        return Finding("authentication", Level.OK, "on: every call needs an API key")
    found = "off: every process on this machine, and every client of a proxy in front, can act for every merchant"
    remedy = "set PAIDONCE_AUTH=keys, or allow only your own backend to reach the service"
    return Finding("authentication", Level.WARNING, found, remedy)


def _check_public_url(settings: Settings) -> Finding:
    if settings.public_url:
        return Finding("public URL", Level.OK, settings.public_url)
    found = "not set: links for buyers begin with the Host of each request, and Mollie is told no URL for its webhooks"
    # Without API keys the service is on loopback only, where the Host is right.
    level = Level.WARNING if settings.auth == "keys" else Level.OK
    return Finding("public URL", level, found, "set PAIDONCE_PUBLIC_URL" if level is Level.WARNING else "")


def _check_provider_urls(settings: Settings) -> Finding:
    names = [environment_name(f"{name}_url") for name, url in settings.provider_urls.items() if url]
    if not names:
        return Finding("provider URLs", Level.OK, "every provider is called at its own host")
    found = f"{listed(names)} set: payments, also live ones, and credentials are sent there, not to the provider"
    return Finding("provider URLs", Level.WARNING, found, "unset them; they are for tests against doubles")


def _check_encryption(settings: Settings) -> Finding:
    if settings.encryption_keys:
        return Finding("encryption", Level.OK, f"{counted(len(read_keys(settings.encryption_keys)), 'key')} configured")
    file = settings.encryption_key_file
    remedy = "set PAIDONCE_ENCRYPTION_KEYS to the output of `paidonce encryption-key`, and keep it apart from backups"
    if file is not None and file.exists():
        found = f"the key of the stored secrets is beside the data, in {file}: a copy of both reveals the secrets"
        return Finding("encryption", Level.WARNING, found, remedy)
    return Finding(
        "encryption",
        Level.WARNING,
        "no key is configured: webhook endpoints and provider accounts cannot be created, and checkouts have no page",
        remedy,
    )


def _check_webhooks(*, allow_private: bool) -> Finding:
    if not allow_private:
        return Finding("webhooks", Level.OK, "are sent only to https URLs on the public internet")
    found = "can be sent to loopback and private networks: a client that creates an endpoint can reach services there"
    return Finding("webhooks", Level.WARNING, found, "unset PAIDONCE_WEBHOOK_ALLOW_PRIVATE")


def _check_retention(settings: Settings) -> Finding:
    kept = {"events": settings.event_days, "deliveries": settings.delivery_days, "the audit log": settings.audit_days}
    periods = {name: f"for {days:g} days" if days else "for ever" for name, days in kept.items()}
    if not settings.delivery_days:
        periods["deliveries"] = "as long as their events"
    found = ", ".join(f"{name} {period}" for name, period in periods.items())
    return Finding("retention", Level.OK, f"kept are {found}")


def _examine_dotenv(path: Path) -> Finding:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return Finding(".env", Level.OK, "does not exist")
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        found = f"others on this machine can read it (mode {mode:o}), and it may hold passwords"
        return Finding(".env", Level.PROBLEM, found, f"run: chmod 600 {path}")
    return Finding(".env", Level.OK, "only its owner can read it")
