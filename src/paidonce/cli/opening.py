"""Opens the database for a command, and turns failures into one line of output."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from paidonce.errors import (
    CannotDistribute,
    DatabaseInUse,
    DatabaseNotSupported,
    DatabaseUnavailable,
    NotDurable,
    SchemaOutdated,
)

if TYPE_CHECKING:
    from paidonce.database.engine import Database
    from paidonce.settings import Settings

FAILURE_EXIT = 1
USAGE_EXIT = 2  # As click exits where a command cannot be used like that.


@contextmanager
def exit_on_failure(place: str) -> Iterator[None]:
    """Print one line and exit where the database at ``place`` or the port cannot be used, or not for this command."""
    from sqlalchemy.exc import DBAPIError, NoSuchModuleError

    from paidonce.cli.errors import CannotListen

    try:
        yield
    except (DatabaseInUse, DatabaseNotSupported, SchemaOutdated, NotDurable) as error:
        _fail(error.detail)
    except CannotDistribute as error:
        _fail(error.detail, exit_status=USAGE_EXIT)
    except CannotListen as error:
        _fail(str(error))
    except DatabaseUnavailable as error:
        _fail(f"cannot use {place}: {error.__cause__ or error.detail}")
    except DBAPIError as error:
        _fail(f"cannot use {place}: {str(error.orig).strip()}")
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        if "psycopg" not in str(error):
            raise
        _fail("the driver for PostgreSQL is not installed: pip install 'paidonce[postgres]'")


@contextmanager
def open_shared_database(settings: "Settings") -> "Iterator[Database]":
    """Open the service's database while another process may be serving it. It must be migrated."""
    from paidonce.clock import system_clock
    from paidonce.database.engine import open_database
    from paidonce.database.migrate import prepare_schema
    from paidonce.webhook_endpoints.outbox import write_events_and_deliveries

    with exit_on_failure(settings.database.shown):
        database = open_database(
            settings.database, clock=system_clock, before_commit=write_events_and_deliveries, exclusive=False
        )
        try:
            prepare_schema(database, migrating=False)
            yield database
        finally:
            database.close()


def _fail(message: str, *, exit_status: int = FAILURE_EXIT) -> None:
    click.echo(f"paidonce: {message}", err=True)
    sys.exit(exit_status)
