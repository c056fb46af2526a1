"""Opening a database beside the service, to look at it or to lay a hand on it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pysqlite3.dbapi2
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool


@contextmanager
def opened(url: str) -> Iterator[Connection]:
    """Open a database for one transaction, which is committed at the end."""
    if url.startswith("file:"):
        path = url.removeprefix("file:")
        engine = create_engine(f"sqlite+pysqlite:///{path}", module=pysqlite3.dbapi2, poolclass=NullPool)
    else:
        engine = create_engine(f"postgresql+psycopg://{url.partition('://')[2]}", poolclass=NullPool)
    with engine.begin() as connection:
        yield connection
