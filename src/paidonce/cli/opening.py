"""Opening things for a command, with one clear line where that fails."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from paidonce.errors import DatabaseInUse, DatabaseUnavailable, NotDurable, SchemaOutdated

if TYPE_CHECKING:
    from paidonce.database.engine import Database
    from paidonce.settings import Settings

FAILURE_EXIT = 1


@contextmanager
def failing_clearly(place: str) -> Iterator[None]:
    """Turn what stops a command from opening the database at ``place``, or from listening, into one line and exit 1."""
    from sqlalchemy.exc import DBAPIError, NoSuchModuleError

    from paidonce.cli.errors import CannotListen

    try:
        yield
    except (DatabaseInUse, SchemaOutdated, NotDurable) as error:
        _fail(error.detail)
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
def database_beside(settings: "Settings") -> "Iterator[Database]":
    """Open the service's database beside the process that may be serving it; one that is not migrated is refused."""
    from paidonce.clock import system_clock
    from paidonce.database.engine import open_database
    from paidonce.database.migrate import prepare_schema
    from paidonce.webhook_endpoints.writing import write_events_and_deliveries

    with failing_clearly(settings.database.shown):
        database = open_database(
            settings.database, clock=system_clock, before_commit=write_events_and_deliveries, exclusive=False
        )
        try:
            prepare_schema(database, migrating=False)
            yield database
        finally:
            database.close()


def _fail(message: str) -> None:
    click.echo(f"paidonce: {message}", err=True)
    sys.exit(FAILURE_EXIT)
