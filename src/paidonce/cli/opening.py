"""Opening things for a command, with one clear line where that fails."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from paidonce.errors import DatabaseInUse, DatabaseUnavailable, SchemaOutdated

FAILURE_EXIT = 1


@contextmanager
def failing_clearly(place: str) -> Iterator[None]:
    """Turn what stops a command from opening the database at ``place`` into one line and exit 1."""
    from sqlalchemy.exc import DBAPIError, NoSuchModuleError

    try:
        yield
    except (DatabaseInUse, SchemaOutdated) as error:
        _fail(error.detail)
    except DatabaseUnavailable as error:
        _fail(f"{place} cannot be used: {error.__cause__ or error.detail}")
    except DBAPIError as error:
        _fail(f"{place} cannot be used: {str(error.orig).strip()}")
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        if "psycopg" not in str(error):
            raise
        _fail("PostgreSQL needs a driver: pip install 'paidonce[postgres]'")


def _fail(message: str) -> None:
    click.echo(f"paidonce: {message}", err=True)
    sys.exit(FAILURE_EXIT)
